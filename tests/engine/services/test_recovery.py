"""Services over the loss of an engine: nothing is lost, nothing runs twice, what was under way goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from phased.contract.service import ServicePhase as Phase
from phased.core.service_phases import ServiceState as S
from phased.core.service_policy import ServiceLimits
from phased.core.service_status import ServiceProgress
from phased.engine.clock import SystemClock
from phased.engine.services.live import LiveService
from phased.ports import ServiceRecord
from tests.engine.services.bench import LIMITS, SUCCEEDED, Bench, bench_in, folder, service, task, until

pytestmark = pytest.mark.anyio

FOREVER = "echo up; exec sleep 1000"


@asynccontextmanager
async def after(
    path: Path, lost: Bench, limits: ServiceLimits = LIMITS
) -> AsyncIterator[tuple[Bench, LiveService]]:
    """The engine that comes after one that was lost, and the first service that it took over."""
    async with bench_in(path, limits) as b:
        b.catalog = lost.catalog
        lives = await b.engine.services.restore({b.catalog.environment: b.catalog})
        yield b, lives[0]


async def test_a_running_service_goes_on() -> None:
    """The same process and session; it can be stopped."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(service("db", FOREVER))
            assert await lost.start(db) is None
            pids = await lost.pids(db)
        async with after(path, lost) as (b, again):
            assert (again.phase, again.progress.session) == (Phase.RUNNING, db.progress.session)
            assert await b.pids(again) == pids
            assert await b.stop(again) is Phase.STOPPED
            assert await b.pids(again) == []


async def test_what_ended_meanwhile_has_its_true_cause() -> None:
    """The exit code was kept."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(service("db", "until test -e go; do sleep 0.02; done; exit 3"))
            assert await lost.start(db) is None
        (lost.workspace / "go").touch()
        async with after(path, lost) as (b, again):
            progress = await b.reach(again, Phase.FAILED)
            assert progress.cause == "exit code 3"


async def test_a_service_that_waited_for_ready_still_does() -> None:
    """Its tries go on where they were."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(service("db", FOREVER, ready="test -e ready"))
            lost.engine.services.start(db, "a test")
            await until(lambda: db.progress.tries >= 2, "two tries")
        async with after(path, lost) as (b, again):
            tries = again.progress.tries
            await until(lambda: again.progress.tries > tries, "another try")
            (b.workspace / "ready").touch()
            await b.reach(again, Phase.RUNNING)
            assert b.log(again) == "up\n"


