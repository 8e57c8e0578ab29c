"""An engine whose store fails: what was acknowledged is never forgotten, what was not saved is refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest

from phased.core.phases import TERMINAL_PHASES
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.registry import LiveExecution
from phased.errors import StoreError
from phased.ports import RunRequest
from phased.store.sqlite import SqliteStore
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner
from tests.engine.build import DEADLINE, catalog
from tests.faults.failing import MESSAGES, Fault, failing_store

pytestmark = pytest.mark.anyio

TASKS = catalog("compile", "lint", "test: compile lint")


class Witness(FakeRunner):
    """Looks into the file, as somebody does after a crash, before it starts anything."""

    def __init__(self, clock: FakeClock, path: Path) -> None:
        super().__init__(clock)
        self.path = path

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Each run has been saved by now, and none is started twice."""
        with closing(sqlite3.connect(self.path)) as connection:
            saved = {row[0] for row in connection.execute("SELECT run_id FROM steps")}
        wanted = [request.run_id for request in requests]
        assert saved >= set(wanted)
        assert not self.runs.keys() & set(wanted)
        await super().start(requests)


@asynccontextmanager
async def engine(path: Path, fault: Fault) -> AsyncIterator[tuple[Engine, Witness, FakeClock]]:
    """One that runs, over this file."""
    clock = FakeClock()
    store = failing_store(fault, path)
    runner = Witness(clock, path)
    try:
        async with Engine(
            store, runner, clock, path.parent, lambda e, s: path.parent / e / f"{s}.log", Limits()
        ) as made:
            clock.watch(made.wake)
            yield made, runner, clock
    finally:
        await store.close()


async def fire(made: Engine, runner: Witness, fault: Fault) -> LiveExecution:
    """Ask until it is acknowledged; what was refused has left nothing."""
    while True:
        try:
            (live,) = await made.fire(TASKS, ["test"], Origin())
        except StoreError:
            assert not runner.runs
            assert not made.lives
            fault.heal()
            continue
        return live


async def ended(live: LiveExecution, clock: FakeClock, fault: Fault) -> None:
    """Wait for its end; once something failed, the disk works again."""
    with anyio.fail_after(DEADLINE):
        while not live.done.is_set():
            await anyio.sleep(0.001)
            if fault.failed:
                fault.heal()
                clock.advance(1)


@pytest.mark.parametrize("code", MESSAGES, ids=MESSAGES.values())
async def test_each_statement_may_fail_from_then_on(tmp_path: Path, code: int) -> None:
    """Until somebody makes room: the execution ends, and all that it became is saved."""
    empty = tmp_path / "empty.db"
    await SqliteStore.open(empty).close()
    outcomes = set()
    nth = 0
    while True:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        path = folder / "state.db"
        shutil.copy(empty, path)
        fault = Fault(code, nth, lasting=True)
        async with engine(path, fault) as (made, runner, clock):
            live = await fire(made, runner, fault)
            made.begin([live])
            await ended(live, clock, fault)
            clock.advance(1)
            await made.settled()
            status = live.machine.status()
            outcomes.add(status.phase.name)
        stored = await SqliteStore.open_readonly(path).get(live.record.id)
        assert stored is not None
        assert stored.status == status
        assert status.phase in TERMINAL_PHASES
        if status.phase.name == "FAILED":
            assert "cannot write the state" in str(status)
        if not fault.failed:
            break
    assert nth > 10
    assert outcomes == {"SUCCEEDED", "FAILED"}
