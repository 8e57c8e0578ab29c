"""Prebuilds: two waves, what is required, and that nothing of them is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from phased.contract.service import ServicePhase
from phased.core.firing import FiringRecord, Result
from phased.core.specs import automation_id
from phased.engine.triggers.live import LiveFiring
from phased.errors import FailedPrecondition
from phased.store.memory import MemoryStore
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner, Outcome
from tests.engine.domain import ORIGIN, Bench, bench, definitions, service, task
from tests.engine.services.bench import PATIENCE, until

pytestmark = pytest.mark.anyio
HOLDS = Outcome(holds=True)
ENTRIES = (
    task("build", triggered_by=("prebuild",), prebuild_requires_success=True),
    task("warm", triggered_by=("prebuild",)),
    task("clean", triggered_by=("beforeSnapshot",), prebuild_requires_success=True),
    service("db", triggered_by=("prebuild",)),
    service("mine"),
)


def runner(**outcomes: Outcome) -> FakeRunner:
    """One whose services go on, and whose tasks do as they are told here."""
    return FakeRunner(FakeClock(), {"sleep 1000": HOLDS, **outcomes})


async def start(made: Bench, patience: float | None = None) -> LiveFiring:
    """Begin one."""
    return await made.domain.prebuilds.start(made.own.id, replace(ORIGIN, started_by="prebuild"), patience)


async def prepared(made: Bench) -> None:
    """Defined, and a service that the user has started."""
    await made.domain.automations.apply(made.own.id, definitions(*ENTRIES), ORIGIN)
    host = made.domain.engine.services
    mine = made.domain.automations.service(automation_id(made.own.id, "mine"))
    host.start(mine, "a user")
    assert await host.until_ready(mine) is None


async def ended(live: LiveFiring) -> FiringRecord:
    """Its record at its end."""
    with anyio.fail_after(PATIENCE):
        await live.done.wait()
    return live.record


def phases(made: Bench) -> dict[str, ServicePhase]:
    """Of each service."""
    return {live.reference: live.phase for live in made.domain.automations.services()}


def results(record: FiringRecord) -> dict[str, str]:
    """Each part's result."""
    return {part.reference: part.result.value for part in record.parts}


async def test_what_comes_before_the_snapshot_waits_for_the_rest(tmp_path: Path) -> None:
    """Then the services that it started are stopped, and only those."""
    async with bench(tmp_path, "memory", runner=runner(warm=HOLDS)) as made:
        await prepared(made)
        live = await start(made)
        fakes = made.fakes[0]
        await until(lambda: {"build", "warm"} <= set(fakes.labels()), "the first wave runs")
        await until(lambda: phases(made)["db"] is ServicePhase.RUNNING, "so does its service")
        await until(lambda: results(live.record)["build"] == "succeeded", "one has ended")
        assert "clean" not in fakes.labels()
        fakes.finish("warm")
        record = await ended(live)
        assert fakes.labels()[-1] == "clean"
        assert set(results(record).values()) == {"succeeded"}
        assert (record.result, record.warnings) == (Result.SUCCEEDED, ())
        assert phases(made) == {"db": ServicePhase.STOPPED, "mine": ServicePhase.RUNNING}


@pytest.mark.parametrize(
    ("broken", "result"),
    [("build", Result.FAILED), ("clean", Result.FAILED), ("warm", Result.SUCCEEDED)],
)
async def test_only_what_is_required_fails_it(tmp_path: Path, broken: str, result: Result) -> None:
    """The rest is a warning; the second wave comes all the same."""
    async with bench(tmp_path, "memory", runner=runner(**{broken: Outcome(code=7)})) as made:
        await prepared(made)
        record = await ended(await start(made))
        assert record.result is result
        assert len(record.warnings) == (broken == "warm")
        assert results(record)[broken] == "failed"
        assert "clean" in made.fakes[0].labels()


