"""Tasks and automations files of the public service.

Knows their messages and the engine's definitions. Must not know HTTP.
"""

from __future__ import annotations

from functools import partial

from phased.api.calls import Call
from phased.api.handlers.environments import find_environment
from phased.api.handlers.executions import shown
from phased.api.paging import listed, lowered, told
from phased.contract import task_calls as m
from phased.contract.automations_file import (
    AutomationsFile,
    UpsertAutomationsFileRequest,
    UpsertAutomationsFileResponse,
)
from phased.core.environment import TaskRecord
from phased.engine.definitions.messages import (
    changed_task,
    definitions_of,
    task_definition,
    task_message,
)


async def create_task(call: Call, request: m.CreateTaskRequest) -> m.CreateTaskResponse:
    """Define a new task."""
    environment = find_environment(call, request.environment_id).id
    automations = call.house.automations
    definition = task_definition(request, partial(automations.references_of, environment))
    record = await automations.create_task(environment, definition, call.started_by())
    return m.CreateTaskResponse.model_construct(task=task_message(record))


async def get_task(call: Call, request: m.GetTaskRequest) -> m.GetTaskResponse:
    """One task."""
    return m.GetTaskResponse.model_construct(task=task_message(find_task(call, request.id)))


async def list_tasks(call: Call, request: m.ListTasksRequest) -> m.ListTasksResponse:
    """Tasks, oldest first."""
    wanted = request.filter or m.ListTasksRequestFilter()
    environments, ids = lowered(wanted.environment_ids), lowered(wanted.task_ids)
    references = set(wanted.references)
    found = [
        record
        for record in call.house.automations.tasks()
        if (not environments or record.environment_id in environments)
        and (not references or record.reference in references)
        and (not ids or record.id in ids)
        and call.sees(record.environment_id)
    ]
    page = listed(found, lambda record: (record.created_at, record.id), "tasks", request.pagination)
    return m.ListTasksResponse.model_construct(
        pagination=told(page), tasks=tuple(task_message(record) for record in page.entries)
    )


async def update_task(call: Call, request: m.UpdateTaskRequest) -> m.UpdateTaskResponse:
    """Define a task anew."""
    automations = call.house.automations
    record = find_task(call, request.id)
    references = partial(automations.references_of, record.environment_id)
    await automations.update_task(record.id, changed_task(record.definition, request, references))
    return m.UpdateTaskResponse.model_construct()


async def delete_task(call: Call, request: m.DeleteTaskRequest) -> m.DeleteTaskResponse:
    """Forget a task."""
    await call.house.automations.delete_task(find_task(call, request.id).id)
    return m.DeleteTaskResponse.model_construct()


async def start_task(call: Call, request: m.StartTaskRequest) -> m.StartTaskResponse:
    """Start a new execution of a task; does not wait for it."""
    record = find_task(call, request.id)
    started = await call.house.executions.start(record.id, call.started_by())
    return m.StartTaskResponse.model_construct(task_execution=shown(call, started))


async def upsert_automations_file(
    call: Call, request: UpsertAutomationsFileRequest
) -> UpsertAutomationsFileResponse:
    """Apply a file: an upsert by reference."""
    environment = find_environment(call, request.environment_id).id
    definitions = definitions_of(request.automations_file or AutomationsFile())
    applied = await call.house.automations.apply(environment, definitions, call.started_by())
    return UpsertAutomationsFileResponse.model_construct(
        updated_service_ids=applied.service_ids, updated_task_ids=applied.task_ids
    )


def find_task(call: Call, task_id: str) -> TaskRecord:
    """A task that the caller may do this with. Raises NotFound, PermissionDenied."""
    record = call.house.automations.task(task_id.lower())
    call.see(record.environment_id, f"the task {task_id}")
    return record
