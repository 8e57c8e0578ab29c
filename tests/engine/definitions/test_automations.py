"""Tasks and services of environments: made, changed, deleted, applied from files; over both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from phased.contract.definitions import Retries
from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.contract.service import ServicePhase
from phased.core.specs import Catalog, automation_id
from phased.errors import (
    AlreadyExists,
    CycleFound,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    UnknownReference,
)
from phased.testing.fake_runner import Outcome
from tests.engine.domain import ORIGIN, Bench, bench, definitions, service, task
from tests.engine.services.bench import until

pytestmark = pytest.mark.anyio
HOLDS = Outcome(holds=True)


@pytest.fixture(params=["memory", "sqlite"])
async def b(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A domain with one environment, whose services hold until they are signalled."""
    async with bench(tmp_path, request.param) as made:
        made.fakes[0].outcomes["sleep 1000"] = HOLDS
        yield made


async def running(b: Bench, reference: str) -> None:
    """Start a service."""
    live = b.domain.automations.service(automation_id(b.own.id, reference))
    b.domain.engine.services.start(live, "a test")
    await until(lambda: live.phase is ServicePhase.RUNNING, "the service runs")


# ---- tasks -----------------------------------------------------------------------------------------


async def test_a_task_has_the_same_id_as_in_a_plan_and_who_made_it(b: Bench) -> None:
    """And is there for whoever asks, by id and in its environment."""
    made = await b.domain.automations.create_task(b.own.id, task("build", name="Build it"), ORIGIN)
    assert made.id == automation_id(b.own.id, "build")
    assert (made.creator_id, made.creator_principal) == (ORIGIN.creator_id, "PRINCIPAL_USER")
    assert b.domain.automations.task(made.id) == made
    assert b.domain.automations.tasks_of(b.own.id) == [made]
    assert await b.store.definitions.list_tasks() == [made]


async def test_a_reference_is_unique_over_tasks_and_services(b: Bench) -> None:
    """In its environment; another environment may have it, too."""
    automations = b.domain.automations
    await automations.create_task(b.own.id, task("one"), ORIGIN)
    await automations.create_service(b.own.id, service("two"), ORIGIN)
    for reference in ("one", "two"):
        with pytest.raises(AlreadyExists, match=f"cannot define '{reference}'"):
            await automations.create_task(b.own.id, task(reference), ORIGIN)
        with pytest.raises(AlreadyExists):
            await automations.create_service(b.own.id, service(reference), ORIGIN)
    other = await b.create()
    made = await automations.create_task(other.id, task("one"), ORIGIN)
    assert made.id != automation_id(b.own.id, "one")


async def test_what_it_depends_on_must_be_there_and_go_in_no_circle(b: Bench) -> None:
    """A refused change changes nothing."""
    automations = b.domain.automations
    made = await automations.create_task(b.own.id, task("generate"), ORIGIN)
    with pytest.raises(UnknownReference, match=r"generrate.*did you mean generate\?"):
        await automations.create_task(b.own.id, task("build", "generrate"), ORIGIN)
    await automations.create_task(b.own.id, task("build", "generate"), ORIGIN)
    with pytest.raises(CycleFound, match="generate -> build -> generate"):
        await automations.update_task(made.id, task("generate", "build"))
    assert automations.task(made.id) == made
    assert automations.catalog(b.own.id).needs == {"generate": (), "build": ("generate",)}


async def test_an_update_keeps_the_id_and_grows_the_version(b: Bench) -> None:
    """One that changes nothing is none."""
    automations = b.domain.automations
    before = await automations.create_task(b.own.id, task("build"), ORIGIN)
    after = await automations.update_task(before.id, task("build", command="make"))
    assert after.id == before.id
    assert after.spec_version > before.spec_version
    assert after.created_at == before.created_at
    assert await automations.update_task(before.id, task("build", command="make")) is after


