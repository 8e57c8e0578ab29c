"""What commands left behind, once those who knew it have died: still known, and never taken for another's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

import phased
from phased.ports import Runner
from phased.runners import search, wards
from phased.runners.remains import Trace
from phased.supervisor.census import look
from tests.runners.build import (
    MARKER,
    Place,
    log_of,
    outcome,
    until,
    until_async,
    until_ended,
    until_started,
)

pytestmark = pytest.mark.anyio

_ORPHAN = "env -i setsid -f sleep 300 >/dev/null 2>&1; exit 0"
"""It has lost its parents, its session, its variables and its output: there is the mark."""
_KEEPER = """
import os, sys
from pathlib import Path
import anyio
from phased.engine.clock import SystemClock
from phased.ports import RunRequest
from phased.runners.process import ProcessRunner

async def main():
    state, root, log = sys.argv[1:]
    async with ProcessRunner(Path(state), dict(os.environ), "/bin/sh", SystemClock()) as runner:
        command = (
            "until test -e $GATE; do sleep 0.02; done; echo open; "
            "env -i setsid -f prlimit --msgqueue=90000 sleep 300; exit 0"
        )
        await runner.start([RunRequest("keeper.1", command, {"GATE": f"{root}/gate"}, root, log)])
        await anyio.sleep(600)

anyio.run(main)
"""


def _is_dead(pid: int) -> bool:
    process = look(pid)
    return process is None or not process.living


async def _kill_supervisor(place: Place) -> None:
    [pid] = place.supervisors()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: _is_dead(pid))


async def _leave_an_orphan(place: Place, runner: Runner) -> str:
    """The run that did; its supervisor is dead."""
    request = place.request(_ORPHAN)
    await runner.start([request])
    await until_ended(runner, [request.run_id])

    async def is_there() -> bool:
        return [p.command for p in (await runner.leftovers()).get(request.run_id, [])] == ["sleep"]

    await until_async(is_there)
    await _kill_supervisor(place)
    return request.run_id


async def test_orphans_of_two_supervisors_are_told_apart(place: Place) -> None:
    """The runs of two generations have no mark in common."""
    async with place.runner() as runner:
        runs = [await _leave_an_orphan(place, runner) for _ in range(2)]
        left = await runner.leftovers()
        assert {run_id: len(left[run_id]) for run_id in left} == dict.fromkeys(runs, 1)
        assert await runner.signal(runs[0], signal.SIGKILL) == 1
        assert (await runner.leftovers()).keys() == {runs[1]}
        assert await runner.signal(runs[1], signal.SIGKILL) == 1


async def test_nothing_is_said_to_be_gone_while_a_supervisor_dies(place: Place) -> None:
    """Whoever asks at that very moment is answered once somebody knows."""
    async with place.runner() as runner:
        request = place.request("sleep 300 & exit 0")
        await runner.start([request])
        await until_ended(runner, [request.run_id])
        [pid] = place.supervisors()
        os.kill(pid, signal.SIGKILL)
        assert (await runner.leftovers()).keys() == {request.run_id}
        assert [process.command for process in await runner.processes(request.run_id)] == ["sleep"]
        assert await runner.signal(request.run_id, signal.SIGKILL) == 1


@pytest.fixture
def keeper(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that starts a command, and stays."""
    command = [sys.executable, "-c", _KEEPER, str(place.state), str(place.workspace), str(place.logs / "k")]
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, MARKER: str(place.root), "PYTHONPATH": path}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_an_orphan_of_a_dead_daemon_is_known_by_the_pipe_that_it_writes_to(
    place: Place, keeper: subprocess.Popen[bytes]
) -> None:
    """It has lost its ancestors, and the mark as well; but a pipe is one run's alone."""
    _open(place)
    await until(lambda: [pid for pid in place.supervisors() if _has_child(pid, "sleep")])
    await _kill_supervisor(place)
    keeper.kill()
    await until(lambda: keeper.poll() is not None)
    async with place.runner() as runner:
        assert [p.command for p in (await runner.leftovers()).get("keeper.1", [])] == ["sleep"]
        assert await runner.signal("keeper.1", signal.SIGKILL) == 1