async def test_it_has_an_end_where_its_time_is_up(tmp_path: Path) -> None:
    """Also where only a service never gets ready; what it started is stopped."""
    outcomes = {"sleep 1000": HOLDS, "false": Outcome(code=1), "warm": HOLDS}
    async with bench(tmp_path, "memory", runner=FakeRunner(FakeClock(), outcomes)) as made:
        await prepared(made)
        await made.domain.automations.apply(
            made.own.id, definitions(service("web", ready="false", triggered_by=("prebuild",))), ORIGIN
        )
        record = await ended(await start(made, 2.0))
        assert (record.result, record.cause) == (Result.FAILED, "timed out after 2 s")
        found = results(record)
        assert (found["build"], found["warm"], found["web"]) == ("succeeded", "stopped", "stopped")
        assert found["clean"] == "stopped"
        assert "clean" not in made.fakes[0].labels()
        assert phases(made)["web"] is ServicePhase.STOPPED
        assert phases(made)["mine"] is ServicePhase.RUNNING


async def test_it_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    """What was to come never starts."""
    async with bench(tmp_path, "memory", runner=runner(warm=HOLDS)) as made:
        await prepared(made)
        live = await start(made)
        await until(lambda: "warm" in made.fakes[0].labels(), "it runs")
        with pytest.raises(FailedPrecondition, match=f"{live.record.id} is under way"):
            await start(made)
        made.domain.firings.stop(live, "somebody")
        record = await ended(live)
        assert (record.result, record.cause) == (Result.STOPPED, "stopped by somebody")
        assert "clean" not in made.fakes[0].labels()
        assert phases(made)["db"] is ServicePhase.STOPPED


async def test_who_does_not_want_to_wait_kills_it(tmp_path: Path) -> None:
    """What ignores SIGTERM too."""
    stubborn = Outcome(holds=True, ignores_term=True)
    async with bench(tmp_path, "memory", runner=runner(warm=stubborn, **{"sleep 1000": stubborn})) as made:
        await prepared(made)
        live = await start(made)
        await until(lambda: "warm" in made.fakes[0].labels(), "it runs")
        await until(lambda: phases(made)["db"] is ServicePhase.RUNNING, "so does its service")
        made.domain.prebuilds.kill(live, "somebody")
        with anyio.fail_after(PATIENCE):
            while not live.done.is_set():
                made.domain.prebuilds.kill(live, "somebody")
                await anyio.sleep(0.01)
        assert live.record.result is Result.STOPPED


async def test_after_a_crash_it_is_cleaned_up(tmp_path: Path) -> None:
    """A later engine stops what it had started, and says that it was interrupted."""
    store = MemoryStore()
    fakes = runner(warm=HOLDS)
    async with bench(tmp_path, store=store, runner=fakes) as made:
        await prepared(made)
        live = await start(made)
        await until(lambda: "warm" in fakes.labels(), "it runs")
        await until(lambda: phases(made)["db"] is ServicePhase.RUNNING, "so does its service")
    async with bench(tmp_path, store=store, runner=fakes, clock=FakeClock()) as made:
        firings = made.domain.firings
        with anyio.fail_after(PATIENCE):
            record = await firings.ended(live.record.id)
        assert record.result is Result.INTERRUPTED
        await until(lambda: phases(made)["db"] is ServicePhase.STOPPED, "its service is stopped")
        assert phases(made)["mine"] is ServicePhase.RUNNING
        with pytest.raises(FailedPrecondition, match="run it anew"):
            await firings.resume(record, ORIGIN)


async def test_services_of_a_prebuild_know_why_they_were_started(tmp_path: Path) -> None:
    """So that they get no user's secrets, also after a restart of theirs."""
    async with bench(tmp_path, "memory", runner=runner(warm=HOLDS)) as made:
        await prepared(made)
        live = await start(made)
        await until(lambda: phases(made)["db"] is ServicePhase.RUNNING, "its service runs")
        found = {one.reference: one.record.started_by for one in made.domain.automations.services()}
        assert found == {"db": "prebuild", "mine": "manual"}
        made.domain.firings.stop(live, "a test")
        await ended(live)
