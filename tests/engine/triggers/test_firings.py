"""Firings of triggers: what one starts and joins, what is on record, what a later engine makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from phased.contract.definitions import ServiceDefinition, TaskDefinition
from phased.core.environment import AT_WORK
from phased.core.firing import TRIGGERS, FiringPart, FiringRecord, Result, parts_of, worst
from phased.core.specs import Catalog
from phased.engine.environments.workers import Start
from phased.engine.triggers.live import LiveFiring
from phased.engine.triggers.messages import RESULTS
from phased.engine.triggers.starting import triggers_of
from phased.errors import FailedPrecondition, InvalidArgument, NotFound, StoreFull, Unsupported
from phased.store.memory import MemoryStore
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner, Outcome
from tests.engine.domain import ORIGIN, Bench, bench, definitions, service, task
from tests.engine.services.bench import PATIENCE, until

pytestmark = pytest.mark.anyio
STARTED = "postEnvironmentStart"
HOLDS = Outcome(holds=True)
ENTRIES = (
    task("gen"),
    task("a", "gen", triggered_by=(STARTED,)),
    task("b", "gen", triggered_by=(STARTED, "postMachineStart"), command="b"),
    task("other"),
    task("seed"),
    service("db", "seed", triggered_by=(STARTED,)),
)


def runner(**outcomes: Outcome) -> FakeRunner:
    """One whose services go on, and whose tasks do as they are told here."""
    return FakeRunner(FakeClock(), {"sleep 1000": HOLDS, **outcomes})


async def define(made: Bench, *entries: TaskDefinition | ServiceDefinition) -> None:
    """These are all that the environment has."""
    await made.domain.automations.apply(made.own.id, definitions(*entries), ORIGIN, prune=True)


async def fire(made: Bench, *triggers: str, **more: Any) -> LiveFiring:
    """Fire them."""
    origin = replace(ORIGIN, started_by=triggers[0])
    return await made.domain.firings.fire(made.own.id, triggers, origin, **more)


async def ended(live: LiveFiring) -> FiringRecord:
    """Its record at its end."""
    with anyio.fail_after(PATIENCE):
        await live.done.wait()
    return live.record


def results(record: FiringRecord) -> dict[str, str]:
    """Each part's result."""
    return {part.reference: part.result.value for part in record.parts}


# ---- what is started ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_all_that_a_trigger_names_starts_at_once_and_what_it_needs_runs_once(
    tmp_path: Path, kind: Any
) -> None:
    """Tasks and services; what tasks need, and what a service needs, is no part of it."""
    async with bench(tmp_path, kind, runner=runner(b=HOLDS)) as made:
        await define(made, *ENTRIES)
        live = await fire(made, STARTED)
        fakes = made.fakes[0]
        await until(lambda: {"a", "b"} <= set(fakes.labels()), "both run")
        assert sorted(fakes.labels()).count("gen") == 1
        assert results(live.record)["b"] == "running"
        fakes.finish("b")
        record = await ended(live)
        assert results(record) == {"a": "succeeded", "b": "succeeded", "db": "succeeded"}
        assert (record.result, record.cause) == (Result.SUCCEEDED, "")
        assert fakes.labels().count("seed") == 1
        assert "other" not in fakes.labels()
        assert await made.store.firings.get_firing(record.id) == record
        stored = await made.domain.executions.get(record.parts[0].execution_id)
        assert (stored.record.started_by, stored.record.firing_id) == (STARTED, record.id)


async def test_what_a_service_needs_and_a_task_is_runs_once(tmp_path: Path) -> None:
    """The service's own dependencies belong to the same firing."""
    async with bench(tmp_path, "memory", runner=runner()) as made:
        await define(
            made,
            task("seed", triggered_by=(STARTED,)),
            service("db", "seed", triggered_by=(STARTED,)),
            service("cache", "seed", triggered_by=(STARTED,)),
        )
        record = await ended(await fire(made, STARTED))
        assert record.result is Result.SUCCEEDED
        assert made.fakes[0].labels().count("seed") == 1


async def test_a_firing_is_saved_before_its_first_effect(tmp_path: Path) -> None:
    """Where that cannot be, nothing is started."""
    store = MemoryStore()
    async with bench(tmp_path, store=store, runner=runner()) as made:
        await define(made, *ENTRIES)

        async def refuse(record: FiringRecord) -> None:  # noqa: ARG001 - the shape of what it replaces
            raise StoreFull("cannot write the state: the disk is full")

        store.firings.save_firing = refuse  # type: ignore[method-assign] # a disk that is full
        with pytest.raises(StoreFull):
            await fire(made, STARTED)
        assert made.fakes[0].runs == {}
        assert made.domain.engine.lives == []