@pytest.mark.parametrize("ended", [False, True])
async def test_a_start_that_is_not_on_record_leaves_no_orphan_unknown(
    place: Place, keeper: subprocess.Popen[bytes], ended: bool
) -> None:
    """The supervisor died between the spawn and its record: the pipe stands beside the intent."""
    await until(lambda: [pid for pid in place.supervisors() if _has_child(pid, "sh")])
    if ended:
        _open(place)
        await until(lambda: [pid for pid in place.supervisors() if _has_child(pid, "sleep")])
    await _kill_supervisor(place)
    keeper.kill()
    await until(lambda: keeper.poll() is not None)
    journal = place.state / "supervisors" / "1" / "journal"
    kept = [line for line in journal.read_bytes().splitlines(keepends=True) if not _tells_of_a_start(line)]
    journal.write_bytes(b"".join(kept))
    async with place.runner() as runner:
        assert await runner.known(["keeper.1"]) == {"keeper.1": "unknown" if ended else "running"}
        if not ended:
            _open(place)
            await until_ended(runner, ["keeper.1"])
        await until(lambda: (place.logs / "k").read_text() == "open\n")
        assert [p.command for p in (await runner.leftovers()).get("keeper.1", [])] == ["sleep"]
        assert await runner.signal("keeper.1", signal.SIGKILL) == 1


_SLOW_TO_BEGIN = f"""
import os, signal, sys, time
sys.path.insert(0, {str(Path(phased.__file__).parents[1])!r})
from phased.supervisor.actions import Actions
from phased.supervisor.loop import main

class Dying(Actions):
    def spawn(self, argv, environment, output, to_default):
        supervisor = os.getpid()
        if os.fork() == 0:
            os.dup2(output, 1), os.dup2(output, 2)
            os.closerange(3, 1000)
            while os.getppid() == supervisor:
                time.sleep(0.005)
            time.sleep(0.5)
            os.setsid()
            os.execve(argv[0], argv, environment)
        os.kill(supervisor, signal.SIGKILL)

main(sys.argv[-1], Dying())
"""
"""Dies while it spawns, so that only the intent is on record; what it spawned shows its run's id later."""


@pytest.mark.parametrize("adopted", [False, True])
async def test_what_was_being_spawned_when_its_supervisor_died_is_looked_for_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, adopted: bool
) -> None:
    """It is not told to be lost while it runs (rule 2)."""
    monkeypatch.setattr(search, "_PATIENCE", 60.0)
    request = place.request(f"while [ ! -e {place.workspace}/gate ]; do sleep 0.02; done; echo open")
    program = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _SLOW_TO_BEGIN]
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(place.runner(program=program))
        await runner.start([request])
        if adopted:
            await stack.aclose()
            runner = await stack.enter_async_context(place.runner())
            assert await runner.known([request.run_id]) == {request.run_id: "running"}
        else:
            await until_started(runner, [request.run_id])
        assert any(process.leader for process in await runner.processes(request.run_id))
        _open(place)
        ended = await until_ended(runner, [request.run_id])
        assert outcome(ended[request.run_id]) == 0
        await until(lambda: log_of(request) == "open\n")
        await runner.forget([request.run_id])


_PARENT = """
import os, sys, time
pid = os.fork()
if pid == 0:
    time.sleep(300)
print(pid, flush=True)
sys.stdin.readline()
os.waitpid(pid, 0)
sys.stdin.readline()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that prints the pid of its child, and takes the status of that when it reads a line."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-I", "-S", "-c", _PARENT]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_the_status_of_a_stranger_is_had_once_its_parent_has_taken_it(
    parent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has it on record only then, which is later than the end itself (Linux 6.15)."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15):
        pytest.skip("this kernel keeps no status of strangers")
    monkeypatch.setattr(wards, "_PATIENCE", 60.0)
    told: list[tuple[str, int | None]] = []
    assert parent.stdin
    assert parent.stdout
    child = look(int(parent.stdout.readline()))
    assert child is not None
    found = wards.Wards(lambda run_id, status: told.append((run_id, status)))
    assert found.take(Trace("r.1", "", pid=child.pid, start_time=child.start))
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: _is_dead(child.pid))
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    assert told == [], "it is not known yet"
    parent.stdin.write(b"\n")
    await until(lambda: told)
    assert told == [("r.1", signal.SIGKILL)]
    found.close()


def _open(place: Place) -> None:
    (place.workspace / "gate").touch()


def _tells_of_a_start(record: bytes) -> bool:
    return any(word in record for word in (b'"started"', b'"identity"', b'"exited"', b'"acknowledged"'))


def _has_child(supervisor: int, name: str) -> bool:
    """Whether something of this name is its child."""
    with open(f"/proc/{supervisor}/task/{supervisor}/children", encoding="ascii") as file:
        return any((child := look(int(pid))) and child.name == name for pid in file.read().split())
