"""Messages of the native service that the page needs: logging in, the automations file, an overview."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.execution import TaskExecutionPhase
from phased.contract.service import ServicePhase
from phased.contract.values import Bool, Int32, NotEmpty, Timestamp, Uuid


class CreateWebLoginRequest(Message, proto="phased.v1.CreateWebLoginRequest"):
    """A way into the page, once: with these roles (by name, with or without RESOURCE_ROLE_)."""

    roles: Annotated[tuple[NotEmpty, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    """Empty: all that the caller has."""
    environment_id: Annotated[Uuid | None, Wire(2, "string")] = None
    """Absent: all that the caller can reach."""


class CreateWebLoginResponse(Message, proto="phased.v1.CreateWebLoginResponse"):
    """The address that logs in, once."""

    address: Annotated[str | None, Wire(1, "string")] = None
    expires_at: Annotated[Timestamp | None, Wire(2, "google.protobuf.Timestamp")] = None
    """When the address is useless, if nobody has opened it."""


class FileProblem(Message, proto="phased.v1.FileProblem"):
    """One thing to mend in an automations file."""

    line: Annotated[Int32 | None, Wire(1, "int32")] = None
    """From 1."""
    column: Annotated[Int32 | None, Wire(2, "int32")] = None
    """In characters, from 1."""
    path: Annotated[str | None, Wire(3, "string")] = None
    """Where in the structure: `tasks.build.dependsOn[0]`."""
    message: Annotated[str | None, Wire(4, "string")] = None
    hint: Annotated[str | None, Wire(5, "string")] = None
    excerpt: Annotated[str | None, Wire(6, "string")] = None
    """The line of the file, as far as it can be shown."""
    warning: Annotated[Bool | None, Wire(7, "bool")] = None
    """The file can be used all the same."""


class CheckFileRequest(Message, proto="phased.v1.CheckFileRequest"):
    """Of which environment the automations file is read, and not applied."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class CheckFileResponse(Message, proto="phased.v1.CheckFileResponse"):
    """What is wrong with the file, and whether what is defined differs from it."""

    file: Annotated[str | None, Wire(1, "string")] = None
    """Its path in the workspace. Absent: there is none."""
    problems: Annotated[tuple[FileProblem, ...], Wire(2, "repeated FileProblem")] = ()
    """In the order of the file."""
    differs: Annotated[tuple[str, ...], Wire(3, "repeated string")] = ()
    """References that applying the file would define or change."""


class AutomationRun(Message, proto="phased.v1.AutomationRun"):
    """An execution of a task, in short."""

    id: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(2, "gitpod.v1.TaskExecutionPhase")] = None
    created_at: Annotated[Timestamp | None, Wire(3, "google.protobuf.Timestamp")] = None
    started_at: Annotated[Timestamp | None, Wire(4, "google.protobuf.Timestamp")] = None
    completed_at: Annotated[Timestamp | None, Wire(5, "google.protobuf.Timestamp")] = None
    failure_message: Annotated[str | None, Wire(6, "string")] = None
    started_by: Annotated[str | None, Wire(7, "string")] = None


class Automation(Message, proto="phased.v1.Automation"):
    """A task or a service, in short, with what it needs."""

    id: Annotated[str | None, Wire(1, "string")] = None
    reference: Annotated[str | None, Wire(2, "string")] = None
    service: Annotated[Bool | None, Wire(3, "bool")] = None
    """It is a service; else a task."""
    name: Annotated[str | None, Wire(4, "string")] = None
    description: Annotated[str | None, Wire(5, "string")] = None
    depends_on: Annotated[tuple[str, ...], Wire(6, "repeated string")] = ()
    """References of tasks and services."""
    triggered_by: Annotated[tuple[str, ...], Wire(7, "repeated string")] = ()
    """As the automations file spells them."""
    group: Annotated[Int32 | None, Wire(8, "int32")] = None
    """How many automations stand before it in its longest chain."""
    outdated: Annotated[Bool | None, Wire(9, "bool")] = None
    """A service that runs otherwise than it is defined now."""
    last_run: Annotated[AutomationRun | None, Wire(10, "AutomationRun")] = None
    """Of a task: the newest."""
    service_phase: Annotated[ServicePhase | None, Wire(11, "gitpod.v1.ServicePhase")] = None
    """Of a service."""
    service_since: Annotated[Timestamp | None, Wire(12, "google.protobuf.Timestamp")] = None
    """When it was started last, or had ended."""
    failure_message: Annotated[str | None, Wire(13, "string")] = None
    """Of a service."""
    session: Annotated[str | None, Wire(14, "string")] = None
    """Of a service: absent where it never ran."""


class ListAutomationsRequest(Message, proto="phased.v1.ListAutomationsRequest"):
    """Of which environment."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class ListAutomationsResponse(Message, proto="phased.v1.ListAutomationsResponse"):
    """Every task and service, in the order of definition, tasks first."""

    automations: Annotated[tuple[Automation, ...], Wire(1, "repeated Automation")] = ()
