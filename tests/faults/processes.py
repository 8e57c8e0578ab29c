"""A whole daemon on a bad disk: strace lets its system calls on the state fail. `make test-faults`.

Not part of `make test`: it needs strace(1) and the right to trace (ptrace(2)), and says so where these are
missing. Only the daemon is traced, neither its supervisor nor its steps.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.api.daemon import TASKS, Api, Daemon, daemon, wait_for

FILES = ("state.db", "state.db-wal")
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Bad:
    """What fails, and whether a start can be saved nevertheless."""

    call: str
    error: str
    saves: bool = False


KINDS = [
    Bad("pwrite64", "ENOSPC"),
    Bad("pwrite64", "EIO"),
    Bad("pwrite64", "EDQUOT"),
    Bad("fdatasync", "EIO", saves=True),
]


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here (Debian: strace)")
    with daemon() as made:
        yield made


@contextmanager
def failing(one: Daemon, bad: Bad) -> Iterator[None]:
    """Within, this call on the state's files fails, each time."""
    paths = [part for name in FILES for part in ("-P", str(one.state / name))]
    inject = f"inject={bad.call}:error={bad.error}:when=1+"
    command = ["strace", "-p", str(one.pid), *paths, "-e", f"trace={bad.call}", "-e", inject]
    log = one.home / "strace"
    with log.open("w") as file, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file) as tracer:
        try:
            wait_for(lambda: "attached" in log.read_text() or tracer.poll() is not None, "strace is attached")
            if tracer.poll() is not None:
                pytest.skip(f"strace cannot trace here: {log.read_text().strip()}")
            yield
        finally:
            tracer.send_signal(signal.SIGINT)  # it lets go of what it traces
            tracer.wait()
    assert "INJECTED" in log.read_text(), "nothing failed"


@pytest.mark.parametrize("bad", KINDS, ids=lambda bad: f"{bad.call} {bad.error}")
def test_what_was_acknowledged_is_never_forgotten(one: Daemon, bad: Bad) -> None:
    """What could not be saved is refused and leaves nothing; and all goes on once the disk works."""
    one.start()
    api = Api(one.client())
    ran = one.workspace / "ran"
    held = api.start(api.task("held", "echo begun; while [ ! -e go ]; do sleep 0.02; done; echo end"))
    api.until(held, "RUNNING")
    quick = api.task("quick", f"echo x >> {ran}")
    acknowledged = [held]
    with failing(one, bad):
        code, message = api.refused(
            f"{TASKS}/CreateTask",
            {"environmentId": api.environment, "metadata": {"reference": "n"}, "spec": {"command": "true"}},
        )
        assert message.startswith("cannot "), (code, message)
        started = api.post(f"{TASKS}/StartTask", {"id": quick})
        if bad.saves:
            acknowledged.append(started.json()["taskExecution"]["id"])
        else:
            assert started.json()["message"].startswith("cannot ")
        (one.workspace / "go").touch()
        if not bad.saves:
            wait_for(lambda: api.client.get("/readyz").status_code == 503, "it says that it has trouble")
        assert api.client.get("/healthz").status_code == 200
    for execution in acknowledged:
        api.until(execution, "SUCCEEDED")
    wait_for(lambda: api.client.get("/readyz").status_code == 200, "its trouble is over")
    last = api.start(quick)
    api.until(last, "SUCCEEDED")
    assert ran.read_text() == "x\n" * (1 + bad.saves)
    versions = {id_: api.execution(id_)["status"]["statusVersion"] for id_ in (*acknowledged, last)}
    _crash(one)
    api = Api(one.client())
    assert {id_: api.execution(id_)["status"]["statusVersion"] for id_ in versions} == versions
    assert len(api.call(f"{TASKS}/ListTaskExecutions")["taskExecutions"]) == len(versions)
    assert [task["metadata"]["reference"] for task in api.call(f"{TASKS}/ListTasks")["tasks"]] == [
        "held",
        "quick",
    ]


def test_a_crash_while_the_disk_is_full_loses_no_end(one: Daemon) -> None:
    """The supervisor has it; the next daemon takes it from there."""
    one.start()
    api = Api(one.client())
    held = api.start(api.task("held", "while [ ! -e go ]; do sleep 0.02; done; exit 7"))
    api.until(held, "RUNNING")
    with failing(one, Bad("pwrite64", "ENOSPC")):
        (one.workspace / "go").touch()
        wait_for(lambda: api.client.get("/readyz").status_code == 503, "it says that it has trouble")
        _crash(one, start=False)
    one.start()
    ended = Api(one.client()).until(held, *ENDED)
    assert "exit code 7" in str(ended)


def _crash(one: Daemon, *, start: bool = True) -> None:
    """As by the kernel; and the next one."""
    process = one._started[-1]
    process.kill()
    process.wait()
    if start:
        one.start()
