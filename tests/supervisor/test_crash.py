"""The supervisor, the daemon or both are killed at any moment: nothing is lost, nothing runs twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

import anyio
import pytest

import phased
from phased.ports import RunExited, RunLost, RunReport, RunRequest
from phased.runners.process import ProcessRunner
from phased.supervisor.census import look
from phased.supervisor.journal import read_journal
from tests.runners.build import (
    Place,
    log_of,
    new_place,
    outcome,
    until,
    until_async,
    until_ended,
    until_started,
)

pytestmark = pytest.mark.anyio

SOURCE = str(Path(phased.__file__).parents[1])
PATHS = os.pathsep.join(filter(None, sys.path))
"""Where programs of these tests find what the tests find."""
_MOST = 400


def _requests(place: Place, count: int = 3) -> list[RunRequest]:
    """Runs that leave a line each time they run, print, and exit with their number."""
    script = "echo x >> {ran}; echo one; echo two >&2; exit {code}"
    return [place.request(script.format(ran=place.root / f"ran{n}", code=n)) for n in range(1, count + 1)]


def _times_run(place: Place, number: int) -> int:
    path = place.root / f"ran{number}"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _check(place: Place, number: int, request: RunRequest, report: RunReport | str) -> str:
    """Compare what was told with what the command did; what was told, in short."""
    ran = _times_run(place, number)
    assert ran <= 1, f"run {ran} times; told {report}"
    if isinstance(report, RunExited) and report.code is not None:
        assert (report.code, ran) == (number, 1)
        assert log_of(request) == "one\ntwo\n"
        return "exact"
    if isinstance(report, RunExited):
        assert report.signal is None, "no step is ended by the death of its supervisor"
        assert ran == 1
        assert log_of(request) == "one\ntwo\n", "a copy of the pipe is here"
        return "ended"
    assert isinstance(report, RunLost) or report in ("gone", "unknown"), report
    return "lost"


async def _with_dying_supervisor(nth: int) -> tuple[bool, Counter[str]]:
    """Whether it died, and how the runs were told to end."""
    with new_place() as place:
        program = [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "utf8",
            f"{Path(__file__).parent}/dying.py",
            SOURCE,
            str(nth),
        ]
        requests = _requests(place)
        async with place.runner(program=program) as runner:
            await runner.start(requests)
            first = place.generations()
            ended = await until_ended(runner, [request.run_id for request in requests])
            await runner.forget([request.run_id for request in requests])
            await until(lambda: place.supervisors() or place.generations() == [])
            died = place.generations() != first
            told = [request for request in requests if isinstance(ended[request.run_id], RunExited)]
            await until(lambda: all(log_of(request) == "one\ntwo\n" for request in told))
        found = Counter(
            _check(place, n, request, ended[request.run_id]) for n, request in enumerate(requests, 1)
        )
        return died, found


async def test_a_supervisor_killed_between_any_two_actions() -> None:
    """Every run ends, with what it did or an honest cause; none ran twice (rules 1 and 2)."""
    kinds: Counter[str] = Counter()
    for nth in range(1, _MOST):
        died, found = await _with_dying_supervisor(nth)
        kinds += found
        if not died:
            break
    else:
        pytest.fail("it never came to its end")
    assert nth > 15, "it has more actions than that"
    assert kinds["exact"] > kinds["ended"] + kinds["lost"], kinds


def _saved(store: Path) -> list[list[Any]]:
    return [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []


@pytest.fixture
def daemons() -> Iterator[subprocess.Popen[str]]:
    """The program that forks daemons."""
    command = [sys.executable, f"{Path(__file__).parent}/daemon.py"]
    environment = {**os.environ, "PYTHONPATH": PATHS}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as program:
        yield program


async def _with_dying_daemon(nth: int, daemons: subprocess.Popen[str]) -> bool:
    """Whether the daemon died; in any case its successor finishes what it began."""
    with new_place() as place:
        requests = _requests(place, 2)
        file = place.root / "requests"
        file.write_text(json.dumps([asdict(request) for request in requests]))
        assert daemons.stdin
        assert daemons.stdout
        daemons.stdin.write(json.dumps([str(place.state), nth, str(file)]) + "\n")
        daemons.stdin.flush()
        code = int(await anyio.to_thread.run_sync(daemons.stdout.readline))
        assert code in (0, -signal.SIGKILL)
        saved = _saved(Path(f"{file}.store"))
        results = {words[1]: words[2] for words in saved if words[0] == "result"}
        intents = [words[1] for words in saved if words[0] == "intent"]
        ended = await _succeed(
            place, {r.run_id: r for r in requests}, [i for i in intents if i not in results]
        )
        for number, request in enumerate(requests, 1):
            if request.run_id in results:
                assert (results[request.run_id], _times_run(place, number)) == (number, 1)
            elif request.run_id in ended:
                assert _check(place, number, request, ended[request.run_id]) == "exact"
            else:
                assert _times_run(place, number) == 0, "it ran without an intent"
        await until(lambda: not place.supervisors())
        return code != 0


async def _succeed(
    place: Place, requests: dict[str, RunRequest], open_runs: list[str]
) -> dict[str, RunReport]:
    """The next daemon: what is absent is started, what runs is waited for."""
    async with place.runner() as runner:
        known = await runner.known(open_runs)
        absent = [requests[run_id] for run_id, fate in known.items() if fate == "absent"]
        await runner.start(absent)
        coming = [run_id for run_id, fate in known.items() if fate in ("running", "absent")]
        assert all(fate in ("running", "absent") for fate in known.values() if isinstance(fate, str)), known
        ended = await until_ended(runner, coming)
        await runner.forget(open_runs)
    return ended | {run_id: fate for run_id, fate in known.items() if not isinstance(fate, str)}


async def test_a_daemon_killed_between_any_two_actions(daemons: subprocess.Popen[str]) -> None:
    """Its successor finds each result, or starts what never began (rules 3 and 4)."""
    for nth in range(1, _MOST):
        if not await _with_dying_daemon(nth, daemons):
            break
    else:
        pytest.fail("it never came to its end")
    assert nth > 15, "it has more actions than that"


# ---- with steps that go on ---------------------------------------------------------------------------


def _long(place: Place, code: int = 7) -> RunRequest:
    """Prints a line, waits for `go`, then prints more than any pipe holds, and the rest."""
    go = place.root / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    return place.request(
        f"echo begin; {wait}; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end; exit {code}"
    )


def _whole(request: RunRequest) -> bool:
    return log_of(request) == "begin\n" + "x" * 3_000_000 + "\nend\n"


async def _start_long(place: Place, runner: ProcessRunner) -> RunRequest:
    request = _long(place)
    await runner.start([request])
    await until_started(runner, [request.run_id])
    await until(lambda: log_of(request) == "begin\n")
    return request


async def test_steps_outlive_their_supervisor_with_log_and_status(place: Place) -> None:
    """No SIGPIPE, no gap, no lost status (rules 11 and 19)."""
    async with place.runner() as runner:
        request = await _start_long(place, runner)
        os.kill(place.supervisors()[0], signal.SIGKILL)
        await until(lambda: len(place.supervisors()) == 1 and place.generations() == [1, 2])
        assert [p.leader for p in await runner.processes(request.run_id) if p.leader] == [True]
        (place.root / "go").touch()
        report = (await until_ended(runner, [request.run_id]))[request.run_id]
        assert outcome(report) == 7, "we are a subreaper, so its status comes to us"
        await until(lambda: _whole(request))
        await runner.forget([request.run_id])
    assert place.generations() == []


_NEVER_LOOKS = f"""
import sys
sys.path.insert(0, {SOURCE!r})
from phased.supervisor import steps
from phased.supervisor.actions import Actions
from phased.supervisor.loop import main
steps._YOUTH = 100_000
main(sys.argv[-1], Actions())
"""


async def test_steps_that_have_just_begun_are_known_by_the_moment_of_their_spawn(place: Place) -> None:
    """Their start times were not read yet: the clock before and after each brackets it (rule 18)."""
    program = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _NEVER_LOOKS]
    async with place.runner(program=program) as runner:
        requests = [place.request("exec sleep 300") for _ in range(30)]
        await runner.start(requests)
        await until(lambda: _kinds(place)["started"] == len(requests))
        assert _kinds(place)["identity"] == 0
        os.kill(place.supervisors()[0], signal.SIGKILL)
        await until_started(runner, [request.run_id for request in requests])
        for request in requests:
            assert [p.leader for p in await runner.processes(request.run_id)] == [True]
            await runner.signal(request.run_id, signal.SIGKILL)
        ended = await until_ended(runner, [request.run_id for request in requests])
        assert {outcome(report) for report in ended.values()} == {"signal 9"}


def _kinds(place: Place) -> Counter[str]:
    journal = str(place.state / "supervisors" / "1" / "journal")
    return Counter(record[1] for record in read_journal(journal))


@pytest.fixture
def keeper(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that runs one step, whose log is `k.log`, and waits."""
    script = place.root / "keeper.py"
    script.write_text(_KEEPER)
    command = [sys.executable, str(script), str(place.state), str(place.root), str(place.logs)]
    environment = {**os.environ, "TEST_PLACE": str(place.root), "PYTHONPATH": PATHS}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as daemon:
        try:
            yield daemon
        finally:
            daemon.kill()


