"""What is asked about executions, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.execution import TaskExecution, TaskExecutionPhase
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.values import Uuid


class GetTaskExecutionRequest(Message, proto="gitpod.v1.GetTaskExecutionRequest"):
    """What GetTaskExecution is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class GetTaskExecutionResponse(Message, proto="gitpod.v1.GetTaskExecutionResponse"):
    """What GetTaskExecution answers."""

    task_execution: Annotated[TaskExecution, Wire(1, "TaskExecution")]


class ListTaskExecutionsRequestFilter(Message, proto="gitpod.v1.ListTaskExecutionsRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    task_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    task_references: Annotated[tuple[str, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    environment_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(3, "repeated string")] = ()
    phases: Annotated[
        tuple[TaskExecutionPhase, ...], Field(max_length=25), Wire(4, "repeated TaskExecutionPhase")
    ] = ()


class ListTaskExecutionsRequest(Message, proto="gitpod.v1.ListTaskExecutionsRequest"):
    """What ListTaskExecutions is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListTaskExecutionsRequestFilter | None, Wire(2, "ListTaskExecutionsRequest.Filter")] = (
        None
    )


class ListTaskExecutionsResponse(Message, proto="gitpod.v1.ListTaskExecutionsResponse"):
    """What ListTaskExecutions answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    task_executions: Annotated[tuple[TaskExecution, ...], Wire(2, "repeated TaskExecution")] = ()


class StopTaskExecutionRequest(Message, proto="gitpod.v1.StopTaskExecutionRequest"):
    """What StopTaskExecution is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class StopTaskExecutionResponse(Message, proto="gitpod.v1.StopTaskExecutionResponse"):
    """What StopTaskExecution answers. Nothing, where it worked."""
