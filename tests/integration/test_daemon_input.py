"""A daemon among clients that behave badly: many connections, half requests, streams that are dropped."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.daemon import EVENTS, TASKS, Api, Daemon, daemon, wait_for

HALF = f"POST /{TASKS}/ListTasks HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\n".encode()


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """One that may have few files open: what a service manager gives, and less."""
    with daemon() as made:
        command = made.command("--listen", "127.0.0.1:0")
        made.start(command=["sh", "-c", 'ulimit -Sn 512; exec "$@"', "sh", *command])
        yield made


@pytest.fixture
def api(served: Daemon) -> Iterator[Api]:
    """Over the socket, and over one connection."""
    with served.client() as client:
        yield Api(client)


def _address(served: Daemon) -> tuple[str, int]:
    parts = urlsplit(served.address)
    return parts.hostname or "", parts.port or 0


def test_a_thousand_connections_shut_nobody_out(served: Daemon, api: Api) -> None:
    """Half of a request each, over TCP: the socket is answered meanwhile, and TCP again afterwards."""
    token = api.token("ENVIRONMENT_VIEWER")
    with ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(socket.create_connection(_address(served), timeout=60))
            with suppress(OSError):  # one of too many was closed at once
                client.sendall(HALF if number % 2 else HALF[: number % len(HALF)])
        with served.client() as fresh:
            assert fresh.post(f"/{TASKS}/ListTasks", json={}).status_code == 200
        assert api.run("started-meanwhile", "echo yes")["status"]["phase"].endswith("SUCCEEDED")
    with served.tcp(token) as remote:

        def answered() -> bool:
            with suppress(httpx.HTTPError):
                return bool(remote.post(f"/{TASKS}/ListTasks", json={}).status_code == 200)
            return False

        wait_for(answered, "TCP is answered again")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HALF,
        HALF + b"Content-Length: 100\r\n\r\n{",
        HALF + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HALF + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\n{}",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000,
    ],
)
@pytest.mark.parametrize("way", ["close", "reset"])
def test_clients_that_go_away_in_the_middle_leave_nothing(
    served: Daemon, api: Api, sent: bytes, way: str
) -> None:
    """Closed or reset, whatever was sent by then."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served.socket))
        client.sendall(sent)
    with socket.create_connection(_address(served), timeout=60) as remote:
        if way == "reset":
            remote.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            remote.sendall(sent)
    assert api.post(f"{TASKS}/ListTasks").status_code == 200
    wait_for(lambda: _open(api) <= 1, "only the connection that asks is left")


def test_streams_that_are_dropped_are_forgotten(served: Daemon, api: Api) -> None:
    """A watch, the statuses and a log, each reset while it is written to."""
    execution = api.start(api.task("talks", "while :; do echo talk; sleep 0.01; done"))
    url = wait_for(lambda: api.execution(execution)["status"].get("logUrl"), "a log")
    body = json.dumps({"environmentId": api.environment}).encode()
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for request in (
        f"POST /{EVENTS}/WatchEvents HTTP/1.1\r\n".encode() + fields + body,
        b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.socket))
            client.sendall(request)
            assert b" 200 " in client.recv(64)
    assert api.phase(execution) == "RUNNING"
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    api.until(execution, "STOPPED")
    wait_for(lambda: _open(api) <= 1, "their connections are gone")


def _open(api: Api) -> int:
    """Connections of the daemon, this one among them."""
    lines = api.client.get("/metrics").text.splitlines()
    return int(next(float(line.split()[1]) for line in lines if line.startswith("phased_connections ")))


def test_an_address_of_ipv6_is_listened_on() -> None:
    """`[::1]:0`, as clients write it."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with daemon() as made:
        made.start("--listen", "[::1]:0")
        assert made.address.startswith("http://[::1]:")
        token = Api(made.client()).token("ENVIRONMENT_VIEWER")
        with made.tcp(token) as client:
            assert client.post(f"/{TASKS}/ListTasks", json={}).status_code == 200