async def test_steps_outlive_both_and_are_adopted(place: Place, keeper: subprocess.Popen[bytes]) -> None:
    """The step blocks at a full pipe until somebody reads it again."""
    request = place.request("", log=str(place.logs / "k.log"))
    await until(lambda: log_of(request) == "begin\n")
    [supervisor] = place.supervisors()
    os.kill(supervisor, signal.SIGSTOP)  # so that it does not notice, and both die as one
    keeper.kill()
    os.kill(supervisor, signal.SIGKILL)
    await until(lambda: not place.supervisors())
    async with place.runner() as runner:
        assert await runner.known(["keeper.1"]) == {"keeper.1": "running"}
        (place.root / "go").touch()
        report = (await until_ended(runner, ["keeper.1"]))["keeper.1"]
        assert isinstance(report, RunExited)
        assert report.signal is None
        assert report.code in (7, None), "the kernel tells the status of a stranger since Linux 6.15"
        await until(lambda: _whole(request))
        await runner.forget(["keeper.1"])
    assert place.generations() == []


_KEEPER = """
import os, sys
from pathlib import Path
from typing import Any
from zlib import crc32
import anyio
from phased.engine.clock import SystemClock
from phased.ports import RunRequest
from phased.runners.process import ProcessRunner

async def main():
    state, root, logs = sys.argv[1:]
    command = (
        f"echo begin; while [ ! -e {root}/go ]; do sleep 0.02; done; "
        "head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo end; exit 7"
    )
    async with ProcessRunner(Path(state), dict(os.environ), "/bin/sh", SystemClock()) as runner:
        await runner.start([RunRequest("keeper.1", command, {}, root, f"{logs}/k.log")])
        await anyio.sleep(600)

anyio.run(main)
"""