async def test_what_fails_makes_the_firing_fail_and_says_why(tmp_path: Path) -> None:
    """The worst counts; the rest goes on."""
    outcomes = {"a": Outcome(code=3), "sleep 1000": Outcome(code=4)}
    async with bench(tmp_path, "memory", runner=FakeRunner(FakeClock(), outcomes)) as made:
        await define(made, *ENTRIES[:5], service("db", ready="false", triggered_by=(STARTED,)))
        record = await ended(await fire(made, STARTED))
        assert results(record) == {"a": "failed", "b": "succeeded", "db": "failed"}
        assert "exit code 3" in record.parts[0].cause
        assert "exit code 4" in record.parts[2].cause
        assert record.result is Result.FAILED


async def test_a_trigger_that_names_nothing_succeeds(tmp_path: Path) -> None:
    """At once."""
    async with bench(tmp_path, "memory") as made:
        record = await ended(await fire(made, "postMachineStart"))
        assert (record.parts, record.result) == ((), Result.SUCCEEDED)


async def test_what_cannot_be_fired_is_refused_and_that_is_on_record(tmp_path: Path) -> None:
    """Unknown names are not."""
    async with bench(tmp_path, "memory", runner=runner()) as made:
        with pytest.raises(InvalidArgument, match="there are manual, "):
            await fire(made, "postInstall")
        docker = {"docker": {"image": "i", "environment": ()}}
        await define(made, task("boxed", triggered_by=(STARTED,), runs_on=docker), *ENTRIES[4:])
        with pytest.raises(Unsupported):
            await fire(made, STARTED)
        await until(lambda: not made.domain.firings.lives, "it is completed")
        (record,) = await made.domain.firings.all()
        assert record.result is Result.FAILED
        assert "runsOn.docker" in record.cause
        assert made.fakes[0].runs == {}


async def test_nothing_is_fired_in_an_environment_that_is_stopped(tmp_path: Path) -> None:
    """It has to be started first."""
    async with bench(tmp_path, "memory") as made:
        await made.domain.environments.stop(made.own.id)
        await until(lambda: made.domain.environments.record(made.own.id).phase not in AT_WORK, "stopped")
        with pytest.raises(FailedPrecondition, match="start it first"):
            await fire(made, STARTED)
        assert await made.domain.firings.all() == []


# ---- joining -------------------------------------------------------------------------------------


async def test_what_the_same_trigger_started_and_runs_still_is_joined(tmp_path: Path) -> None:
    """What has ended runs again; what another trigger started is its own."""
    async with bench(tmp_path, "memory", runner=runner(b=HOLDS)) as made:
        await define(made, *ENTRIES)
        first = await fire(made, STARTED)
        fakes = made.fakes[0]
        await until(lambda: results(first.record)["a"] == "succeeded", "a has ended")
        second = await fire(made, STARTED)
        joined = {part.reference: part.joined for part in second.record.parts}
        assert joined == {"a": False, "b": True, "db": True}
        assert second.part((STARTED, "b")).execution_id == first.part((STARTED, "b")).execution_id
        other = await fire(made, "postMachineStart")
        assert not other.part(("postMachineStart", "b")).joined
        for run in list(fakes.runs.values()):
            if run.request.environment.get("PHASED_TASK") == "b":
                await until(lambda run=run: run.state == "running", "b runs")  # type: ignore[misc] # a default
        await until(lambda: fakes.labels().count("b") == 2, "b runs twice")
        for live in made.domain.engine.lives:
            made.domain.engine.stop([live], "a test")
        assert (await ended(second)).result is Result.STOPPED
        assert (await ended(first)).result is Result.STOPPED


async def test_what_is_stopping_is_not_joined(tmp_path: Path) -> None:
    """Who fires again wants it to run."""
    stubborn = Outcome(holds=True, ignores_term=True)
    async with bench(tmp_path, "memory", runner=runner(b=stubborn)) as made:
        await define(made, *ENTRIES[:3])
        first = await fire(made, STARTED)
        await until(lambda: "b" in made.fakes[0].labels(), "b runs")
        made.domain.firings.stop(first, "a test")
        await made.domain.engine.settled()
        second = await fire(made, STARTED)
        assert not second.part((STARTED, "b")).joined
        assert not second.done.is_set()


