"""Executions of the public service.

Knows their messages, the engine and the history. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from phased.api.calls import Call
from phased.api.paging import asked
from phased.contract import execution_calls as m
from phased.contract.execution import TaskExecution, TaskExecutionPhase
from phased.contract.pagination import PaginationResponse
from phased.core.environment import ExecutionQuery
from phased.engine.view import masked, task_execution
from phased.ports import StoredExecution


async def get_task_execution(call: Call, request: m.GetTaskExecutionRequest) -> m.GetTaskExecutionResponse:
    """One execution."""
    stored = await find_execution(call, request.id)
    return m.GetTaskExecutionResponse.model_construct(task_execution=shown(call, stored))


async def list_task_executions(
    call: Call, request: m.ListTaskExecutionsRequest
) -> m.ListTaskExecutionsResponse:
    """Executions, newest first."""
    wanted = request.filter or m.ListTaskExecutionsRequestFilter()
    query = ExecutionQuery(
        environment_ids=tuple(map(str.lower, wanted.environment_ids)),
        task_ids=tuple(map(str.lower, wanted.task_ids)),
        references=wanted.task_references,
        phases=wanted.phases,
    )
    narrowed = narrow(call, query)
    if narrowed is None:
        return m.ListTaskExecutionsResponse.model_construct(pagination=PaginationResponse.model_construct())
    page = await call.house.executions.page(narrowed, asked(request.pagination))
    return m.ListTaskExecutionsResponse.model_construct(
        pagination=PaginationResponse.model_construct(next_token=page.next_token or None),
        task_executions=shown_all(call, page.entries),
    )


async def stop_task_execution(call: Call, request: m.StopTaskExecutionRequest) -> m.StopTaskExecutionResponse:
    """Ask an execution to stop; that it was asked is saved when this answers."""
    stored = await find_execution(call, request.id)
    await call.house.executions.stop(stored.record.id, call.name)
    return m.StopTaskExecutionResponse.model_construct()


async def find_execution(call: Call, execution_id: str) -> StoredExecution:
    """An execution that the caller may do this with. Raises NotFound, PermissionDenied."""
    stored = await call.house.executions.get(execution_id.lower())
    call.see(stored.record.environment_id, f"the execution {execution_id}")
    return stored


def narrow(call: Call, query: ExecutionQuery) -> ExecutionQuery | None:
    """The query, within the environments that the caller may look into; None where there is none of them."""
    if call.caller.sees_all:
        return query
    known = query.environment_ids or tuple(record.id for record in call.house.environments.all())
    seen = tuple(one for one in known if call.sees(one))
    if not seen:
        return None
    return replace(query, environment_ids=seen)


def shown(call: Call, stored: StoredExecution) -> TaskExecution:
    """As the API shows it: without secrets, and with the address of its logs once they can be read."""
    record = stored.record
    made = task_execution(record, masked(stored.status, call.house.hide(record.environment_id)))
    status = made.status
    if status is None or not any(step.phase in _STARTED for step in status.steps):
        return made
    url = f"{call.origin}/logs/executions/{record.id}"
    return made.model_copy(update={"status": status.model_copy(update={"log_url": url})})


def shown_all(call: Call, stored: Sequence[StoredExecution]) -> tuple[TaskExecution, ...]:
    """Several of them."""
    return tuple(shown(call, one) for one in stored)


_STARTED = frozenset(
    {
        TaskExecutionPhase.RUNNING,
        TaskExecutionPhase.SUCCEEDED,
        TaskExecutionPhase.FAILED,
        TaskExecutionPhase.STOPPED,
    }
)
"""The phases of a step that may have written something."""
