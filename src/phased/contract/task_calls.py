"""What is asked about tasks, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.execution import TaskExecution
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.runs_on import RunsOn
from phased.contract.task import Task, TaskMetadata, TaskSpec
from phased.contract.trigger import AutomationTrigger
from phased.contract.values import Bool, NotEmpty, Uuid


class CreateTaskRequest(Message, proto="gitpod.v1.CreateTaskRequest"):
    """What CreateTask is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[TaskMetadata | None, Wire(2, "TaskMetadata")] = None
    spec: Annotated[TaskSpec | None, Wire(3, "TaskSpec")] = None
    depends_on: Annotated[tuple[Uuid, ...], Wire(4, "repeated string")] = ()


class CreateTaskResponse(Message, proto="gitpod.v1.CreateTaskResponse"):
    """What CreateTask answers."""

    task: Annotated[Task, Wire(1, "Task")]


class GetTaskRequest(Message, proto="gitpod.v1.GetTaskRequest"):
    """What GetTask is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class GetTaskResponse(Message, proto="gitpod.v1.GetTaskResponse"):
    """What GetTask answers."""

    task: Annotated[Task, Wire(1, "Task")]


class ListTasksRequestFilter(Message, proto="gitpod.v1.ListTasksRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    environment_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    references: Annotated[tuple[NotEmpty, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    task_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(3, "repeated string")] = ()


class ListTasksRequest(Message, proto="gitpod.v1.ListTasksRequest"):
    """What ListTasks is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListTasksRequestFilter | None, Wire(2, "ListTasksRequest.Filter")] = None


class ListTasksResponse(Message, proto="gitpod.v1.ListTasksResponse"):
    """What ListTasks answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    tasks: Annotated[tuple[Task, ...], Wire(2, "repeated Task")] = ()


class UpdateTaskRequestAutomationTriggerUpdate(
    Message, proto="gitpod.v1.UpdateTaskRequest.AutomationTriggerUpdate"
):
    """The new triggers, all of them; an empty list takes them away."""

    trigger: Annotated[tuple[AutomationTrigger, ...], Wire(1, "repeated AutomationTrigger")] = ()


class UpdateTaskRequestTaskMetadata(Message, proto="gitpod.v1.UpdateTaskRequest.TaskMetadata"):
    """The new task metadata; what is absent stays."""

    name: Annotated[NotEmpty | None, Wire(1, "optional string")] = None
    description: Annotated[str | None, Wire(2, "optional string")] = None
    triggered_by: Annotated[
        UpdateTaskRequestAutomationTriggerUpdate | None,
        Wire(3, "optional UpdateTaskRequest.AutomationTriggerUpdate"),
    ] = None


class UpdateTaskRequestTaskSpec(Message, proto="gitpod.v1.UpdateTaskRequest.TaskSpec"):
    """The new task spec; what is absent stays."""

    command: Annotated[str | None, Wire(1, "optional string")] = None
    runs_on: Annotated[RunsOn | None, Wire(2, "optional RunsOn")] = None
    env: Annotated[tuple[EnvironmentVariableItem, ...], Wire(3, "repeated EnvironmentVariableItem")] = ()
    prebuild_requires_success: Annotated[Bool | None, Wire(4, "optional bool")] = None


class UpdateTaskRequest(Message, proto="gitpod.v1.UpdateTaskRequest"):
    """What UpdateTask is asked."""

    id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[UpdateTaskRequestTaskMetadata | None, Wire(2, "UpdateTaskRequest.TaskMetadata")] = (
        None
    )
    spec: Annotated[UpdateTaskRequestTaskSpec | None, Wire(3, "UpdateTaskRequest.TaskSpec")] = None
    depends_on: Annotated[tuple[Uuid, ...], Wire(4, "repeated string")] = ()


class UpdateTaskResponse(Message, proto="gitpod.v1.UpdateTaskResponse"):
    """What UpdateTask answers. Nothing, where it worked."""


class DeleteTaskRequest(Message, proto="gitpod.v1.DeleteTaskRequest"):
    """What DeleteTask is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class DeleteTaskResponse(Message, proto="gitpod.v1.DeleteTaskResponse"):
    """What DeleteTask answers. Nothing, where it worked."""


class StartTaskRequest(Message, proto="gitpod.v1.StartTaskRequest"):
    """What StartTask is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class StartTaskResponse(Message, proto="gitpod.v1.StartTaskResponse"):
    """What StartTask answers."""

    task_execution: Annotated[TaskExecution, Wire(1, "TaskExecution")]