async def test_two_that_are_fired_at_once_start_it_once(tmp_path: Path) -> None:
    """The second finds what the first has started."""
    async with bench(tmp_path, "memory", runner=runner(a=HOLDS, b=HOLDS)) as made:
        await define(made, *ENTRIES)
        lives: list[LiveFiring] = []

        async def one() -> None:
            lives.append(await fire(made, STARTED))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(one)
        ids = {live.part((STARTED, "a")).execution_id for live in lives}
        assert len(ids) == 1
        await until(lambda: {"a", "b"} <= set(made.fakes[0].labels()), "they run")
        assert made.fakes[0].labels().count("a") == 1


async def test_what_several_triggers_of_a_start_name_starts_once(tmp_path: Path) -> None:
    """As named by the first."""
    async with bench(tmp_path, "memory", runner=runner()) as made:
        await define(made, *ENTRIES)
        record = await ended(await fire(made, "postMachineStart", "postDevcontainerStart", STARTED))
        assert [(part.reference, part.trigger) for part in record.parts] == [
            ("b", "postMachineStart"), ("a", STARTED), ("db", STARTED),
        ]  # fmt: skip
        assert made.fakes[0].labels().count("b") == 1
        assert made.fakes[0].labels().count("gen") == 1
        stored = await made.domain.executions.get(record.parts[0].execution_id)
        assert stored.record.started_by == "postMachineStart"


@pytest.mark.parametrize(
    ("start", "triggers"),
    [
        (Start(first=True, booted=True), ["postMachineStart", "postDevcontainerStart", STARTED]),
        (Start(first=False, booted=True), ["postMachineStart", STARTED]),
        (Start(first=False, booted=False), [STARTED]),
    ],
)
def test_which_triggers_a_start_fires(start: Start, triggers: list[str]) -> None:
    """`semantics: Triggers`."""
    assert triggers_of(start) == triggers


async def test_starting_an_environment_fires(tmp_path: Path) -> None:
    """First start, and later ones; it is started, not awaited."""
    async with bench(tmp_path, "memory", runner=runner(b=HOLDS)) as made:
        await define(made, *ENTRIES)
        environments, firings = made.domain.environments, made.domain.firings
        await environments.stop(made.own.id)
        await until(lambda: environments.record(made.own.id).phase not in AT_WORK, "stopped")
        await environments.start(made.own.id)
        await until(lambda: bool(firings.lives), "it fires")
        assert STARTED in firings.lives[0].record.triggers
        await until(lambda: environments.record(made.own.id).phase.name == "RUNNING", "it is at work")
        assert not firings.lives[0].done.is_set()


# ---- stopping and resuming --------------------------------------------------------------------------


async def test_a_firing_is_stopped_and_resumed(tmp_path: Path) -> None:
    """What had succeeded is not run again."""
    async with bench(tmp_path, "memory", runner=runner(b=HOLDS)) as made:
        await define(made, *ENTRIES)
        firings, fakes = made.domain.firings, made.fakes[0]
        live = await fire(made, STARTED)
        await until(
            lambda: results(live.record) == {"a": "succeeded", "b": "running", "db": "succeeded"}, "b"
        )
        assert await firings.resume(live.record, ORIGIN) is live  # it has not ended
        firings.stop(live, "a test")
        first = await ended(live)
        assert (first.result, results(first)["b"]) == (Result.STOPPED, "stopped")
        del fakes.outcomes["b"]
        origin = replace(ORIGIN, started_by=STARTED)
        resumed = await firings.resume(await firings.to_resume(made.own.id, STARTED), origin)
        assert isinstance(resumed, LiveFiring)
        second = await ended(resumed)
        assert (results(second), second.resumes) == ({"b": "succeeded"}, first.id)
        assert fakes.labels().count("a") == 1
        assert await firings.resume(second, origin) == second  # all of it succeeded
        with pytest.raises(NotFound, match="never fired"):
            await firings.to_resume(made.own.id, "beforeSnapshot")


async def test_an_interrupted_firing_is_seen_and_resumed(tmp_path: Path) -> None:
    """The engine was lost while a part ran and another one was never begun."""
    store = MemoryStore()
    async with bench(tmp_path, store=store, runner=runner(b=HOLDS)) as made:
        await define(made, *ENTRIES)
        live = await fire(made, STARTED)
        await until(lambda: results(live.record)["a"] == "succeeded", "a has ended")
        await until(lambda: results(live.record)["db"] == "succeeded", "db is ready")
        saved = await store.firings.get_firing(live.record.id)
        assert saved is not None
        never = FiringPart("late", False, STARTED)
        await store.firings.save_firing(replace(saved, parts=(*saved.parts, never)))
    async with bench(tmp_path, store=store, runner=runner()) as made:
        firings = made.domain.firings
        for execution in list(made.domain.engine.lives):
            made.domain.engine.stop([execution], "a test")
        with anyio.fail_after(PATIENCE):
            record = await firings.ended(live.record.id)
        assert record.result is Result.INTERRUPTED
        assert record.completed_at is not None
        found = results(record)
        assert found["a"] == "succeeded"
        assert found["late"] == "interrupted"
        await define(made, *ENTRIES)
        resumed = await firings.resume(record, replace(ORIGIN, started_by=STARTED))
        assert isinstance(resumed, LiveFiring)
        assert "a" not in results(resumed.record)
        assert (await ended(resumed)).result is Result.SUCCEEDED


