"""An execution: one run of a task with everything it depends on, planned as groups of steps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.subject import Subject
from phased.contract.task import TaskSpec
from phased.contract.values import OutputKey, OutputValue, Timestamp, Uint64, Uuid


class TaskExecutionPhase(Name):
    """Where an execution or a step stands. A step that has not started has none."""

    UNSPECIFIED = "TASK_EXECUTION_PHASE_UNSPECIFIED"
    PENDING = "TASK_EXECUTION_PHASE_PENDING"
    RUNNING = "TASK_EXECUTION_PHASE_RUNNING"
    SUCCEEDED = "TASK_EXECUTION_PHASE_SUCCEEDED"
    FAILED = "TASK_EXECUTION_PHASE_FAILED"
    STOPPED = "TASK_EXECUTION_PHASE_STOPPED"


class PlanStepTask(Message, proto="gitpod.v1.TaskExecutionSpec.Task"):
    """The task that a step runs: its id, and its spec as it was when the execution was made."""

    id: Annotated[Uuid | None, Wire(1, "string")] = None
    spec: Annotated[TaskSpec | None, Wire(2, "TaskSpec")] = None


class PlanStep(Message, proto="gitpod.v1.TaskExecutionSpec.Step"):
    """One unit of a plan: a task's command, or a service to be made ready.

    `depends_on` holds ids of steps of earlier groups; `label` is the reference of the task or service.
    """

    id: Annotated[Uuid | None, Wire(1, "string")] = None
    depends_on: Annotated[tuple[str, ...], Wire(2, "repeated string")] = ()
    label: Annotated[str | None, Wire(3, "string")] = None
    task: Annotated[PlanStepTask | None, Wire(10, "TaskExecutionSpec.Task", "step")] = None
    service_id: Annotated[Uuid | None, Wire(11, "string", "step")] = None


class Plan(Message, proto="gitpod.v1.TaskExecutionSpec.Group"):
    """One group of a plan: its steps run concurrently; groups run one after another."""

    steps: Annotated[tuple[PlanStep, ...], Wire(1, "repeated TaskExecutionSpec.Step")] = ()


class TaskExecutionSpec(Message, proto="gitpod.v1.TaskExecutionSpec"):
    """What an execution runs: a snapshot. A `desired_phase` of STOPPED asks it to stop."""

    plan: Annotated[tuple[Plan, ...], Wire(1, "repeated TaskExecutionSpec.Group")] = ()
    desired_phase: Annotated[TaskExecutionPhase | None, Wire(2, "TaskExecutionPhase")] = None


class TaskExecutionStatusStep(Message, proto="gitpod.v1.TaskExecutionStatus.Step"):
    """The status of one step that has started, found by the id of its step in the plan."""

    id: Annotated[Uuid | None, Wire(1, "string")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(2, "TaskExecutionPhase")] = None
    failure_message: Annotated[str | None, Wire(3, "string")] = None
    output: Annotated[dict[OutputKey, OutputValue], Wire(4, "map<string, string>")] = Field(
        default_factory=dict
    )


class TaskExecutionStatus(Message, proto="gitpod.v1.TaskExecutionStatus"):
    """What happened so far. Of two copies the one with the larger `status_version` is newer."""

    status_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(2, "TaskExecutionPhase")] = None
    failure_message: Annotated[str | None, Wire(3, "string")] = None
    steps: Annotated[tuple[TaskExecutionStatusStep, ...], Wire(4, "repeated TaskExecutionStatus.Step")] = ()
    log_url: Annotated[str | None, Wire(5, "string")] = None


class TaskExecutionMetadata(Message, proto="gitpod.v1.TaskExecutionMetadata"):
    """Which task, where, who or what started it, and when."""

    task_id: Annotated[Uuid | None, Wire(1, "string")] = None
    environment_id: Annotated[Uuid | None, Wire(2, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(3, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(4, "Subject")] = None
    started_by: Annotated[str | None, Wire(6, "string")] = None
    """A trigger as the file spells it, `manual` for an explicit start."""
    started_at: Annotated[Timestamp | None, Wire(7, "google.protobuf.Timestamp")] = None
    completed_at: Annotated[Timestamp | None, Wire(8, "google.protobuf.Timestamp")] = None


class TaskExecution(Message, proto="gitpod.v1.TaskExecution"):
    """One run of a task with everything it depends on."""

    id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[TaskExecutionMetadata | None, Wire(2, "TaskExecutionMetadata")] = None
    spec: Annotated[TaskExecutionSpec | None, Wire(3, "TaskExecutionSpec")] = None
    status: Annotated[TaskExecutionStatus | None, Wire(4, "TaskExecutionStatus")] = None