async def test_a_daemon_that_lost_its_supervisor_finds_what_steps_left(place: Place) -> None:
    """By descent from the heir, and by mark."""
    async with place.runner() as runner:
        left = place.request("env -i setsid -f sleep 300 >/dev/null 2>&1; exit 0")
        await runner.start([left])
        await until_ended(runner, [left.run_id])
        os.kill(place.supervisors()[0], signal.SIGKILL)
        await until(lambda: not place.supervisors())

        async def is_alone() -> bool:
            return [p.command for p in (await runner.leftovers()).get(left.run_id, [])] == ["sleep"]

        await until_async(is_alone)
        [process] = (await runner.leftovers())[left.run_id]
        assert await runner.signal(left.run_id, signal.SIGKILL) == 1
        await until(lambda: not ((now := look(process.pid)) and now.living))
        assert await runner.leftovers() == {}


async def test_a_supervisor_that_is_only_stopped_is_not_taken_for_dead(place: Place) -> None:
    """It holds its lock; its runs go on, and new ones go elsewhere (rule 7)."""
    request = place.request(f"while [ ! -e {place.root}/go ]; do sleep 0.02; done; exit 5")
    async with place.runner() as runner:
        await runner.start([request])
        await until_started(runner, [request.run_id])
    [pid] = place.supervisors()
    os.kill(pid, signal.SIGSTOP)
    try:
        async with place.runner() as runner:
            assert await runner.known([request.run_id]) == {request.run_id: "running"}
            other = place.request("exit 3")
            await runner.start([other])
            assert outcome((await until_ended(runner, [other.run_id]))[other.run_id]) == 3
            (place.root / "go").touch()
            os.kill(pid, signal.SIGCONT)
            assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == 5
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["boot", "namespace", "init"])
async def test_another_boot_means_that_everything_ended(place: Place, what: str) -> None:
    """A pid of that time is a stranger now (rule 18); also where only the container was started anew."""
    request = place.request("exec sleep 300")
    async with place.runner() as runner:
        await runner.start([request])
        await until_started(runner, [request.run_id])
        [process] = await runner.processes(request.run_id)
    [pid] = place.supervisors()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not place.supervisors())
    journal = place.state / "supervisors" / "1" / "journal"
    _pretend_another(what, journal)
    async with place.runner() as runner:
        [fate] = (await runner.known([request.run_id])).values()
        assert isinstance(fate, RunLost)
        assert fate.reason == "the machine rebooted"
        assert await runner.signal(request.run_id, signal.SIGKILL) == 0, "a stranger is never signalled"
        assert look(process.pid) is not None
        await runner.forget([request.run_id])
    assert place.generations() == []
    os.kill(process.pid, signal.SIGKILL)


def _pretend_another(what: str, journal: Path) -> None:
    first, *others = journal.read_bytes().splitlines(keepends=True)
    record = json.loads(first[9:])
    record[3][what] = "another"
    body = json.dumps(record, separators=(",", ":")).encode()
    journal.write_bytes(b"%08x %s\n" % (crc32(body), body) + b"".join(others))


async def test_the_next_daemon_is_given_a_copy_of_every_output(place: Place) -> None:
    """What a step wrote last, and its supervisor never read, is not lost with that (rule 11)."""
    go = place.root / "go"
    request = place.request(f"echo begin; while [ ! -e {go} ]; do sleep 0.02; done; echo end")
    async with place.runner() as runner:
        await runner.start([request])
        await until(lambda: log_of(request) == "begin\n")
    [supervisor] = place.supervisors()
    async with place.runner() as runner:
        assert await runner.known([request.run_id]) == {request.run_id: "running"}
        [pid] = [process.pid for process in await runner.processes(request.run_id) if process.leader]
        os.kill(supervisor, signal.SIGSTOP)
        go.touch()
        await until(lambda: not ((now := look(pid)) and now.living))
        os.kill(supervisor, signal.SIGKILL)
        await until_ended(runner, [request.run_id])
        await until(lambda: log_of(request) == "begin\nend\n")
        await runner.forget([request.run_id])