async def test_a_task_that_others_need_is_not_deleted(b: Bench) -> None:
    """The message names them; without them it can be."""
    automations = b.domain.automations
    made = await automations.create_task(b.own.id, task("generate"), ORIGIN)
    user = await automations.create_task(b.own.id, task("build", "generate"), ORIGIN)
    await automations.create_service(b.own.id, service("web", "generate"), ORIGIN)
    with pytest.raises(FailedPrecondition, match="build, web depend on it"):
        await automations.delete_task(made.id)
    await automations.delete_task(user.id)
    await automations.delete_service(automation_id(b.own.id, "web"), "a test")
    await automations.delete_task(made.id)
    with pytest.raises(NotFound):
        automations.task(made.id)
    assert await b.store.definitions.list_tasks() == []


async def test_an_execution_that_exists_is_a_snapshot(b: Bench) -> None:
    """Editing and deleting the task changes nothing of it."""
    automations = b.domain.automations
    made = await automations.create_task(b.own.id, task("build", command="sleep 1000"), ORIGIN)
    started = await b.domain.executions.start(made.id, ORIGIN)
    await automations.update_task(made.id, task("build", command="make"))
    await automations.delete_task(made.id)
    stored = await b.domain.executions.get(started.record.id)
    step = stored.record.spec.plan[0].steps[0].task
    assert step is not None
    assert step.spec is not None
    assert step.spec.command == "sleep 1000"


async def test_what_is_unknown_is_not_found(b: Bench) -> None:
    """Tasks, services, environments."""
    automations = b.domain.automations
    nobody = automation_id(b.own.id, "nobody")
    for call in (
        automations.update_task(nobody, task("nobody")),
        automations.delete_task(nobody),
        automations.update_service(nobody, service("nobody"), ORIGIN),
        automations.delete_service(nobody, "a test"),
        automations.create_task(nobody, task("a"), ORIGIN),
        automations.create_service(nobody, service("a"), ORIGIN),
        automations.apply(nobody, definitions(task("a")), ORIGIN),
    ):
        with pytest.raises(NotFound, match=r"^cannot find"):
            await call
    with pytest.raises(InvalidArgument):
        automations.references_of(b.own.id, [nobody])


# ---- services --------------------------------------------------------------------------------------


async def test_a_service_is_stopped_until_it_is_started(b: Bench) -> None:
    """And saved at once."""
    live = await b.domain.automations.create_service(b.own.id, service("db"), ORIGIN)
    assert live.phase is ServicePhase.STOPPED
    assert live.id == automation_id(b.own.id, "db")
    (saved,) = await b.store.list_services()
    assert (saved.id, saved.creator_id, saved.workspace) == (live.id, ORIGIN.creator_id, b.own.workspace)


async def test_the_spec_of_a_service_changes_only_while_it_is_stopped(b: Bench) -> None:
    """What is only for people changes at any time."""
    automations = b.domain.automations
    live = await automations.create_service(b.own.id, service("db"), ORIGIN)
    await running(b, "db")
    with pytest.raises(FailedPrecondition, match="it is RUNNING; stop it first"):
        await automations.update_service(live.id, service("db", start="other"), ORIGIN)
    await automations.update_service(live.id, service("db", description="the data"), ORIGIN)
    assert (live.record.definition.description, live.progress.outdated) == ("the data", False)
    b.domain.engine.services.stop(live, "a test")
    await until(lambda: live.phase is ServicePhase.STOPPED, "the service has stopped")
    before = live.record.spec_version
    await automations.update_service(live.id, service("db", start="other"), ORIGIN)
    assert live.record.definition.start == "other"
    assert live.record.spec_version > before
    (saved,) = await b.store.list_services()
    assert saved.definition.start == "other"


async def test_a_file_that_changes_a_running_service_leaves_it_running(b: Bench) -> None:
    """It is outdated, and new from its next start."""
    automations = b.domain.automations
    await automations.apply(b.own.id, definitions(service("db")), ORIGIN)
    await running(b, "db")
    await automations.apply(b.own.id, definitions(service("db", env=[{"name": "A", "value": "1"}])), ORIGIN)
    live = automations.service(automation_id(b.own.id, "db"))
    assert (live.phase, live.progress.outdated) == (ServicePhase.RUNNING, True)


