"""Executions of a daemon: started, found, listed in pages, stopped, and told on both feeds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.event import ResourceOperation as Operation
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.resource import ResourceType
from phased.core.environment import ExecutionQuery
from phased.core.specs import automation_id
from phased.core.status import StatusChange
from phased.engine.paging import COUNTED_AT_MOST, PageRequest
from phased.errors import InvalidArgument, NotFound
from phased.ports import StoredExecution
from phased.testing.fake_runner import Outcome
from tests.engine.domain import ORIGIN, Bench, bench, definitions, service, task
from tests.engine.services.bench import until

pytestmark = pytest.mark.anyio
NOBODY = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a0f"


@pytest.fixture(params=["memory", "sqlite"])
async def b(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A domain with a task that ends at once, one that holds, and one that needs a service."""
    async with bench(tmp_path, request.param) as made:
        made.fakes[0].outcomes |= {"hold": Outcome(holds=True), "sleep 1000": Outcome(holds=True)}
        file = definitions(
            task("quick"),
            task("slow", command="hold"),
            task("seed", "db"),
            service("db"),
            task("fail", command="f"),
        )
        made.fakes[0].outcomes["f"] = Outcome(code=3)
        await made.domain.automations.apply(made.own.id, file, ORIGIN)
        yield made


async def start(b: Bench, reference: str) -> StoredExecution:
    """A new execution of a task, as it is when it is created."""
    return await b.domain.executions.start(automation_id(b.own.id, reference), ORIGIN)


async def test_starting_answers_at_once_with_a_new_execution(b: Bench) -> None:
    """Twice is two; each belongs to its environment and to who asked."""
    first, second = await start(b, "slow"), await start(b, "slow")
    assert first.record.id != second.record.id
    for one in (first, second):
        assert one.status.phase is Phase.PENDING
        assert (one.record.environment_id, one.record.workspace) == (b.own.id, b.own.workspace)
        assert (one.record.creator_id, one.record.started_by) == (ORIGIN.creator_id, "manual")
        assert (await b.domain.executions.get(one.record.id)).record == one.record
    await until(lambda: len(b.fakes[0].runs) == 2, "both run")


async def test_what_is_shown_is_what_is_saved(b: Bench) -> None:
    """To the end, and then for ever."""
    ended = await start(b, "fail")
    await b.end(ended.record.id)
    stored = await b.domain.executions.get(ended.record.id)
    assert stored == await b.store.get(ended.record.id)
    assert stored.status.phase is Phase.FAILED
    for unknown in (NOBODY, "../../etc/passwd"):
        with pytest.raises(NotFound, match=r"^cannot find an execution"):
            await b.domain.executions.get(unknown)
    with pytest.raises(NotFound):
        await b.domain.executions.start(NOBODY, ORIGIN)


async def test_a_plan_with_a_service_starts_it(b: Bench) -> None:
    """And succeeds once that runs."""
    made = await start(b, "seed")
    await b.end(made.record.id)
    assert (await b.domain.executions.get(made.record.id)).status.phase is Phase.SUCCEEDED
    assert [live.phase.name for live in b.domain.engine.services.of(b.own.id)] == ["RUNNING"]


async def test_a_page_goes_on_where_the_one_before_ended(b: Bench) -> None:
    """Newest first, also where new ones come meanwhile."""
    made = []
    for _ in range(7):
        made.append((await start(b, "quick")).record.id)
        b.fakes[1].advance(1)
    query, found, token = ExecutionQuery((b.own.id,)), list[str](), ""
    while True:
        page = await b.domain.executions.page(query, PageRequest(3, token), counted=True)
        found += [one.record.id for one in page.entries]
        assert (page.count, page.count_is_exact) == (7 if not token else 8, True)
        if not token:
            await start(b, "quick")
        token = page.next_token
        if not token:
            break
    assert found == made[::-1]
    assert (await b.domain.executions.page(ExecutionQuery((NOBODY,)), PageRequest())).entries == ()


