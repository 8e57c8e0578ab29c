"""A daemon's next version takes its place: same pid, same sockets, and what runs goes on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, TypeVar

import httpx
import pytest

from tests.api.daemon import EVENTS, PATIENCE, TASKS, Api, Daemon, daemon, last_words, wait_for
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
    """A reader that had read all goes on where it was: no gap, nothing missed, and versions still grow."""
    process = one.start()
    api = Api(one.client())
    gate = one.home / "gate"
    execution = api.start(api.task("held", f"until test -e {gate}; do sleep 0.05; done"))
    version = int(api.until(execution, "RUNNING")["status"]["statusVersion"])
    with one.client() as other, other.stream("GET", "/events") as response:
        name, last, _ = Sent(response).next()
        assert name == "snapshot"
    before = began(one)
    process.send_signal(signal.SIGUSR2)
    wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")
    again = {"last-event-id": str(last)}
    with one.client() as other, other.stream("GET", "/events", headers=again) as response:
        sent = Sent(response)
        gate.touch()
        phases: list[str] = []
        while not phases or phases[-1] != "TASK_EXECUTION_PHASE_SUCCEEDED":
            name, number, data = sent.next()
            assert name == "change"
            assert int(number) == last + 1
            last = int(number)
            if data.get("resourceId") == execution:
                assert int(data["statusVersion"]) > version
                version, phases = int(data["statusVersion"]), [*phases, data["status"]["phase"]]


def test_a_reader_that_missed_events_before_a_reload_is_told(one: Daemon) -> None:
    """What the former version had told last is not what it had read last."""
    process = one.start()
    api = Api(one.client())
    with one.client() as other, other.stream("GET", "/events") as response:
        _, last, _ = Sent(response).next()
    api.run("a", "true")
    before = began(one)
    process.send_signal(signal.SIGUSR2)
    wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")
    again = {"last-event-id": str(last)}
    with one.client() as other, other.stream("GET", "/events", headers=again) as response:
        sent = Sent(response)
        assert [sent.next()[0], sent.next()[0]] == ["gap", "snapshot"]


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


class Gates:
    """Doors in the way of a program: the interpreters that begin with `where` wait until one is opened."""

    def __init__(self, one: Daemon) -> None:
        self._folder = one.home / "gates"
        self._folder.mkdir()
        self.environment: Mapping[str, str] = {
            "PYTHONPATH": os.pathsep.join(
                [str(self._folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
            )
        }

    def close(self, name: str, where: str) -> None:
        """Interpreters that have `where` among their arguments wait at this gate from now on."""
        (self._folder / "sitecustomize.py").write_text(
            textwrap.dedent(f"""
                import os, sys, time
                if {where!r} in sys.orig_argv:
                    open("{self._folder}/{name}-reached", "w").close()
                    while not os.path.exists("{self._folder}/{name}-open"):
                        time.sleep(0.01)
                """)
        )

    def reached(self, name: str) -> None:
        """Wait until somebody waits there."""
        wait_for((self._folder / f"{name}-reached").exists, f"{name} is reached")

    def open(self, name: str) -> None:
        """Let them pass."""
        (self._folder / f"{name}-open").touch()


@pytest.fixture
def gates(one: Daemon) -> Gates:
    """All open."""
    return Gates(one)


def serving_a_service(one: Daemon, gates: Gates) -> tuple[subprocess.Popen[str], Path]:
    """A daemon with a service that runs, and the file that the service makes when it is stopped."""
    process = one.start(env=gates.environment)
    api = Api(one.client())
    stopped = one.home / "stopped"
    start = f"trap ': > {stopped}; exit 0' TERM; touch {one.home}/runs; while :; do sleep 0.05; done"
    api.serve("db", start)
    wait_for((one.home / "runs").exists, "it runs")
    return process, stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_wins_over_a_reload_that_has_not_begun(one: Daemon, gates: Gates, number: int) -> None:
    """Nobody waits for what the next version would say."""
    process, stopped = serving_a_service(one, gates)
    gates.close("check", "-c")
    process.send_signal(signal.SIGHUP)
    gates.reached("check")
    process.send_signal(number)
    assert "reloading" not in last_words(process)
    assert stopped.exists()
    assert not one.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_between_two_versions_is_obeyed_by_the_next(one: Daemon, gates: Gates, number: int) -> None:
    """It comes when the one has ended, and the other does not listen yet."""
    process, stopped = serving_a_service(one, gates)
    gates.close("next", "serve")
    process.send_signal(signal.SIGHUP)
    gates.reached("next")
    process.send_signal(number)
    gates.open("next")
    assert "reloading" in last_words(process)
    assert stopped.exists()
    assert not one.socket.exists()


def test_a_stop_after_a_reload_has_begun_ends_it_all_the_same(one: Daemon, gates: Gates) -> None:
    """The service manager sees RELOADING, READY and STOPPING; the stop comes at once after the first."""
    path = one.home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(PATIENCE)
        gates.environment = {**gates.environment, "NOTIFY_SOCKET": str(path)}
        process, stopped = serving_a_service(one, gates)
        process.send_signal(signal.SIGHUP)
        for state in ("RELOADING=1", "READY=1", "STOPPING=1"):
            while not listener.recv(4096).startswith(state.encode()):
                pass
            if state == "RELOADING=1":
                process.send_signal(signal.SIGTERM)
    last_words(process)
    assert stopped.exists()


def test_asked_twice_it_reloads_once(one: Daemon, gates: Gates) -> None:
    """The next version begins after both."""
    process = one.start(env=gates.environment)
    gates.close("check", "-c")
    process.send_signal(signal.SIGUSR2)
    gates.reached("check")
    process.send_signal(signal.SIGUSR2)
    process.send_signal(signal.SIGHUP)
    gates.open("check")
    assert process.stderr is not None
    assert "READY\n" in iter(process.stderr.readline, "")
    Api(one.client()).run("time-for-another", "true")
    process.send_signal(signal.SIGTERM)
    assert "reloading" not in last_words(process)


def test_the_next_version_holds_no_signal_back(one: Daemon) -> None:
    """Nor does what it starts, which would inherit that."""
    process = one.start()
    before = began(one)
    process.send_signal(signal.SIGUSR2)
    wait_for(lambda: after_a_reconnect(lambda: began(one)) != before, "the next version answers")
    assert "SigBlk:\t0000000000000000\n" in Path(f"/proc/{process.pid}/status").read_text()


def test_a_state_that_is_gone_is_told_and_stays_with_who_has_it(one: Daemon, gates: Gates) -> None:
    """The next version would find none of what runs, so the reload is refused; the end finds it."""
    process, stopped = serving_a_service(one, gates)
    before = began(one)
    aside = one.home / "aside"
    one.state.rename(aside)
    api = Api(one.client())
    answer = api.client.get("/readyz")
    assert answer.status_code == 503
    assert f"cannot keep the state: the file {one.state}/state.db was removed" in answer.text
    assert "was removed" in api.call(_STATUS)["daemon"]["trouble"]
    process.send_signal(signal.SIGUSR2)
    assert process.stderr is not None
    said = next(line for line in iter(process.stderr.readline, "") if line.startswith("cannot"))
    assert said.startswith(
        f"cannot reload: the file {one.state}/state.db was removed or replaced; put it back"
    )
    assert began(one) == before
    one.state.mkdir()
    shutil.copy(aside / "state.db", one.state)
    assert api.client.get("/readyz").status_code == 503
    shutil.rmtree(one.state)
    aside.rename(one.state)
    assert api.client.get("/readyz").status_code == 200
    shutil.rmtree(one.state)
    process.send_signal(signal.SIGTERM)
    last_words(process)
    assert stopped.exists()
