"""Steps that misbehave, and disks that do: each gets the right end, and only what cannot be kept is lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM

import anyio
import pytest

from phased.engine.clock import SystemClock
from phased.errors import SupervisorLost
from phased.ports import RunExited, RunNotStarted, RunRequest
from phased.runners.process import ProcessRunner
from phased.supervisor.census import children_of, look
from phased.supervisor.generation import generations
from phased.supervisor.journal import read_journal
from tests.runners.build import (
    Place,
    bytes_of,
    log_of,
    outcome,
    run,
    until,
    until_async,
    until_ended,
    until_started,
)

pytestmark = pytest.mark.anyio


async def _end(runner: ProcessRunner, request: RunRequest) -> None:
    """End a run as the engine does: ask, then kill until it is empty."""
    await runner.signal(request.run_id, SIGTERM)

    async def is_empty() -> bool:
        await runner.signal(request.run_id, SIGKILL)
        return not await runner.processes(request.run_id)

    await until_async(is_empty)


def _ready(place: Place, name: str = "ready") -> str:
    """Shell text that says that a step is where the test wants it."""
    return f"touch {place.root}/{name}"


async def _until_ready(place: Place, name: str = "ready") -> None:
    await until((place.root / name).exists)


async def test_bytes_that_are_no_text_and_no_newline_are_kept(place: Place) -> None:
    """Nobody decodes output on its way."""
    async with place.runner() as runner:
        request = place.request(r"printf 'a\377\376\000b'")
        await run(runner, request)
    assert bytes_of(request) == b"a\xff\xfe\x00b"


async def test_a_line_of_100_mb_is_kept(place: Place) -> None:
    """Nobody looks for lines either."""
    size = 100 << 20
    async with place.runner() as runner:
        request = place.request(f"head -c {size} /dev/zero")
        assert [outcome(r) for r in await run(runner, request)] == [0]
    assert len(bytes_of(request)) == size


async def test_a_step_that_reopens_its_output_by_name_truncates_nothing(place: Place) -> None:
    """It would, were its output the file itself (rule 10)."""
    async with place.runner() as runner:
        request = place.request("echo 1; echo 2 >/dev/stderr; echo 3 | tee /dev/stderr; echo 4 >/dev/stdout")
        await run(runner, request)
    assert log_of(request) == "1\n2\n3\n3\n4\n"


async def test_a_step_that_closes_its_output_ends_as_it_would(place: Place) -> None:
    """The end of its output is not its own."""
    async with place.runner() as runner:
        request = place.request("echo a; exec >&- 2>&-; sleep 0.1; exit 3")
        assert [outcome(r) for r in await run(runner, request)] == [3]
        assert await runner.leftovers() == {}
    assert log_of(request) == "a\n"


async def test_a_child_that_writes_for_ever_does_not_hold_up_the_exit(place: Place) -> None:
    """What is in the pipe at the exit is drained, no more (rule 12)."""
    async with place.runner() as runner:
        request = place.request("yes & exit 4")
        assert [outcome(r) for r in await run(runner, request)] == [4]
        await _end(runner, request)
        assert await runner.leftovers() == {}


async def test_a_step_that_ignores_the_request_to_end_is_killed(place: Place) -> None:
    """SIGTERM leaves it alive, SIGKILL does not."""
    async with place.runner() as runner:
        request = place.request(f"trap '' TERM; {_ready(place)}; while :; do sleep 0.05; done")
        await runner.start([request])
        await _until_ready(place)
        await runner.signal(request.run_id, SIGTERM)
        assert await runner.processes(request.run_id)
        await _end(runner, request)
        assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == "signal 9"


async def test_a_step_that_forks_in_a_loop_while_it_is_ended_ends(place: Place) -> None:
    """Newcomers are found until there are none."""
    loop = (
        f"trap '' TERM; {_ready(place)}; "
        "for _ in $(seq 20000); do (trap '' TERM; sleep 30) & sleep 0.001; done"
    )
    async with place.runner() as runner:
        request = place.request(loop)
        await runner.start([request])
        await _until_ready(place)
        await _end(runner, request)
        assert await runner.processes(request.run_id) == []
        assert await runner.leftovers() == {}


async def test_a_chain_of_forks_whose_links_exit_at_once_ends(place: Place) -> None:
    """Each link lives shorter than a look at all processes takes; without a test, it ends by itself."""
    script = place.root / "chain.py"
    script.write_text(
        "import os, time\nend = time.monotonic() + 120\nwhile time.monotonic() < end:\n"
        "    if os.fork():\n        os._exit(0)\n    time.sleep(0.002)\n"
    )
    async with place.runner() as runner:
        request = place.request(f"{sys.executable} -I -S {script} & {_ready(place)}; exit 0")
        await run(runner, request)
        await until_async(runner.leftovers)
        await _end(runner, request)
        assert await runner.leftovers() == {}


_CHAINS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 8
for _ in range(30):
    if os.fork() == 0:
        while time.monotonic() < end:
            time.sleep(0.002)
            if os.fork():
                os._exit(0)
            os.setsid()
        os._exit(0)
time.sleep(120)
"""
"""Should the test fail, the chains end by themselves."""
_MOST_ZOMBIES = 5000


