"""Messages of the native service about logs: how large each is, so that a reader can ask for parts of it."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.execution import TaskExecutionPhase
from phased.contract.values import Bool, Uint64, Uuid


class DescribeLogsRequest(Message, proto="phased.v1.DescribeLogsRequest"):
    """Whose logs: one of the two."""

    task_execution_id: Annotated[Uuid | None, Wire(1, "string")] = None
    service_id: Annotated[Uuid | None, Wire(2, "string")] = None


class DescribedLog(Message, proto="phased.v1.DescribedLog"):
    """One log as it is now."""

    id: Annotated[str | None, Wire(1, "string")] = None
    """Of the step, or the session of the service."""
    label: Annotated[str | None, Wire(2, "string")] = None
    """Of the step; of a service's command `start`, `ready` or `stop`. It is what `?step=` takes."""
    phase: Annotated[TaskExecutionPhase | None, Wire(3, "gitpod.v1.TaskExecutionPhase")] = None
    """Of the step; absent where it has not started, and for a service."""
    size: Annotated[Uint64 | None, Wire(4, "uint64")] = None
    """Bytes, with those that were dropped; absent where nothing was written."""
    first_byte: Annotated[Uint64 | None, Wire(5, "uint64")] = None
    """So many of the first bytes were dropped, since the log grew beyond its budget."""


class DescribeLogsResponse(Message, proto="phased.v1.DescribeLogsResponse"):
    """The logs of an execution in the order of its plan, or those of a service's newest session."""

    logs: Annotated[tuple[DescribedLog, ...], Wire(1, "repeated DescribedLog")] = ()
    ended: Annotated[Bool | None, Wire(2, "bool")] = None
    """What writes them has ended."""