async def test_deleting_a_service_stops_it_first(b: Bench) -> None:
    """While it goes, its reference is not free; then it is."""
    automations = b.domain.automations
    b.fakes[0].outcomes["sleep 1000"] = Outcome(holds=True, ignores_term=True)
    live = await automations.create_service(b.own.id, service("db"), ORIGIN)
    await running(b, "db")
    await automations.delete_service(live.id, "a test")
    assert live.phase is ServicePhase.STOPPING
    with pytest.raises(FailedPrecondition, match="is being deleted"):
        await automations.create_service(b.own.id, service("db"), ORIGIN)
    with pytest.raises(FailedPrecondition, match="is being deleted"):
        await automations.apply(b.own.id, definitions(service("db")), ORIGIN)
    assert "db" not in automations.catalog(b.own.id).needs
    await automations.delete_service(live.id, "a test", force=True)
    host = b.domain.engine.services
    await until(lambda: not host.of(b.own.id), "the service is gone")
    with pytest.raises(NotFound):
        automations.service(live.id)
    await automations.create_service(b.own.id, service("db"), ORIGIN)


async def test_a_service_that_others_need_is_not_deleted(b: Bench) -> None:
    """Not even by force."""
    automations = b.domain.automations
    live = await automations.create_service(b.own.id, service("db"), ORIGIN)
    await automations.create_task(b.own.id, task("seed", "db"), ORIGIN)
    with pytest.raises(FailedPrecondition, match="seed depends on it"):
        await automations.delete_service(live.id, "a test", force=True)


async def test_a_service_cannot_be_triggered_before_a_snapshot(b: Bench) -> None:
    """Made or changed."""
    bad = service("db", triggered_by=("beforeSnapshot",))
    with pytest.raises(InvalidArgument, match="beforeSnapshot"):
        await b.domain.automations.create_service(b.own.id, bad, ORIGIN)
    live = await b.domain.automations.create_service(b.own.id, service("db"), ORIGIN)
    with pytest.raises(InvalidArgument):
        await b.domain.automations.update_service(live.id, bad, ORIGIN)


# ---- files -----------------------------------------------------------------------------------------


async def test_applying_a_file_is_an_upsert_by_reference(b: Bench) -> None:
    """Ids stay, what the file does not have stays, and its order is kept."""
    automations = b.domain.automations
    old = await automations.create_task(b.own.id, task("old"), ORIGIN)
    build = await automations.create_task(b.own.id, task("build"), ORIGIN)
    file = definitions(task("zeta"), task("build", "alpha", command="make"), task("alpha"), service("db"))
    applied = await automations.apply(b.own.id, file, ORIGIN)
    ids = [automation_id(b.own.id, reference) for reference in ("zeta", "build", "alpha")]
    assert list(applied.task_ids) == ids
    assert applied.service_ids == (automation_id(b.own.id, "db"),)
    assert automations.task(build.id).definition.command == "make"
    assert automations.task(old.id) == old
    assert list(automations.catalog(b.own.id).tasks) == ["old", "build", "zeta", "alpha"]
    again = await automations.apply(b.own.id, file, ORIGIN)
    assert again == applied


async def test_pruning_removes_what_the_file_does_not_have(b: Bench) -> None:
    """Tasks and services, running ones after they have stopped."""
    automations = b.domain.automations
    await automations.apply(
        b.own.id, definitions(task("a"), task("b"), service("db"), service("web")), ORIGIN
    )
    await running(b, "db")
    applied = await automations.apply(b.own.id, definitions(task("b"), service("web")), ORIGIN, prune=True)
    assert applied.removed_task_ids == (automation_id(b.own.id, "a"),)
    assert applied.removed_service_ids == (automation_id(b.own.id, "db"),)
    await until(lambda: len(b.domain.engine.services.of(b.own.id)) == 1, "the service is gone")
    assert list(automations.catalog(b.own.id).needs) == ["b", "web"]


async def test_a_task_becomes_a_service_only_where_the_file_is_all(b: Bench) -> None:
    """Else it would be ambiguous."""
    automations = b.domain.automations
    await automations.apply(b.own.id, definitions(task("db")), ORIGIN)
    with pytest.raises(AlreadyExists, match="ambiguous"):
        await automations.apply(b.own.id, definitions(service("db")), ORIGIN)
    await automations.apply(b.own.id, definitions(service("db")), ORIGIN, prune=True)
    assert list(automations.catalog(b.own.id).services) == ["db"]
    assert automations.tasks_of(b.own.id) == []