def _zombies_of(parent: int) -> int:
    found = filter(None, map(look, children_of(parent)))
    return sum(not process.living for process in found)


async def test_many_chains_of_forks_at_once_leave_the_supervisor_to_others(place: Place) -> None:
    """It reaps while it signals: else each look at all takes longer than the last, until pids are used up."""
    (place.root / "chains.py").write_text(_CHAINS)
    most = 0
    async with place.runner() as runner:
        request = place.request(f"exec {sys.executable} -I -S {place.root}/chains.py")
        await runner.start([request])
        await until_started(runner, [request.run_id])
        [supervisor] = place.supervisors()
        await until(lambda: len(children_of(supervisor)) > 20)

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, _zombies_of(supervisor))
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await _end(runner, request)
            group.cancel_scope.cancel()
        assert most < _MOST_ZOMBIES
        assert await runner.leftovers() == {}
        assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == "signal 9"


_TO_ITS_PIPE = "env -i setsid -f prlimit --msgqueue=90000 sleep 300; exit 0"
"""It has lost parents, session, variables and mark; its output is still the run's."""


async def test_what_lost_its_mark_as_well_is_known_by_the_pipe_that_it_writes_to(place: Place) -> None:
    """A pipe is one run's alone, as long as it is there."""
    async with place.runner() as runner:
        others = [place.request("sleep 300") for _ in range(3)]
        request = place.request(_TO_ITS_PIPE)
        await runner.start([*others, request])
        await until_ended(runner, [request.run_id])

        async def is_there() -> bool:
            return [p.command for left in (await runner.leftovers()).values() for p in left] == ["sleep"]

        await until_async(is_there)
        assert (await runner.leftovers()).keys() == {request.run_id}
        assert await runner.signal(request.run_id, SIGKILL) == 1
        assert await runner.leftovers() == {}
        assert all([await runner.processes(other.run_id) for other in others]), "nobody else was signalled"
        for other in others:
            await _end(runner, other)


@pytest.mark.parametrize(
    "launch", ["setsid -f sleep 300", "env -i setsid -f sleep 300", "(env -i setsid -f sleep 300 &)"]
)
async def test_a_daemon_that_left_everything_is_still_known_and_ended(place: Place, launch: str) -> None:
    """Without session, parent and environment there is the mark (rule 20)."""
    async with place.runner() as runner:
        others = [place.request("sleep 300") for _ in range(3)]
        request = place.request(f"{launch} >/dev/null 2>&1; exit 0")
        await runner.start([*others, request])
        await until_ended(runner, [request.run_id])

        async def names() -> list[str]:
            return [p.command for p in (await runner.leftovers()).get(request.run_id, [])]

        async def is_there() -> bool:
            return await names() == ["sleep"]

        await until_async(is_there)
        assert [p.command for p in await runner.processes(request.run_id)] == ["sleep"]
        assert await runner.signal(request.run_id, SIGTERM) == 1
        await _end(runner, request)
        assert await names() == []
        assert all([await runner.processes(other.run_id) for other in others]), "nobody else was signalled"
        for other in others:
            await _end(runner, other)


async def test_a_stopped_child_wakes_up_to_end(place: Place) -> None:
    """SIGTERM alone would wait for ever."""
    async with place.runner() as runner:
        request = place.request(f"sleep 300 & kill -STOP $!; {_ready(place)}; wait")
        await runner.start([request])
        await _until_ready(place)
        await runner.signal(request.run_id, SIGTERM)
        assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == "signal 15"

        async def is_empty() -> bool:
            return not await runner.processes(request.run_id)

        await until_async(is_empty)


async def test_a_step_that_empties_its_log_leaves_no_hole(place: Place) -> None:
    """Output goes on where the file ends now."""
    async with place.runner() as runner:
        log = str(place.logs / "own.log")
        wait = "while [ ! -s $LOG ]; do sleep 0.02; done"
        request = place.request(f"echo one; {wait}; : > $LOG; echo two", log=log, LOG=log)
        await run(runner, request)
    assert log_of(request) == "two\n"


async def test_a_log_that_is_deleted_hurts_nobody(place: Place) -> None:
    """The step does not notice."""
    log = place.logs / "gone.log"
    async with place.runner() as runner:
        [report] = await run(runner, place.request(f"echo a; rm {log}; echo b; exit 2", log=str(log)))
    assert outcome(report) == 2


