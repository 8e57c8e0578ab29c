"""A daemon's next version takes its place: same pid, same sockets, and what runs goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

import httpx
import pytest

from tests.api.daemon import EVENTS, PATIENCE, TASKS, Api, Daemon, daemon, wait_for
from tests.api.test_streams import Sent

T = TypeVar("T")

_STATUS = "phased.v1.DaemonService/GetStatus"


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with daemon() as made:
        yield made


def began(one: Daemon) -> str:
    """When the version that answers has begun."""
    return str(Api(one.client()).call(_STATUS)["daemon"]["startedAt"])


def after_a_reconnect(ask: Callable[[], T]) -> T:
    """The answer; asked once more where the connection was closed without one."""
    try:
        return ask()
    except (httpx.ReadError, httpx.RemoteProtocolError):
        return ask()


def phased(one: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb of the command line, for this daemon."""
    return subprocess.run(
        [sys.executable, "-m", "phased", *arguments, "--socket", str(one.socket), "-C", str(one.workspace)],
        env=one.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def test_a_reload_keeps_pid_sockets_and_work(one: Daemon) -> None:
    """The step goes on, on both sockets, and streams begin anew."""
    process = one.start("--listen", "127.0.0.1:0")
    api = Api(one.client())
    token = api.token("ENVIRONMENT_ADMIN")
    gate = one.home / "gate"
    execution = api.start(api.task("held", f"echo first; until test -e {gate}; do sleep 0.05; done; exit 5"))
    before = began(one)
    with one.client() as other, other.stream("POST", f"/{EVENTS}/WatchEvents", json={}) as stream:
        lines = stream.iter_lines()
        next(lines)
        done = phased(one, "reload")
        assert done.returncode == 0, done.stderr
        assert f"process {process.pid}" in done.stderr
        list(lines)  # it has ended
    assert began(one) != before
    assert process.poll() is None
    assert str(process.pid) in (one.state / "lock").read_text()
    api = Api(one.client())
    with one.client() as other, other.stream("POST", f"/{EVENTS}/WatchEvents", json={}) as stream:
        next(stream.iter_lines())
    gate.touch()
    assert api.until(execution, "FAILED")["status"]["failureMessage"] == "step held failed: exit code 5"
    with one.tcp(token) as client:
        assert client.post(f"/{TASKS}/ListTasks", json={}).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert not one.socket.exists()


def test_a_stream_of_events_goes_on_by_versions(one: Daemon) -> None:
    """A reader that comes back is told that it missed something, sees how all is, and versions still grow."""
    process = one.start()
    api = Api(one.client())
    gate = one.home / "gate"
    execution = api.start(api.task("held", f"until test -e {gate}; do sleep 0.05; done"))
    version = int(api.until(execution, "RUNNING")["status"]["statusVersion"])
    with one.client() as other, other.stream("GET", "/events") as response:
        _, last, _ = Sent(response).next()
    before = began(one)
    process.send_signal(signal.SIGUSR2)
    wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")
    again = {"last-event-id": str(last)}
    with one.client() as other, other.stream("GET", "/events", headers=again) as response:
        sent = Sent(response)
        assert sent.next()[0] == "gap"
        name, _, snapshot = sent.next()
        assert name == "snapshot"
        [found] = [each for each in snapshot["taskExecutions"] if each["id"] == execution]
        assert int(found["status"]["statusVersion"]) >= version
        gate.touch()
        while True:
            _, _, data = sent.next()
            if data.get("resourceId") == execution:
                assert int(data["statusVersion"]) > version
                break


def test_a_terminal_that_hangs_up_ends_it(one: Daemon) -> None:
    """SIGHUP is no request to reload there: it means what it means for any program (tty(4))."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *one.command()],
        env=one.environment(), stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    with process:
        try:
            assert process.stderr is not None
            assert "READY\n" in iter(process.stderr.readline, "")
            os.close(ours)
            assert process.wait(PATIENCE) == 0
            assert "reloading" not in process.stderr.read()
        finally:
            process.kill()


class Newcomers:
    """Clients that ask again and again, each time over a connection of its own."""

    def __init__(self, one: Daemon, count: int) -> None:
        self.path = str(one.socket)
        self.answered = 0
        self.failed: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        while not self._over.wait(0.002):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                self._ask(connection)

    def _ask(self, connection: socket.socket) -> None:
        asked_at_once = False
        try:
            connection.connect(self.path)
            connected = time.monotonic()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # Who takes longer than the old version hears newcomers may have been let go of.
            asked_at_once = time.monotonic() - connected < 0.5
            answer = connection.recv(65536)
        except OSError as error:
            answer = repr(error).encode()
        if answer.startswith(b"HTTP/1.1 200"):
            self.answered += 1
        elif asked_at_once:
            self.failed.append(answer.decode())


def test_nobody_is_refused_meanwhile(one: Daemon) -> None:
    """Who connects and asks while one version gives way to the other is answered, by one of them.

    SIGHUP is enough.
    """
    process = one.start()
    with Newcomers(one, 3) as newcomers:
        for _ in range(2):
            before, answered = after_a_reconnect(lambda: began(one)), newcomers.answered
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")  # noqa: B023 - called at once
            wait_for(lambda: newcomers.answered > answered + 100, "it goes on")  # noqa: B023 - the same
    assert newcomers.failed == []
    assert len(os.listdir(f"/proc/{process.pid}/fd")) < 64


def test_a_version_that_cannot_be_loaded_does_not_take_over(one: Daemon) -> None:
    """The old one goes on."""
    broken = one.home / "broken"
    process = one.start(
        env={
            "PYTHONPATH": os.pathsep.join([str(broken), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        }
    )
    before = began(one)
    (broken / "anyio").mkdir(parents=True)
    (broken / "anyio" / "__init__.py").write_text("raise ImportError('half installed')\n")
    process.send_signal(signal.SIGUSR2)
    assert process.stderr is not None
    said = wait_for(process.stderr.readline, "it says so")
    assert "cannot reload" in said + process.stderr.readline()
    assert began(one) == before