async def test_a_bad_file_changes_nothing(b: Bench) -> None:
    """Not even its good half."""
    automations = b.domain.automations
    await automations.apply(b.own.id, definitions(task("a")), ORIGIN)
    for bad, error in (
        (definitions(task("a", command="new"), task("b", "none")), UnknownReference),
        (definitions(task("a", "b"), task("b", "a"), service("db")), CycleFound),
    ):
        with pytest.raises(error):
            await automations.apply(b.own.id, bad, ORIGIN)
    assert automations.catalog(b.own.id).tasks == {"a": task("a")}
    assert automations.services_of(b.own.id) == []


async def test_extensions_are_kept(b: Bench) -> None:
    """Timeouts, retries, variables, restart, what a service depends on: and they are in force."""
    automations = b.domain.automations
    file = definitions(
        task(
            "build",
            timeout=timedelta(seconds=5),
            retries=Retries(limit=2),
            env=[{"name": "A", "secret": "S"}],
        ),
        service("db", "build", restart={"policy": "always"}),
    )
    await automations.apply(b.own.id, file, ORIGIN)
    planned = automations.catalog(b.own.id).plan("build", automation_id(b.own.id, "an execution"))
    (policy,) = planned.policies.values()
    assert (policy.timeout, policy.retries) == (5.0, 2)
    assert list(planned.secrets.values()) == ["S"]
    assert automations.catalog(b.own.id).needs["db"] == ("build",)


async def test_a_service_that_a_foreground_run_brings_is_known(b: Bench) -> None:
    """It belongs to the environment as any other."""
    automations = b.domain.automations
    await automations.apply(b.own.id, definitions(task("a")), ORIGIN)
    assert list(automations.catalog(b.own.id).needs) == ["a"]
    guest = Catalog(b.own.id, definitions(task("seed", "db"), service("db")))
    lives = await b.domain.engine.fire(guest, ["seed"], ORIGIN)
    b.domain.engine.begin(lives)
    await b.end(lives[0].record.id)
    assert list(automations.catalog(b.own.id).needs) == ["a", "db"]


# ---- what is told, and what stays ------------------------------------------------------------------


async def test_every_change_is_told_once(b: Bench) -> None:
    """By kind of resource and operation."""
    automations = b.domain.automations
    with b.domain.changes.subscribe() as subscription:

        def told() -> list[tuple[ResourceType, Operation]]:
            return [(change.resource_type, change.operation) for change in subscription.take()]

        made = await automations.create_task(b.own.id, task("a"), ORIGIN)
        assert told() == [(ResourceType.TASK, Operation.CREATE)]
        await automations.update_task(made.id, task("a", command="new"))
        assert told() == [(ResourceType.TASK, Operation.UPDATE)]
        await automations.apply(b.own.id, definitions(task("a", command="new")), ORIGIN)
        assert told() == []
        await automations.delete_task(made.id)
        assert told() == [(ResourceType.TASK, Operation.DELETE)]
        live = await automations.create_service(b.own.id, service("db"), ORIGIN)
        assert told() == [(ResourceType.SERVICE, Operation.CREATE)]
        await automations.update_service(live.id, service("db", start="other"), ORIGIN)
        assert (ResourceType.SERVICE, Operation.UPDATE) in told()
        await automations.delete_service(live.id, "a test")
        assert told()[-1] == (ResourceType.SERVICE, Operation.DELETE)


async def test_all_of_it_is_there_for_the_next_daemon(tmp_path: Path) -> None:
    """With ids, versions and order."""
    async with bench(tmp_path) as b:
        file = definitions(task("z"), task("a", "db"), service("db", "z"))
        await b.domain.automations.apply(b.own.id, file, ORIGIN)
        before = b.domain.automations.tasks()
        needs = b.domain.automations.catalog(b.own.id).needs
    async with bench(tmp_path) as b:
        assert b.domain.automations.tasks() == before
        assert b.domain.automations.catalog(b.own.id).needs == needs
        (live,) = b.domain.automations.services()
        assert live.catalog is not None
        assert live.catalog.needs == needs
