"""Somebody sets the wall clock while work runs: deadlines hold, and versions still grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from phased.engine.engine import Limits
from phased.engine.registry import LiveExecution
from phased.testing.fake_runner import Outcome
from tests.engine.build import Bench, bench, catalog

pytestmark = pytest.mark.anyio

HOUR = 3_600_000_000
STUBBORN = {"a": Outcome(holds=True, ignores_term=True)}
both_ways = pytest.mark.parametrize("by", [HOUR, -HOUR], ids=["forward", "back"])


def set_clock(b: Bench, by: int) -> None:
    """By so many microseconds."""
    b.clock.set_wall(b.clock.wall() + by)


async def begun(b: Bench) -> LiveExecution:
    """The execution of `a`, running."""
    (live,) = await b.begin("a")
    await b.until(lambda: b.phases(live) == {"a": "RUNNING"})
    return live


def versions_grow(b: Bench) -> bool:
    """Of all that was saved."""
    versions = [change.version for change in b.store.saved]
    return versions == sorted(set(versions))


@both_ways
async def test_a_timeout_is_neither_early_nor_late(tmp_path: Path, by: int) -> None:
    """And so is the limit of its end."""
    tasks = catalog("a", a={"timeout": "PT60S"})
    async with bench(tmp_path, tasks, STUBBORN, Limits(stop_timeout=10)) as b:
        live = await begun(b)
        b.clock.advance(30)
        set_clock(b, by)
        b.clock.advance(29)
        await b.engine.settled()
        assert b.runner.run_of("a").signals == []
        b.clock.advance(1)
        await b.until(lambda: b.runner.run_of("a").signals == [15])
        set_clock(b, by)
        b.clock.advance(9)
        await b.engine.settled()
        assert b.runner.run_of("a").signals == [15]
        b.clock.advance(1)
        await b.end(live)
        assert b.message(live, "a") == "timed out after 60 s"
        assert versions_grow(b)


@both_ways
async def test_a_stop_keeps_its_limit(tmp_path: Path, by: int) -> None:
    """Killed after ten seconds, not at once and not an hour later."""
    async with bench(tmp_path, catalog("a"), STUBBORN, Limits(stop_timeout=10)) as b:
        live = await begun(b)
        b.engine.stop([live], "a test")
        await b.until(lambda: b.runner.run_of("a").signals == [15])
        set_clock(b, by)
        b.clock.advance(9)
        await b.engine.settled()
        assert b.runner.run_of("a").signals == [15]
        b.clock.advance(1)
        await b.end(live)
        assert b.phases(live) == {"a": "FAILED"}
        assert versions_grow(b)


@both_ways
async def test_a_later_engine_goes_on_growing(tmp_path: Path, by: int) -> None:
    """New versions follow the stored ones, whatever the clock says after a restart."""
    async with bench(tmp_path, catalog("a", "b: a"), {"a": Outcome(holds=True)}) as b:
        live = await begun(b)
        for _ in range(3):
            set_clock(b, by)
            b.engine.record_output(live, next(iter(live.steps)), {"K": str(b.clock.wall())})
            await b.engine.settled()
        b.runner.finish("a")
        await b.end(live)
        assert versions_grow(b)
        assert live.machine.phase.name == "SUCCEEDED"
