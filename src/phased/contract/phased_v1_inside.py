"""Messages of the native service that look inside: the variables of a step, and the processes that live."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.values import Bool, Duration, NotEmpty, Uint64, Uuid


class ExplainedVariable(Message, proto="phased.v1.ExplainedVariable"):
    """One variable that a step finds."""

    name: Annotated[str | None, Wire(1, "string")] = None
    value: Annotated[str | None, Wire(2, "string")] = None
    """Absent for a secret, and for what is another in each run."""
    secret: Annotated[str | None, Wire(3, "string")] = None
    """The name, else the id, of the secret that it holds."""
    origin: Annotated[str | None, Wire(4, "string")] = None
    hides: Annotated[tuple[str, ...], Wire(5, "repeated string")] = ()
    """The origins that had it too and do not count, the strongest first."""
    missing: Annotated[Bool | None, Wire(6, "bool")] = None
    """There is no such secret: the step would fail before its command runs."""


class ExplainEnvironmentRequest(Message, proto="phased.v1.ExplainEnvironmentRequest"):
    """Whose variables: of a task or a service, by its reference."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    reference: Annotated[NotEmpty, Wire(2, "string")]
    trigger: Annotated[str | None, Wire(3, "string")] = None
    """As if this had started it; some have no user's secrets. Absent: `manual`."""


class ExplainEnvironmentResponse(Message, proto="phased.v1.ExplainEnvironmentResponse"):
    """Every variable, by name."""

    variables: Annotated[tuple[ExplainedVariable, ...], Wire(1, "repeated ExplainedVariable")] = ()


class Process(Message, proto="phased.v1.Process"):
    """One living process of a step or a service."""

    pid: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    command: Annotated[str | None, Wire(2, "string")] = None
    state: Annotated[str | None, Wire(3, "string")] = None
    """The kernel's letter (proc(5))."""
    cpu_time: Annotated[Duration | None, Wire(4, "google.protobuf.Duration")] = None
    memory_bytes: Annotated[Uint64 | None, Wire(5, "uint64")] = None
    """What of it is in memory."""
    age: Annotated[Duration | None, Wire(6, "google.protobuf.Duration")] = None
    environment_id: Annotated[str | None, Wire(7, "string")] = None
    task_execution_id: Annotated[str | None, Wire(8, "string")] = None
    step_id: Annotated[str | None, Wire(9, "string")] = None
    service_id: Annotated[str | None, Wire(10, "string")] = None
    reference: Annotated[str | None, Wire(11, "string")] = None
    """Of its task or service."""
    leader: Annotated[Bool | None, Wire(12, "bool")] = None
    """It is the command itself."""
    left_behind: Annotated[Bool | None, Wire(13, "bool")] = None
    """The command has ended, and this goes on."""
    part: Annotated[str | None, Wire(14, "string")] = None
    """Of a service: `start`, `ready` or `stop`."""


class ListProcessesRequest(Message, proto="phased.v1.ListProcessesRequest"):
    """What ListProcesses is asked: of one environment, or of all that the caller can reach."""

    environment_id: Annotated[Uuid | None, Wire(1, "string")] = None


class ListProcessesResponse(Message, proto="phased.v1.ListProcessesResponse"):
    """Every process of every running step and service, and those that ended commands left behind."""

    processes: Annotated[tuple[Process, ...], Wire(1, "repeated Process")] = ()