async def test_a_state_directory_that_is_too_deep_for_a_socket_says_so(place: Place) -> None:
    """And says the way out."""
    deep = place.root / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    async with ProcessRunner(deep, {}, "/bin/sh", SystemClock()) as runner:
        with pytest.raises(
            SupervisorLost, match=r"^cannot run steps .* bytes, the system allows 107.*--state-dir"
        ):
            await runner.start([place.request("true")])


async def test_many_runs_at_once_stay_within_few_descriptors(place: Place) -> None:
    """The limits of this process stay as they are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with place.runner() as runner:
        requests = [place.request("sleep 300") for _ in range(60)]
        await runner.start(requests)
        await until_started(runner, [request.run_id for request in requests])
        for request in requests:
            await _end(runner, request)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


# ---- full disks --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = place.root / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "phased-test", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting a small tmpfs is not permitted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        place.end_everything()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


async def test_a_log_on_a_full_disk_does_not_hang_the_step_and_marks_the_gap(
    place: Place, small_disk: Path
) -> None:
    """Said once, and what comes when there is room again is kept (rule 15)."""
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 500_000)
    log = small_disk / "step.log"
    command = (
        f"head -c 4000000 /dev/zero; {_ready(place, 'full')}; "
        f"while [ ! -e {place.root}/go ]; do sleep 0.02; done; "
        f"while ! grep -aq more {log}; do echo more; sleep 0.1; done; echo end; exit 5"
    )
    async with place.runner() as runner:
        request = place.request(command, log=str(log))
        await runner.start([request])
        await until((place.root / "full").exists)
        filler.unlink()
        (place.root / "go").touch()
        report = (await until_ended(runner, [request.run_id]))[request.run_id]
    assert isinstance(report, RunExited)
    assert report.code == 5
    assert report.note == "output was lost: No space left on device"
    content = log.read_bytes()
    assert b"bytes of output are missing here; output was lost: No space left on device]\n" in content
    assert content.endswith(b"end\n")
    assert len(content) < 4_000_000


async def test_a_full_state_directory_refuses_new_runs_and_keeps_the_ends_of_those_that_run(
    place: Place, small_disk: Path
) -> None:
    """Their room was reserved (rule 14)."""
    go = place.root / "go"
    waiting = [place.request(f"while [ ! -e {go} ]; do sleep 0.02; done; exit {n}") for n in (11, 12)]
    async with ProcessRunner(small_disk, {"PATH": os.defpath}, "/bin/sh", SystemClock()) as runner:
        await runner.start(waiting)
        await until_started(runner, [request.run_id for request in waiting])
        _fill(small_disk / "filler")
        refused = None
        for _ in range(2000):  # until what was reserved ahead is used up
            [refused] = await run(runner, place.request("true"))
            if isinstance(refused, RunNotStarted):
                break
        assert isinstance(refused, RunNotStarted)
        assert "state directory" in refused.reason
        go.touch()
        ended = await until_ended(runner, [request.run_id for request in waiting])
        assert [outcome(ended[request.run_id]) for request in waiting] == [11, 12]
    async with ProcessRunner(small_disk, {"PATH": os.defpath}, "/bin/sh", SystemClock()) as runner:
        known = await runner.known([request.run_id for request in waiting])
        assert [outcome(report) for report in known.values() if not isinstance(report, str)] == [11, 12]
        (small_disk / "filler").unlink()
        [report] = await run(runner, place.request("exit 8"))
        assert outcome(report) == 8


async def test_what_a_full_disk_refused_is_not_started_when_its_supervisor_dies(
    place: Place, small_disk: Path
) -> None:
    """It was told, though the journal had no room to say so."""
    async with ProcessRunner(small_disk, {"PATH": os.defpath}, "/bin/sh", SystemClock()) as runner:
        await run(runner, place.request("true"))
        [generation] = generations(str(small_disk / "supervisors"))
        _fill(small_disk / "filler")
        for number in range(2000):  # until what was reserved ahead is used up
            trace = place.root / f"ran.{number}"
            request = place.request(f"touch {trace}")
            await runner.start([request])  # and it is not forgotten, as its end cannot be saved either
            report = (await until_ended(runner, [request.run_id]))[request.run_id]
            if all(request.run_id not in record for record in read_journal(generation.journal)):
                break
        assert isinstance(report, RunNotStarted)
        pid = next(iter(read_journal(generation.journal)))[3]["pid"]
        os.kill(pid, SIGSTOP)  # so that it does not write when there is room
        (small_disk / "filler").unlink()
        os.kill(pid, SIGKILL)
        [report] = await run(runner, place.request("exit 8"))
        assert outcome(report) == 8
        assert not trace.exists()