async def test_a_loss_before_its_executions_are_noted_runs_nothing_twice(tmp_path: Path) -> None:
    """They were saved, so a later engine runs them; the firing knows them as its own.

    What was not begun, like the service, is run where that is resumed, and nothing else.
    """
    store = MemoryStore()
    fakes = runner()
    save, cut = store.firings.save_firing, anyio.Event()

    async def lost(record: FiringRecord) -> None:
        if any(part.execution_id for part in record.parts):
            cut.set()
            await anyio.sleep_forever()
        await save(record)

    store.firings.save_firing = lost  # type: ignore[method-assign] # as far as an engine came
    async with bench(tmp_path, store=store, runner=fakes) as made:
        await define(made, *ENTRIES)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fire, made, STARTED)
            with anyio.fail_after(PATIENCE):
                await cut.wait()
            tasks.cancel_scope.cancel()
    assert fakes.runs == {}
    store.firings.save_firing = save  # type: ignore[method-assign] # the next engine's
    async with bench(tmp_path, store=store, runner=fakes) as made:
        (unfinished,) = await made.domain.firings.all()
        with anyio.fail_after(PATIENCE):
            record = await made.domain.firings.ended(unfinished.id)
        assert record.result is Result.INTERRUPTED
        assert results(record) == {"a": "succeeded", "b": "succeeded", "db": "interrupted"}
        assert sorted(fakes.labels()) == ["a", "b", "gen"]
        resumed = await made.domain.firings.resume(record, replace(ORIGIN, started_by=STARTED))
        assert isinstance(resumed, LiveFiring)
        assert results(await ended(resumed)) == {"db": "succeeded"}
        assert sorted(fakes.labels()) == ["a", "b", "db", "gen", "seed"]


async def test_what_is_deleted_does_not_come_back(tmp_path: Path) -> None:
    """An environment goes while it fires: so do its firings."""
    async with bench(tmp_path, runner=runner(b=HOLDS)) as made:
        other = await made.create()
        await made.domain.automations.apply(other.id, definitions(*ENTRIES), ORIGIN)
        live = await made.domain.firings.fire(other.id, [STARTED], replace(ORIGIN, started_by=STARTED))
        await made.domain.environments.delete(other.id)
        await made.gone(other.id)
        await ended(live)
        assert await made.domain.firings.all(other.id) == []


# ---- the pure part --------------------------------------------------------------------------------


def test_the_names_of_triggers_are_those_of_the_file() -> None:
    """One list for all."""
    from phased.cli.triggers import TRIGGERS as OF_CLI  # noqa: PLC0415 - only compared

    assert TRIGGERS == OF_CLI


def test_every_result_has_its_message() -> None:
    """And the worst of several counts."""
    assert set(RESULTS) == set(Result)
    assert worst([]) is Result.SUCCEEDED
    assert worst([Result.SUCCEEDED, Result.STOPPED, Result.FAILED]) is Result.FAILED
    assert worst([Result.INTERRUPTED, Result.FAILED]) is Result.INTERRUPTED


def test_parts_of_a_prebuild_are_those_of_each_trigger() -> None:
    """Only tasks that say so are required."""
    catalog = Catalog(
        "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a0f",
        definitions(
            task("build", triggered_by=("prebuild",), prebuild_requires_success=True),
            task("warm", triggered_by=("prebuild", "beforeSnapshot")),
            service("db", triggered_by=("prebuild",)),
        ),
    )
    parts = parts_of(catalog, ("prebuild", "beforeSnapshot"), is_prebuild=True)
    assert [(one.reference, one.trigger, one.required) for one in parts] == [
        ("build", "prebuild", True), ("warm", "prebuild", False), ("db", "prebuild", False),
        ("warm", "beforeSnapshot", False),
    ]  # fmt: skip
    assert all(part.required for part in parts_of(catalog, ("prebuild",)))
