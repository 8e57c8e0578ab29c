"""What every store of definitions does, on disk or in memory: one suite over both."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from phased.contract.definitions import EnvironmentEntry, Retries, TaskDefinition
from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.environment_spec import EnvironmentSpec, EnvironmentSpecMachine
from phased.contract.runs_on import Docker, RunsOn
from phased.core.environment import SORT_KEYS, EnvironmentRecord, ExecutionQuery, TaskRecord
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.errors import StoreError
from phased.ports import ExecutionRecord, ServiceRecord, StoredExecution
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from tests.engine.domain import service, task
from tests.store.build import Phase, change, identifier, record

pytestmark = pytest.mark.anyio
Store = MemoryStore | SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """One that is empty."""
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


def environment(name: str = "one") -> EnvironmentRecord:
    """A record that has something in every field."""
    spec = EnvironmentSpec(machine=EnvironmentSpecMachine(class_=identifier("class")))
    return EnvironmentRecord(
        identifier(name), name, f"/work/{name}", True, EnvironmentPhase.STARTING, EnvironmentPhase.RUNNING, 5,
        identifier("somebody"), "PRINCIPAL_USER", spec, 6, 7, {"a": "ü"}, "https://host/x", "session", ("f",),
        ("w", "v"), True, ".ona/automations.yaml", "1:2: bad", 8, "boot", 9, "an editor",
    )  # fmt: skip


def kept(reference: str, in_environment: str = "one", created_at: int = 1) -> TaskRecord:
    """A task that has something in every field."""
    definition = TaskDefinition(
        reference=reference, name="Näme", description="d", command="echo\n'x'", depends_on=("other",),
        triggered_by=("prebuild", "manual"), runs_on=RunsOn(docker=Docker(image="i", environment=("A=b",))),
        prebuild_requires_success=True, timeout=timedelta(seconds=1.5),
        env=(EnvironmentEntry(name="A", value=""), EnvironmentEntry(name="B", secret_id=identifier("s"))),
        retries=Retries(limit=3, exit_codes=(75,)),
    )  # fmt: skip
    return TaskRecord(
        identifier(f"{in_environment} {reference}"), identifier(in_environment), definition, created_at, 2,
        identifier("somebody"), "PRINCIPAL_USER", 3,
    )  # fmt: skip


def a_service(reference: str, in_environment: str = "one") -> ServiceRecord:
    """A service that was never started."""
    definition = service(reference)
    return ServiceRecord(
        identifier(f"{in_environment} {reference}"), identifier(in_environment), reference, "/w", definition,
        definition, 1, "", "PRINCIPAL_USER", "boot", 1,
        ServiceChange(identifier(f"{in_environment} {reference}"), 0, 1, ServiceProgress()),
    )  # fmt: skip


async def test_environments_come_back_as_they_were_saved(store: Store) -> None:
    """In the order in which they were first saved; saving again replaces."""
    one, other = environment(), environment("other")
    await store.definitions.save_environments([one])
    await store.definitions.save_environments([other, replace(one, phase=EnvironmentPhase.RUNNING)])
    assert await store.definitions.list_environments() == [
        replace(one, phase=EnvironmentPhase.RUNNING),
        other,
    ]


async def test_tasks_come_back_as_they_were_saved(store: Store) -> None:
    """By environment or all, oldest first; one call saves and forgets."""
    first, second = kept("first", created_at=1), kept("second", created_at=2)
    elsewhere = kept("first", "other", created_at=3)
    await store.definitions.save_tasks([elsewhere, second, first])
    assert await store.definitions.list_tasks() == [first, second, elsewhere]
    assert await store.definitions.list_tasks(identifier("one")) == [first, second]
    changed = replace(first, definition=task("first"), spec_version=9)
    await store.definitions.save_tasks([changed], remove=[second.id])
    assert await store.definitions.list_tasks(identifier("one")) == [changed]


async def test_two_tasks_of_one_reference_are_refused_and_nothing_is_saved(store: Store) -> None:
    """Another id, the same name."""
    await store.definitions.save_tasks([kept("a")])
    with pytest.raises(StoreError):
        await store.definitions.save_tasks([kept("b"), replace(kept("a"), id=identifier("else"))])
    assert [one.reference for one in await store.definitions.list_tasks()] == ["a"]
    await store.definitions.save_tasks([replace(kept("a"), id=identifier("else"))], remove=[kept("a").id])


async def test_an_environment_takes_all_that_is_its_own_with_it(store: Store) -> None:
    """And nothing of another."""
    await store.definitions.save_environments([environment(), environment("other")])
    await store.definitions.save_tasks([kept("a"), kept("a", "other")])
    await store.save_services([a_service("db"), a_service("db", "other")])
    mine = replace(record("mine"), environment_id=identifier("one"))
    theirs = replace(record("theirs"), environment_id=identifier("other"))
    await store.create([(mine, change(mine, 0, 1)), (theirs, change(theirs, 0, 1))])
    with_logs = await store.definitions.remove_environment(identifier("one"))
    assert set(with_logs) == {mine.id, a_service("db").id}
    assert [one.id for one in await store.definitions.list_environments()] == [identifier("other")]
    assert [one.environment_id for one in await store.definitions.list_tasks()] == [identifier("other")]
    assert [one.environment_id for one in await store.list_services()] == [identifier("other")]
    assert [one.record.id for one in await store.list()] == [theirs.id]
    assert await store.definitions.remove_environment(identifier("one")) == []


def history() -> list[tuple[ExecutionRecord, Phase, int | None]]:
    """Forty executions with many ties, in two environments."""
    chance = random.Random(7)
    made = []
    for number in range(40):
        one = replace(
            record(f"e{number}", reference=chance.choice(["build", "test", "lint"])),
            created_at=chance.randrange(10),
            environment_id=identifier(chance.choice(["one", "other"])),
            started_by=chance.choice(["manual", "prebuild"]),
        )
        made.append((one, chance.choice(list(Phase)[1:]), chance.choice([None, 3, 4])))
    return made


async def filled(store: Store) -> list[tuple[ExecutionRecord, Phase, int | None]]:
    """That history, saved."""
    made = history()
    statuses = [replace(change(one, 0, 1, phase), started_at=at) for one, phase, at in made]
    await store.create([(one, status) for (one, _, _), status in zip(made, statuses, strict=True)])
    return made


@pytest.mark.parametrize("sort", SORT_KEYS)
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_hold_every_execution_once_in_order(store: Store, sort: str, descending: bool) -> None:
    """Whatever is sorted by; ties stand in the order of ids."""
    await filled(store)
    query = ExecutionQuery(sort=sort, descending=descending)
    whole = await store.definitions.select(query, 1000)
    assert len(whole) == 40
    values: dict[str, Callable[[StoredExecution], Any]] = {
        "id": lambda one: one.record.id,
        "createdAt": lambda one: one.record.created_at,
        "startedAt": lambda one: one.status.started_at or 0,
        "completedAt": lambda _: 0,
        "taskId": lambda one: one.record.task_id,
        "startedBy": lambda one: one.record.started_by,
        "phase": lambda one: one.status.phase.number,
        "statusVersion": lambda one: one.status.version,
    }
    value = values[sort]
    by_id = sorted(whole, key=lambda one: one.record.id)
    assert whole == sorted(by_id, key=value, reverse=descending)
    paged, after = [], None
    while page := await store.definitions.select(replace(query, after=after), 7):
        paged += page
        after = (value(page[-1]), page[-1].record.id)
    assert paged == whole


async def test_filters_narrow_each_alone_and_together(store: Store) -> None:
    """And counting agrees with listing."""
    made = await filled(store)
    environments, references = (identifier("one"),), ("build", "lint")
    phases = (Phase.FAILED, Phase.PENDING)
    queries: list[tuple[ExecutionQuery, Callable[[ExecutionRecord, Phase], bool]]] = [
        (ExecutionQuery(), lambda *_: True),
        (ExecutionQuery(environment_ids=environments), lambda one, _: one.environment_id in environments),
        (ExecutionQuery(references=references), lambda one, _: one.reference in references),
        (ExecutionQuery(task_ids=(identifier("test"),)), lambda one, _: one.task_id == identifier("test")),
        (ExecutionQuery(phases=phases), lambda _, phase: phase in phases),
        (
            ExecutionQuery(environments, (), references, phases),
            lambda one, phase: (
                one.environment_id in environments and one.reference in references and phase in phases
            ),
        ),
    ]  # fmt: skip
    for query, holds in queries:
        expected = {one.id for one, phase, _ in made if holds(one, phase)}
        assert {one.record.id for one in await store.definitions.select(query, 1000)} == expected
        assert await store.definitions.count(query, 1000) == len(expected)
        assert await store.definitions.count(query, 3) == min(3, len(expected))


async def test_narrowed_by_trigger_and_time(store: Store) -> None:
    """From a moment on, and before one."""
    made = await filled(store)
    moments = sorted(one.created_at for one, _, _ in made)
    begin, end = moments[10], moments[20]
    for query, holds in (
        (ExecutionQuery(triggers=("manual",)), lambda one: one.started_by == "manual"),
        (ExecutionQuery(triggers=("prebuild", "x")), lambda one: one.started_by in {"prebuild", "x"}),
        (ExecutionQuery(created_from=begin), lambda one: one.created_at >= begin),
        (ExecutionQuery(created_from=begin, created_before=end), lambda one: begin <= one.created_at < end),
    ):
        expected = {one.id for one, _, _ in made if holds(one)}
        assert {one.record.id for one in await store.definitions.select(query, 1000)} == expected
        assert await store.definitions.count(query, 1000) == len(expected)


async def test_the_last_run_of_each_task(store: Store) -> None:
    """The newest one, in short; nothing for a task that never ran."""
    await filled(store)
    wanted = [identifier(name) for name in ("build", "lint", "test", "never")]
    newest = {}
    for one in reversed(await store.definitions.select(ExecutionQuery(), 1000)):
        newest[one.record.task_id] = one
    found = await store.definitions.last_runs(wanted)
    assert {last.task_id for last in found} == {*wanted} & {*newest} != set()
    for last in found:
        record, status = newest[last.task_id].record, newest[last.task_id].status
        assert (last.id, last.created_at, last.started_by) == (
            record.id, record.created_at, record.started_by,
        )  # fmt: skip
        assert (last.phase, last.started_at, last.completed_at, last.failure_message) == (
            status.phase, status.started_at, status.completed_at, status.failure_message,
        )  # fmt: skip


async def test_after_closing_everything_is_refused(store: Store) -> None:
    """Reading and writing."""
    definitions = store.definitions
    await store.close()
    for call in (
        definitions.save_environments([environment()]),
        definitions.list_environments(),
        definitions.remove_environment("x"),
        definitions.save_tasks([kept("a")]),
        definitions.list_tasks(),
        definitions.select(ExecutionQuery(), 1),
        definitions.count(ExecutionQuery(), 1),
        definitions.last_runs(["x"]),
    ):
        with pytest.raises(StoreError, match=r"^cannot "):
            await call


async def test_definitions_are_still_there_for_the_next_process(tmp_path: Path) -> None:
    """And are written with every commit on disk, whatever progress may cost."""
    store = SqliteStore.open(tmp_path / "state.db")
    seen: list[str] = []
    store._connection.set_trace_callback(seen.append)
    await store.definitions.save_tasks([kept("a")])
    assert [one for one in seen if "synchronous" in one] == [
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = normal",
    ]
    await store.close()
    again = SqliteStore.open(tmp_path / "state.db")
    assert await again.definitions.list_tasks() == [kept("a")]
    await again.close()


async def test_what_an_older_version_did_not_save_has_its_default(tmp_path: Path) -> None:
    """And what a newer one saved in the rest is left aside."""
    store = SqliteStore.open(tmp_path / "state.db")
    await store.definitions.save_environments([environment()])
    await store.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute("""UPDATE environments SET rest = '{"future": 1}'""")
    connection.commit()
    connection.close()
    again = SqliteStore.open(tmp_path / "state.db")
    (found,) = await again.definitions.list_environments()
    assert (found.failures, found.active_at, found.has_content) == ((), None, False)
    await again.close()
