"""A daemon's next version takes its place: same pid, same sockets, and what runs goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
import pytest

from tests.api.daemon import EVENTS, PATIENCE, TASKS, Api, Daemon, daemon, wait_for

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


def test_nobody_is_refused_meanwhile(one: Daemon) -> None:
    """Who connects while one version gives way to the other is answered, after one reconnect at most.

    SIGHUP is enough. Nobody is ever refused: a connection that the old version had accepted may be closed.
    """
    process = one.start()
    before = began(one)
    over = threading.Event()
    answers: list[int] = []

    def healthy() -> int:
        with one.client() as client:
            return client.get("/healthz").status_code

    def ask() -> None:
        while not over.is_set():
            answers.append(after_a_reconnect(healthy))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")
    finally:
        over.set()
        asking.join(PATIENCE)
    assert set(answers) == {200}
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
