"""An upgrade: the daemon is of a new version, a supervisor that lives is not (rule 9)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

import phased
from phased.ports import RunExited
from phased.supervisor.channel import PROTOCOL
from phased.supervisor.generation import Generation
from phased.supervisor.journal import read_journal
from tests.runners.build import Place, log_of, outcome, run, until, until_async, until_ended, until_started

pytestmark = pytest.mark.anyio

_SOURCE = str(Path(phased.__file__).parents[1])
_OLDER = [sys.executable, "-I", "-S", "-X", "utf8", f"{Path(__file__).parent}/older.py", _SOURCE]


def _protocols(place: Place) -> list[int]:
    """Those that the supervisors of which there is something left speak."""
    root = str(place.state / "supervisors")
    journals = [Generation(root, number).journal for number in place.generations()]
    return [next(iter(read_journal(path)))[3]["protocol"] for path in journals]


async def test_an_older_supervisor_keeps_its_steps_and_gets_no_new_ones(place: Place) -> None:
    """And when these have ended it goes, while the daemon lives on."""
    go = place.root / "go"
    old = place.request(f"echo begin; while [ ! -e {go} ]; do sleep 0.02; done; echo end; exit 7")
    async with place.runner(program=_OLDER) as runner:
        await runner.start([old])
        await until_started(runner, [old.run_id])
        await until(lambda: log_of(old) == "begin\n")
    async with place.runner() as runner:
        assert await runner.known([old.run_id]) == {old.run_id: "running"}
        assert outcome((await run(runner, place.request("exit 3")))[0]) == 3
        assert _protocols(place) == [0, PROTOCOL]
        assert len(place.supervisors()) == 2
        assert [process.leader for process in await runner.processes(old.run_id) if process.leader] == [True]
        go.touch()
        report = (await until_ended(runner, [old.run_id]))[old.run_id]
        assert isinstance(report, RunExited)
        assert (report.code, log_of(old)) == (7, "begin\nend\n")
        await runner.forget([old.run_id])
        await until(lambda: _protocols(place) == [PROTOCOL])
        assert outcome((await run(runner, place.request("exit 4")))[0]) == 4


async def test_the_files_under_a_supervisor_may_be_replaced(place: Place) -> None:
    """It has imported everything by the time it answers: an upgrade takes its files away."""
    copied = place.root / "installed" / "phased"
    shutil.copytree(f"{_SOURCE}/phased/supervisor", copied / "supervisor")
    shutil.copy(f"{_SOURCE}/phased/__init__.py", copied)
    program = [sys.executable, "-I", "-S", "-X", "utf8", f"{copied}/supervisor/__main__.py"]
    async with place.runner(program=program) as runner:
        first, long = place.request("exit 3"), place.request("sleep 300 & exec sleep 300")
        assert outcome((await run(runner, first))[0]) == 3
        shutil.rmtree(place.root / "installed")
        assert outcome((await run(runner, place.request("head -c 3000000 /dev/zero; exit 4")))[0]) == 4
        assert outcome((await run(runner, place.request(f"{'#' * 200_000}\nexit 5")))[0]) == 5
        await runner.start([long])
        await until_started(runner, [long.run_id])
        assert len(await runner.processes(long.run_id)) == 2
        await runner.signal(long.run_id, SIGKILL)
        assert outcome((await until_ended(runner, [long.run_id]))[long.run_id]) == "signal 9"

        async def is_empty() -> bool:  # what was killed takes a moment to die
            return await runner.leftovers() == {}

        await until_async(is_empty)
        assert len(place.supervisors()) == 1
    await until(lambda: place.supervisors() == [])  # it may have a dead orphan still to bury
