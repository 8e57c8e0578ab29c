"""What services do when the state cannot be written, and when what they need is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from phased.contract.definitions import Definitions
from phased.contract.runs_on import Docker, RunsOn
from phased.contract.service import ServicePhase as Phase
from phased.core.service_policy import ServiceLimits
from phased.core.specs import Catalog, environment_id
from phased.engine.clock import SystemClock
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.services.live import LiveService
from phased.errors import NotFound, StoreFull, Unsupported
from phased.ports import ServiceRecord
from phased.runners.dry import DryRunner
from phased.store.memory import MemoryStore
from phased.testing.fake_runner import FakeRunner, Outcome
from tests.engine.services.bench import PATIENCE, service, until

pytestmark = pytest.mark.anyio


class FullStore(MemoryStore):
    """Has no room while `full`."""

    full = False

    async def save_services(self, services: Sequence[ServiceRecord], *, durable: bool = True) -> None:
        """Refuse, or save."""
        if self.full:
            raise StoreFull("cannot write the state: the disk is full")
        await super().save_services(services, durable=durable)


@asynccontextmanager
async def dry(store: MemoryStore, folder: Path) -> AsyncIterator[tuple[Engine, LiveService, Catalog]]:
    """An engine that starts nothing, and one service of it."""
    clock = SystemClock()
    catalog = Catalog(environment_id(str(folder)), Definitions(services=(service("db", "run"),)))
    async with Engine(
        store, DryRunner(clock), clock, folder, lambda one, two: folder / f"{one}.{two}", Limits()
    ) as engine:
        (live,) = await engine.services.define(catalog, ["db"], folder, Origin())
        yield engine, live, catalog


async def test_a_start_that_cannot_be_saved_is_refused_and_told(tmp_path: Path) -> None:
    """Nothing runs that the state does not know; it is saved as soon as there is room."""
    store = FullStore()
    async with dry(store, tmp_path) as (engine, live, _):
        store.full = True
        engine.services.start(live, "a test")
        with anyio.fail_after(PATIENCE):
            cause = await engine.services.until_ready(live)
        assert cause == "service db failed: could not start: cannot write the state: the disk is full"
        with pytest.raises(StoreFull):
            await engine.services.settled()
        store.full = False
        await until(lambda: live.record.status.progress.phase is Phase.FAILED, "the saving")
        await engine.services.settled()
        assert (await store.list_services())[0].status.progress.cause is not None


async def test_a_status_that_somebody_else_changed_holds_up_no_other(tmp_path: Path) -> None:
    """It is given up; the next one counts."""
    store = MemoryStore()
    async with dry(store, tmp_path) as (engine, live, _):
        status = live.record.status
        foreign = replace(status, expected_version=status.version, version=status.version + 10**15)
        await store.save_services([replace(live.record, status=foreign)])
        engine.services.start(live, "a test")
        await engine.services.settled()
        assert live.phase is not Phase.STOPPED


async def test_a_container_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """By name, with the way out."""
    async with dry(MemoryStore(), tmp_path) as (engine, _, known):
        boxed = service("boxed", "run").model_copy(update={"runs_on": RunsOn(docker=Docker(image="x"))})
        catalog = Catalog(known.environment, Definitions(services=(boxed,)))
        with pytest.raises(Unsupported, match=r"boxed.*remove runsOn"):
            await engine.services.define(catalog, ["boxed"], tmp_path, Origin())


async def test_a_service_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    """Its id is named."""
    async with dry(MemoryStore(), tmp_path) as (engine, _, _catalog):
        with pytest.raises(NotFound, match="nosuch"):
            engine.services.get("nosuch")


async def test_a_subscriber_gets_the_newest_record_of_each_service(tmp_path: Path) -> None:
    """Coalesced: a slow reader costs one record a service."""
    async with dry(MemoryStore(), tmp_path) as (engine, live, _):
        with engine.services.feed.subscribe() as records:
            engine.services.start(live, "a test")
            assert await engine.services.until_ready(live) is None
            engine.services.stop(live, "a test")
            assert await engine.services.until_rest(live) is Phase.STOPPED
            (record,) = await records.get()
            assert record.status.progress.phase is Phase.STOPPED
            assert record.spec_version > record.created_at


@pytest.mark.parametrize(
    ("outcome", "stuck"),
    [
        (Outcome(holds=True, unkillable=True), "process 1000 (leader)"),
        (
            Outcome(holds=True, ignores_term=True, children=1, unkillable=True),
            "processes 1000 (leader), 2000",
        ),
        (Outcome(children=1, unkillable=True), "process 2000 (child, state S)"),
    ],
    ids=["its leader", "all of it", "what it left behind"],
)
async def test_what_cannot_be_ended_is_named(tmp_path: Path, outcome: Outcome, stuck: str) -> None:
    """When the wait is over: a leader, and what is left without one."""
    clock = SystemClock()
    runner = FakeRunner(clock, {"run": outcome})
    limits = Limits(services=ServiceLimits(stop_timeout=0, kill_timeout=0, clear_timeout=0))
    catalog = Catalog(environment_id(str(tmp_path)), Definitions(services=(service("db", "run"),)))
    async with Engine(
        MemoryStore(), runner, clock, tmp_path, lambda one, two: tmp_path / f"{one}.{two}", limits
    ) as engine:
        (live,) = await engine.services.define(catalog, ["db"], tmp_path, Origin())
        engine.services.start(live, "a test")
        with anyio.fail_after(PATIENCE):
            await engine.services.until_ready(live)
        engine.services.restart(live, "a test")
        await until(lambda: "could not be ended" in (live.progress.cause or ""), "the wait has an end")
        assert f"could not be ended: {stuck}" in (live.progress.cause or "")
        assert (live.progress.cause or "").endswith("outlived SIGKILL")