async def test_a_stop_that_was_under_way_comes_to_its_end() -> None:
    """Its limit counts on."""
    async with folder() as path:
        async with bench_in(path, replace(LIMITS, stop_timeout=1.0), abandon=True) as lost:
            (db,) = await lost.define(service("db", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"))
            assert await lost.start(db) is None
            await until(lambda: "deaf" in lost.log(db), "its trap")
            lost.engine.services.stop(db, "a test")
            await lost.reach(db, Phase.STOPPING)
        async with after(path, lost, replace(LIMITS, stop_timeout=1.0)) as (b, again):
            await b.reach(again, Phase.STOPPED)
            assert await b.pids(again) == []


async def test_a_service_that_needs_something_asks_again() -> None:
    """What it needs is run anew; it starts once."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(
                task("init", "until test -e go; do sleep 0.02; done"), service("db", FOREVER, "init")
            )
            lost.engine.services.start(db, "a test")
            await until(lambda: len(lost.engine.lives) == 1, "the task")
        async with after(path, lost) as (b, again):
            (b.workspace / "go").touch()
            await b.reach(again, Phase.RUNNING)
            await until(lambda: b.log(again) == "up\n", "its output")


async def test_after_a_reboot_nothing_is_taken_for_alive() -> None:
    """The cause says so; a restart policy counts it as a failure."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            db, tough = await lost.define(
                service("db", FOREVER), service("tough", FOREVER, restart={"policy": "on-failure"})
            )
            assert await lost.start(db) is None
            assert await lost.start(tough) is None
            for live in (db, tough):
                await lost.stop(live)
            records = await lost.store.list_services()
            await lost.store.save_services([_as_before_a_reboot(record) for record in records])
        async with after(path, lost) as (b, again):
            assert (await b.reach(again, Phase.FAILED)).cause == "the machine rebooted"
            tough_again = b.engine.services.get(tough.id)
            await until(lambda: tough_again.phase is Phase.RUNNING, "its restart")
            assert tough_again.progress.attempt == 2


async def test_a_start_that_never_came_to_be_is_made_up_for() -> None:
    """It was saved, and so promised, and no supervisor has ever heard of it."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(service("db", FOREVER))
            assert await lost.start(db) is None
            await lost.stop(db)
            (record,) = await lost.store.list_services()
            progress = replace(
                record.status.progress, state=S.STARTING, desired=Phase.RUNNING, attempt=2, completed_at=None
            )
            await lost.store.save_services([_changed(record, progress)])
        async with after(path, lost) as (b, again):
            await b.reach(again, Phase.RUNNING)
            await until(lambda: b.log(again) == "up\nup\n", "its output")
            assert again.progress.attempt == 2


async def test_a_stop_command_that_never_came_to_be_is_made_up_for() -> None:
    """So its service is stopped as it has to be."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            (db,) = await lost.define(service("db", FOREVER, stop="touch stopped"))
            assert await lost.start(db) is None
            (record,) = await lost.store.list_services()
            limit = SystemClock().boot() + 60
            progress = replace(record.status.progress, state=S.HALTING, desired=Phase.STOPPED, limit_at=limit)
            await lost.store.save_services([_changed(record, progress)])
        async with after(path, lost) as (b, again):
            await b.reach(again, Phase.STOPPED)
            assert (b.workspace / "stopped").exists()


async def test_what_a_lost_run_in_the_foreground_had_started_is_stopped() -> None:
    """Nobody else would; what was started for itself goes on."""
    async with folder() as path:
        async with bench_in(path, abandon=True) as lost:
            db, web = await lost.define(
                service("db", FOREVER), service("web", FOREVER), task("check", "true", "db")
            )
            assert await lost.start(web) is None
            await lost.run("check")
            assert db.phase is Phase.RUNNING
        async with after(path, lost) as (b, again):
            await b.reach(again, Phase.STOPPED)
            assert b.engine.services.get(web.id).phase is Phase.RUNNING
            assert (await b.run("check")).machine.phase is SUCCEEDED


def _as_before_a_reboot(record: ServiceRecord) -> ServiceRecord:
    progress = replace(record.status.progress, state=S.RUNNING, desired=Phase.RUNNING, completed_at=None)
    return replace(_changed(record, progress), boot_id="another boot")


def _changed(record: ServiceRecord, progress: ServiceProgress) -> ServiceRecord:
    version = record.status.version
    return replace(
        record,
        status=replace(record.status, expected_version=version, version=version + 1, progress=progress),
    )


@pytest.mark.parametrize("ready", ["sleep 1000", "false"], ids=["in a try", "between two"])
async def test_the_time_to_get_ready_counts_on(ready: str) -> None:
    """It was up while no engine was there, or is under the next one: nobody waits for ever."""
    async with folder() as path:
        async with bench_in(path, replace(LIMITS, ready_interval=1000.0), abandon=True) as lost:
            (db,) = await lost.define(
                service("db", FOREVER, ready=ready, readiness_timeout=timedelta(seconds=1))
            )
            lost.engine.services.start(db, "a test")
            wanted = S.PROBING if ready != "false" else S.PAUSING
            await until(lambda: db.progress.tries == 1 and db.progress.state is wanted, "it waits")
            await lost.engine.services.settled()
        async with after(path, lost) as (b, again):
            progress = await b.reach(again, Phase.FAILED)
            assert "not ready within 1 s" in (progress.cause or "")
            assert await b.pids(again) == []
