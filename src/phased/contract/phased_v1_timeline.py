"""Messages of the native service about the course of an execution: when each step ran, what changed when."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.execution import TaskExecutionPhase
from phased.contract.values import Bool, Int32, Timestamp, Uint32, Uint64, Uuid


class TimelineAttempt(Message, proto="phased.v1.TimelineAttempt"):
    """One attempt of a step, as far as the changes that are still in memory tell."""

    number: Annotated[Uint32 | None, Wire(1, "uint32")] = None
    """The first is 1."""
    started_at: Annotated[Timestamp | None, Wire(2, "google.protobuf.Timestamp")] = None
    completed_at: Annotated[Timestamp | None, Wire(3, "google.protobuf.Timestamp")] = None


class TimelineStep(Message, proto="phased.v1.TimelineStep"):
    """One step that has started."""

    id: Annotated[Uuid | None, Wire(1, "string")] = None
    label: Annotated[str | None, Wire(2, "string")] = None
    """The reference of its task or service."""
    phase: Annotated[TaskExecutionPhase | None, Wire(3, "gitpod.v1.TaskExecutionPhase")] = None
    state: Annotated[str | None, Wire(4, "string")] = None
    """Finer than the phase: `retrying`, `emptying` (the reference has them all)."""
    attempt: Annotated[Uint32 | None, Wire(5, "uint32")] = None
    """Which attempt this is."""
    started_at: Annotated[Timestamp | None, Wire(6, "google.protobuf.Timestamp")] = None
    """Of the first attempt."""
    completed_at: Annotated[Timestamp | None, Wire(7, "google.protobuf.Timestamp")] = None
    exit_code: Annotated[Int32 | None, Wire(8, "optional int32")] = None
    exit_signal: Annotated[str | None, Wire(9, "string")] = None
    """Its name: `SIGTERM`."""
    attempts: Annotated[tuple[TimelineAttempt, ...], Wire(10, "repeated TimelineAttempt")] = ()


class TimelineChange(Message, proto="phased.v1.TimelineChange"):
    """A step's part in a version."""

    step_id: Annotated[Uuid | None, Wire(1, "string")] = None
    label: Annotated[str | None, Wire(2, "string")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(3, "gitpod.v1.TaskExecutionPhase")] = None
    state: Annotated[str | None, Wire(4, "string")] = None
    attempt: Annotated[Uint32 | None, Wire(5, "uint32")] = None


class TimelineVersion(Message, proto="phased.v1.TimelineVersion"):
    """One version of the status: when it was made, and what is new in it."""

    status_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    time: Annotated[Timestamp | None, Wire(2, "google.protobuf.Timestamp")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(3, "gitpod.v1.TaskExecutionPhase")] = None
    failure_message: Annotated[str | None, Wire(4, "string")] = None
    why: Annotated[str | None, Wire(5, "string")] = None
    changes: Annotated[tuple[TimelineChange, ...], Wire(6, "repeated TimelineChange")] = ()


class GetTimelineRequest(Message, proto="phased.v1.GetTimelineRequest"):
    """What GetTimeline is asked."""

    id: Annotated[Uuid, Wire(1, "string")]
    """The execution's."""


class GetTimelineResponse(Message, proto="phased.v1.GetTimelineResponse"):
    """The course of an execution."""

    id: Annotated[str | None, Wire(1, "string")] = None
    steps: Annotated[tuple[TimelineStep, ...], Wire(2, "repeated TimelineStep")] = ()
    """In the order of the plan; those that never started are absent."""
    versions: Annotated[tuple[TimelineVersion, ...], Wire(3, "repeated TimelineVersion")] = ()
    """Those that the daemon still has in memory, oldest first, at most 1000."""
    complete: Annotated[Bool | None, Wire(4, "bool")] = None
    """`versions` begins with the execution's first."""
    now: Annotated[Timestamp | None, Wire(5, "google.protobuf.Timestamp")] = None
    """The daemon's clock."""
