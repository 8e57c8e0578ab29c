"""The history stays within its limits, and what runs is never touched: real processes, a real store."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from phased.contract.service import ServicePhase
from phased.engine import retention
from phased.engine.registry import LiveExecution
from phased.engine.retention import Keep, Retention
from phased.logs.shelf import Shelf
from phased.testing.fake_clock import FakeClock
from tests.engine.services.bench import Bench, bench, service, task, until

pytestmark = pytest.mark.anyio

HOUR = 3600.0
MIB = 1024**2


class Past:
    """A bench, and what retention makes of its history."""

    def __init__(self, b: Bench) -> None:
        self.bench = b
        self.clock = FakeClock(wall=time.time_ns() // 1000)
        self.forgotten: list[int] = []

    async def forget(self, before: int) -> None:
        """As the vault's."""
        self.forgotten.append(before)

    def keeping(self, **limits: float) -> Retention:
        """With these limits."""
        keep = Keep(**limits)  # type: ignore[arg-type] # whole where they have to be
        b = self.bench
        return Retention(b.engine, b.store.history, Shelf(b.state.runs), self.clock, keep, self.forget)

    async def executions(self) -> list[str]:
        """The ids that are left, oldest first."""
        return [one.record.id for one in reversed(await self.bench.store.list(limit=1000))]

    def folders(self) -> set[str]:
        """The ids that have logs."""
        return set(os.listdir(self.bench.state.runs))

    def has_written(self, live: LiveExecution, end: bytes) -> bool:
        """Whether this is the end of its log."""
        log = self.log(live)
        return log.exists() and log.read_bytes().endswith(end)

    async def ended(self, live: LiveExecution) -> None:
        """Wait for its end, and until that is saved."""
        await until(live.done.is_set, "its end")
        await self.bench.engine.settled()

    def log(self, live: LiveExecution) -> Path:
        """Of its one step."""
        (step_id,) = live.steps
        return self.bench.state.log_path(live.record.id, step_id)


@asynccontextmanager
async def past(*commands: str) -> AsyncIterator[Past]:
    """Tasks t0, t1, ... with these commands, none of which has run."""
    async with bench() as b:
        await b.define(*(task(f"t{number}", command) for number, command in enumerate(commands)))
        yield Past(b)


async def test_only_the_newest_are_kept() -> None:
    """With their logs; running ones count, and are never touched, however old."""
    async with past("sleep 1000", "echo x") as p:
        (running,) = await p.bench.begin("t0")
        await until(lambda: running.machine.phase.name == "RUNNING", "it runs")
        ended = [await p.bench.run("t1") for _ in range(5)]
        ids = [running.record.id, *(live.record.id for live in ended)]
        assert await p.keeping(count=2).tidy() == 0
        assert await p.executions() == ids
        keep = p.keeping(count=2)
        p.clock.advance(601)
        assert await keep.tidy() == 3
        assert await p.executions() == [ids[0], *ids[4:]]
        assert p.folders() == {ids[0], *ids[4:]}
        assert running.machine.phase.name == "RUNNING"
        assert p.forgotten[-1] == running.record.created_at
        p.bench.engine.stop([running], "a test")
        await p.ended(running)
        assert await p.keeping(count=2).tidy() == 1


async def test_what_ended_long_ago_is_forgotten() -> None:
    """By the wall clock, and without any end there is no limit."""
    async with past("echo x") as p:
        one = await p.bench.run("t0")
        assert await p.keeping().tidy() == await p.keeping(age=HOUR).tidy() == 0
        p.clock.advance(HOUR + 60)
        assert await p.keeping().tidy() == 0
        assert await p.executions() == [one.record.id]
        assert await p.keeping(age=HOUR).tidy() == 1
        assert (await p.executions(), p.folders()) == ([], set())
        assert p.forgotten[-1] == p.clock.wall()


async def test_logs_take_no_more_than_they_may() -> None:
    """The oldest with logs goes first, also while others run; then the longest log loses its beginning."""
    write = "head -c 3000000 /dev/zero | tr '\\0' x"
    async with past(write, f"{write}; echo; echo end; exec sleep 1000", "true") as p:
        without = await p.bench.run("t2")
        old, new = [await p.bench.run("t0") for _ in range(2)]
        (running,) = await p.bench.begin("t1")
        await until(lambda: p.has_written(running, b"end\n"), "it has written")
        retention = p.keeping(size=7 * MIB)
        assert await retention.tidy() == 1
        assert old.record.id not in p.folders()
        assert len(await p.executions()) == 3
        assert await p.keeping(size=1 * MIB).tidy() == 1
        assert new.record.id not in p.folders()
        assert await p.executions() == [without.record.id, running.record.id]
        facts = p.log(running).stat()
        assert facts.st_size == 3_000_005
        assert 0 < facts.st_blocks * 512 <= 1 * MIB
        assert p.log(running).read_bytes().endswith(b"xxx\nend\n")
        assert running.machine.phase.name == "RUNNING"


