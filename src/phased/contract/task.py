"""A task: a one-off command of an environment, found by its reference."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.runs_on import RunsOn
from phased.contract.subject import Subject
from phased.contract.trigger import AutomationTrigger
from phased.contract.values import Bool, NotEmpty, Reference, Timestamp, Uuid


class TaskMetadata(Message, proto="gitpod.v1.TaskMetadata"):
    """What a task is called and what starts it.

    `name` is for people; where it is missing the reference takes its place.
    """

    reference: Annotated[Reference, Wire(1, "string")]
    name: Annotated[NotEmpty | None, Wire(2, "string")] = None
    description: Annotated[str | None, Wire(3, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(4, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(5, "Subject")] = None
    triggered_by: Annotated[tuple[AutomationTrigger, ...], Wire(6, "repeated AutomationTrigger")] = ()


class TaskSpec(Message, proto="gitpod.v1.TaskSpec"):
    """What a task runs, where and with which variables. Without a command it joins its dependencies."""

    command: Annotated[str | None, Wire(1, "string")] = None
    runs_on: Annotated[RunsOn | None, Wire(2, "RunsOn")] = None
    env: Annotated[tuple[EnvironmentVariableItem, ...], Wire(3, "repeated EnvironmentVariableItem")] = ()
    prebuild_requires_success: Annotated[Bool | None, Wire(4, "bool")] = None


class Task(Message, proto="gitpod.v1.Task"):
    """A task of an environment. `depends_on` holds ids of tasks and services."""

    id: Annotated[Uuid, Wire(1, "string")]
    environment_id: Annotated[Uuid | None, Wire(2, "string")] = None
    metadata: Annotated[TaskMetadata | None, Wire(3, "TaskMetadata")] = None
    spec: Annotated[TaskSpec | None, Wire(4, "TaskSpec")] = None
    depends_on: Annotated[tuple[Uuid, ...], Wire(5, "repeated string")] = ()
