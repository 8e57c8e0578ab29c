"""Process 1 of a container: what it starts again, forwards and reaps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from phased.supervisor import init
from tests.api.daemon import PATIENCE, Api, daemon, wait_for

INIT = [sys.executable, "-I", "-S", init.__file__]

CRASHES_ONCE = """
import json, os, pathlib, signal, subprocess, sys
place = pathlib.Path(sys.argv[1])
if not (place / "orphan").exists():
    left = subprocess.Popen(["sleep", "1000"], stderr=subprocess.DEVNULL)
    (place / "orphan").write_text(str(left.pid))
    os.kill(os.getpid(), signal.SIGKILL)
heard = {signal.SIGTERM, signal.SIGHUP}
assert not signal.pthread_sigmask(signal.SIG_BLOCK, heard) & heard
(place / "part").write_text(json.dumps([os.getpid(), os.environ["PHASED_DAEMON_STOP_TIMEOUT"]]))
(place / "part").rename(place / "again")
assert signal.sigwait(heard) == signal.SIGHUP
(place / "heard").touch()
assert signal.sigwait(heard) == signal.SIGTERM
sys.exit(7)
"""


@pytest.fixture
def start() -> Iterator[Callable[[Sequence[str]], subprocess.Popen[str]]]:
    """Starts a command; what still lives at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(command: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_daemon_that_crashes_is_started_again_and_signals_reach_it(
    tmp_path: Path, start: Callable[[Sequence[str]], subprocess.Popen[str]]
) -> None:
    """What the first one left lives on; the exit code is that of the one that was asked to end."""
    process = start([*INIT, sys.executable, "-c", CRASHES_ONCE, str(tmp_path)])
    again = tmp_path / "again"
    wait_for(again.exists, "the second daemon")
    orphan = int((tmp_path / "orphan").read_text())
    try:
        os.kill(orphan, 0)
        assert json.loads(again.read_text())[1] == "7s"
        process.send_signal(signal.SIGHUP)
        wait_for((tmp_path / "heard").exists, "SIGHUP")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 7
        assert "the daemon ended with 137; it is started again" in said
    finally:
        with suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)


def test_a_daemon_that_cannot_start_is_not_tried_again(
    start: Callable[[Sequence[str]], subprocess.Popen[str]],
) -> None:
    """A mistake in the settings."""
    process = start([*INIT, sys.executable, "-c", "import sys; sys.exit(2)"])
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (2, "")


def can_unshare() -> bool:
    """Whether this user may have a pid namespace of its own."""
    tried = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    with suppress(FileNotFoundError):
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    return False


@pytest.mark.skipif(not can_unshare(), reason="no pid namespace can be made here (unshare --pid)")
def test_serve_as_process_1_survives_a_crash_of_the_daemon() -> None:
    """Its steps, too; and SIGTERM ends all of it."""
    with daemon() as made:
        command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *made.command()]
        process = made.start(command=command)
        (first,) = children(process.pid)
        (served,) = [pid for pid in children(first) if b"phased" in cmdline(pid)]
        assert b"init.py" in cmdline(first)
        api = Api(made.client())
        mark = made.workspace / "go"
        lasting = api.start(api.task("lasting", f"while ! test -e {mark}; do sleep 0.1; done"))
        api.until(lasting, "RUNNING")
        os.kill(served, signal.SIGKILL)

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as tried, suppress(OSError):
                tried.connect(str(made.socket))
                return True
            return False

        wait_for(lambda: served not in children(first), "the end of the daemon")
        wait_for(answers, "the next daemon")
        api = Api(made.client())
        assert api.phase(lasting) == "RUNNING"
        mark.touch()
        api.until(lasting, "SUCCEEDED")
        os.kill(first, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def children(pid: int) -> list[int]:
    """Of a process, by proc(5)."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return [int(one) for one in found]
    raise AssertionError("never a child")


def cmdline(pid: int) -> bytes:
    """A process's arguments."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()