async def test_a_sort_key_that_is_none_and_a_token_of_another_list_are_refused(b: Bench) -> None:
    """With what there is."""
    for _ in range(3):
        await start(b, "quick")
    with pytest.raises(
        InvalidArgument, match=r"cannot sort executions by 'created_at'; there are: id, createdAt"
    ):
        await b.domain.executions.page(ExecutionQuery(sort="created_at"), PageRequest())
    page = await b.domain.executions.page(ExecutionQuery(sort="id"), PageRequest(1))
    with pytest.raises(InvalidArgument, match=r"pagination\.token"):
        await b.domain.executions.page(ExecutionQuery(), PageRequest(1, page.next_token))
    assert COUNTED_AT_MOST == 10_000


async def test_stopping_is_saved_when_it_is_answered(b: Bench) -> None:
    """What has ended may be stopped as well: what it left behind ends, its phase stays."""
    b.fakes[0].outcomes["left"] = Outcome(children=2, children_obey=True)
    await b.domain.automations.create_task(b.own.id, task("leaves", command="left"), ORIGIN)
    running, leaves = await start(b, "slow"), await start(b, "leaves")
    await b.end(leaves.record.id)
    await b.domain.executions.stop(running.record.id, "a test")
    assert (await b.domain.executions.get(running.record.id)).status.stop_requested
    await b.end(running.record.id)
    runner = b.fakes[0]
    assert sum(run.children for run in runner.runs.values()) == 2
    await b.domain.executions.stop(leaves.record.id, "a test")
    await until(lambda: sum(run.children for run in runner.runs.values()) == 0, "the children have ended")
    assert (await b.domain.executions.get(leaves.record.id)).status.phase is Phase.SUCCEEDED
    with pytest.raises(NotFound):
        await b.domain.executions.stop(NOBODY, "a test")


async def test_both_feeds_tell_of_it(b: Bench) -> None:
    """By id on one; with every status, in versions that grow, on the other."""
    begin = b.domain.stream.sequence
    with b.domain.changes.subscribe() as subscription:
        made = await start(b, "quick")
        await b.end(made.record.id)
        told = [one for one in subscription.take() if one.resource_id == made.record.id]
    assert [one.operation for one in told] == [Operation.CREATE, Operation.UPDATE_STATUS]
    assert {(one.environment_id, one.creator_id) for one in told} == {(b.own.id, ORIGIN.creator_id)}
    events = [one for one in b.domain.stream.read(begin).events if one.resource_id == made.record.id]
    assert {one.resource_type for one in events} == {ResourceType.TASK_EXECUTION}
    versions = [one.version for one in events]
    assert versions == sorted(set(versions))
    last = events[-1].change
    assert isinstance(last, StatusChange)
    assert last.phase is Phase.SUCCEEDED
    assert events[-1].version == (await b.domain.executions.get(made.record.id)).status.version


async def test_a_service_is_told_of_as_spec_and_as_status(b: Bench) -> None:
    """Starting one changes both."""
    live = b.domain.engine.services.of(b.own.id)[0]
    with b.domain.changes.subscribe(lambda one: one.resource_type is ResourceType.SERVICE) as subscription:
        b.domain.engine.services.start(live, "a test")
        await until(lambda: live.phase.name == "RUNNING", "it runs")
        assert {one.operation for one in subscription.take()} == {Operation.UPDATE, Operation.UPDATE_STATUS}


async def test_a_start_needs_an_environment_at_work(b: Bench) -> None:
    """One that another has stopped is found stopped."""
    await b.domain.environments.stop(b.own.id)
    await b.reach(b.own.id, EnvironmentPhase.STOPPED)
    page = await b.domain.executions.page(
        ExecutionQuery(phases=(Phase.RUNNING,)), PageRequest(), counted=True
    )
    assert page.entries == ()