async def test_work_that_begins_is_looked_at_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long nothing was to be looked at."""
    monkeypatch.setattr(retention, "_BETWEEN", 1000.0)
    monkeypatch.setattr(retention, "_WHILE_WRITING", 0.1)
    write = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end; exec sleep 1000"
    async with past(write) as p, anyio.create_task_group() as tasks:
        tasks.start_soon(p.keeping(size=MIB).run)
        await anyio.wait_all_tasks_blocked()
        (running,) = await p.bench.begin("t0")
        await until(lambda: p.has_written(running, b"end\n"), "it has written")
        await until(lambda: p.log(running).stat().st_blocks * 512 <= MIB, "it is shortened")
        tasks.cancel_scope.cancel()


async def test_what_left_a_process_behind_stays() -> None:
    """Its processes would belong to nothing."""
    async with past("sleep 1000 &", "echo x") as p:
        left = await p.bench.run("t0")
        other = await p.bench.run("t1")
        assert await p.bench.engine.leftovers()
        assert await p.keeping(age=0.001).tidy() == 0
        p.clock.advance(HOUR)
        assert await p.keeping(age=0.001).tidy() == 1
        assert await p.executions() == [left.record.id]
        assert other.record.id not in p.folders()


async def test_what_a_firing_still_needs_stays() -> None:
    """Whoever takes the firing over after a crash looks for what ran in it."""
    async with past("echo x", "exec sleep 1000") as p:
        ended, running = await p.bench.begin("t0", "t1")
        await p.ended(ended)
        p.clock.advance(HOUR)
        retention = p.keeping(age=1.0)
        p.clock.advance(HOUR)
        assert await retention.tidy() == 0
        assert set(await p.executions()) == {ended.record.id, running.record.id}
        p.bench.engine.stop([running], "a test")
        await p.ended(running)
        assert await retention.tidy() == 2


async def test_folders_that_belong_to_nothing_go_and_former_sessions_do() -> None:
    """A service keeps the logs of its session; a folder that is new may be about to belong to something."""
    async with past() as p:
        (live,) = await p.bench.define(service("db", "echo up; exec sleep 1000"))
        assert await p.bench.start(live) is None
        first = live.progress.session
        await p.bench.stop(live)
        assert await p.bench.start(live) is None
        logs = p.bench.state.runs / live.id
        new, old = (p.bench.state.runs / f"0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a1{n}" for n in range(2))
        for folder in (new, old):
            folder.mkdir()
        os.utime(old, (1, 1))
        await p.keeping(age=HOUR).tidy()
        assert p.folders() == {live.id, new.name}
        assert f"{first}.log" in os.listdir(logs)
        p.clock.advance(2 * HOUR)
        await p.keeping(age=HOUR).tidy()
        assert p.folders() == {live.id}
        assert os.listdir(logs) == [f"{live.progress.session}.log"]
        assert await p.bench.stop(live) is ServicePhase.STOPPED


async def test_age_counts_from_the_end() -> None:
    """What ran for long and has just ended is not old."""
    async with past("sleep 0.1") as p:
        live = await p.bench.run("t0")
        created, ended = live.record.created_at, live.machine.completed_at
        assert ended is not None
        p.clock.advance(HOUR)

        def age_at(moment: int) -> float:
            return (p.clock.wall() - moment) / 1_000_000

        assert await p.keeping(age=age_at((created + ended) // 2)).tidy() == 0
        assert await p.keeping(age=age_at(ended + 1000)).tidy() == 1


async def test_a_log_that_grows_is_measured_again() -> None:
    """By the same keeper that has seen it small."""
    write = "until test -e go; do sleep 0.02; done; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end"
    async with past(f"echo small; {write}; exec sleep 1000") as p:
        (running,) = await p.bench.begin("t0")
        await until(lambda: p.has_written(running, b"small\n"), "its first line")
        retention = p.keeping(size=1 * MIB)
        for _ in range(2):
            assert await retention.tidy() == 0
        (p.bench.workspace / "go").touch()
        await until(lambda: p.has_written(running, b"end\n"), "it has written")
        await retention.tidy()
        assert 0 < p.log(running).stat().st_blocks * 512 <= 1 * MIB
