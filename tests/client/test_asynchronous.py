"""The client that is awaited: the same methods, against a real daemon."""

from __future__ import annotations

import anyio
import pytest

from phased.client import Address, AsyncClient
from phased.contract.error_code import ErrorCode
from phased.contract.event import WatchEventsRequest
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.pagination import PaginationRequest
from phased.contract.task import TaskMetadata, TaskSpec
from phased.contract.task_calls import (
    CreateTaskRequest,
    DeleteTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    StartTaskRequest,
)
from phased.errors import Refused, Unreachable
from tests.api.daemon import NOBODY, PATIENCE

pytestmark = pytest.mark.anyio


async def make(client: AsyncClient, environment_id: str, reference: str, command: str) -> str:
    """A new task; its id."""
    request = CreateTaskRequest(
        environment_id=environment_id,
        metadata=TaskMetadata(reference=reference),
        spec=TaskSpec(command=command),
    )
    return (await client.create_task(request)).task.id


async def test_an_execution_is_followed_to_its_end(address: Address, environment_id: str) -> None:
    """As by the client that blocks."""
    async with AsyncClient(address) as client:
        task = await make(client, environment_id, "followed", "sleep 0.2; exit 3")
        started = (await client.start_task(StartTaskRequest(id=task))).task_execution
        seen = [one async for one in client.follow_execution(started.id)]
    assert seen[-1].status is not None
    assert seen[-1].status.phase is Phase.FAILED


async def test_many_are_followed_over_one_client(address: Address, environment_id: str) -> None:
    """Each to its own end, at the same time."""
    ended: list[Phase | None] = []
    async with AsyncClient(address) as client:
        task = await make(client, environment_id, "many", "true")

        async def follow() -> None:
            started = (await client.start_task(StartTaskRequest(id=task))).task_execution
            last = [one async for one in client.follow_execution(started.id)][-1]
            ended.append(last.status.phase if last.status else None)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(follow)
    assert ended == [Phase.SUCCEEDED] * 8


async def test_pages_streams_and_logs(address: Address, environment_id: str) -> None:
    """What the client that blocks can do."""
    async with AsyncClient(address) as client:
        made = [await make(client, environment_id, f"page-{number}", "echo out") for number in range(3)]
        request = ListTasksRequest(pagination=PaginationRequest(page_size=2))
        pages = [page async for page in client.pages(client.list_tasks, request)]
        assert set(made) <= {task.id for page in pages for task in page.tasks}
        async with client.watch_events(WatchEventsRequest(environment_id=environment_id)) as events:
            await client.delete_task(DeleteTaskRequest(id=made[0]))
            assert (await anext(events)).resource_id == made[0]
        started = (await client.start_task(StartTaskRequest(id=made[1]))).task_execution
        async with client.logs(started.id) as blocks:
            assert b"".join([block async for block in blocks]) == b"out\n"
        async with client.events(environment_id) as told:
            assert (await anext(told)).kind == "snapshot"


async def test_errors_are_typed(address: Address) -> None:
    """Refused has the code; Unreachable says where nobody was."""
    async with AsyncClient(address) as client:
        with pytest.raises(Refused) as caught:
            await client.get_task(GetTaskRequest(id=NOBODY))
        assert caught.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(Refused) as caught:
            async with client.watch_events(WatchEventsRequest(environment_id=NOBODY)):
                pass
        assert caught.value.code is ErrorCode.NOT_FOUND
    async with AsyncClient(Address.of_socket("/nowhere/at/all.sock")) as client:
        with pytest.raises(Unreachable, match="start one with"):
            await client.get_task(GetTaskRequest(id=NOBODY))


async def test_following_can_be_cancelled(address: Address, environment_id: str) -> None:
    """Without waiting for the execution, and leaving nothing open."""
    async with AsyncClient(address) as client:
        task = await make(client, environment_id, "endless", "sleep 1000")
        started = (await client.start_task(StartTaskRequest(id=task))).task_execution
        with anyio.move_on_after(0.3) as scope:
            async for _ in client.follow_execution(started.id):
                pass
    assert scope.cancelled_caught
