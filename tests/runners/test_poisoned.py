"""One run must not take the others, or the machine, with it: what cannot be started, or understood, ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import phased
from phased.ports import RunLost, RunNotStarted
from phased.runners.process import ProcessRunner
from tests.runners.build import Place, outcome, run

pytestmark = pytest.mark.anyio


def poisoned(place: Place, how: str) -> ProcessRunner:
    """A runner whose supervisors are poisoned."""
    source = str(Path(phased.__file__).parents[1])
    script = str(Path(__file__).with_name("poisoned.py"))
    return place.runner(program=(sys.executable, script, how, source))


async def test_a_run_that_kills_supervisors_is_given_up(place: Place) -> None:
    """After three of them; and others are started then."""
    async with poisoned(place, "dies") as runner:
        (report,) = await run(runner, place.request("true", log=str(place.logs / "poison.log")))
        assert isinstance(report, RunNotStarted)
        assert report.reason == "3 supervisors died when they were to start it"
        (other,) = await run(runner, place.request("exit 4"))
        assert outcome(other) == 4
    assert len(place.generations()) <= 4


async def test_a_supervisor_that_cannot_be_understood_loses_its_runs(place: Place) -> None:
    """Nobody waits for ever for what it has to say."""
    async with poisoned(place, "lies") as runner:
        (report,) = await run(runner, place.request("true"))
        assert isinstance(report, RunLost)
        assert report.reason == "its supervisor could not be understood"
