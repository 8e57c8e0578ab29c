"""An automations file as the API carries it, without this project's extensions (see `definitions`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.runs_on import RunsOn
from phased.contract.service import ServiceSpecCommands
from phased.contract.values import (
    Bool,
    NotEmpty,
    ReadinessTimeout,
    Reference,
    RoleName,
    ServiceTriggerName,
    TriggerName,
    Uuid,
)


class AutomationsFileService(Message, proto="gitpod.v1.AutomationsFile.Service"):
    """One entry of `services`. A service cannot be triggered by `beforeSnapshot`."""

    name: Annotated[NotEmpty | None, Wire(1, "string")] = None
    description: Annotated[str | None, Wire(2, "string")] = None
    commands: Annotated[ServiceSpecCommands | None, Wire(3, "ServiceSpec.Commands")] = None
    triggered_by: Annotated[tuple[ServiceTriggerName, ...], Wire(4, "repeated string")] = ()
    runs_on: Annotated[RunsOn | None, Wire(10, "RunsOn")] = None
    role: Annotated[RoleName | None, Wire(11, "string")] = None
    readiness_timeout: Annotated[ReadinessTimeout | None, Wire(12, "google.protobuf.Duration")] = None


class AutomationsFileTask(Message, proto="gitpod.v1.AutomationsFile.Task"):
    """One entry of `tasks`. The command may be empty: the task then joins its dependencies."""

    name: Annotated[NotEmpty | None, Wire(1, "string")] = None
    description: Annotated[str | None, Wire(2, "string")] = None
    command: Annotated[str | None, Wire(3, "string")] = None
    depends_on: Annotated[tuple[str, ...], Wire(4, "repeated string")] = ()
    triggered_by: Annotated[tuple[TriggerName, ...], Wire(5, "repeated string")] = ()
    runs_on: Annotated[RunsOn | None, Wire(10, "RunsOn")] = None
    prebuild_requires_success: Annotated[Bool | None, Wire(11, "bool")] = None


class AutomationsFile(Message, proto="gitpod.v1.AutomationsFile"):
    """Both sections, by reference."""

    services: Annotated[
        dict[Reference, AutomationsFileService], Wire(1, "map<string, AutomationsFile.Service>")
    ] = Field(default_factory=dict)
    tasks: Annotated[dict[Reference, AutomationsFileTask], Wire(2, "map<string, AutomationsFile.Task>")] = (
        Field(default_factory=dict)
    )


class UpsertAutomationsFileRequest(Message, proto="gitpod.v1.UpsertAutomationsFileRequest"):
    """A file to apply to an environment: an upsert by reference."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    automations_file: Annotated[AutomationsFile | None, Wire(2, "AutomationsFile")] = None


class UpsertAutomationsFileResponse(Message, proto="gitpod.v1.UpsertAutomationsFileResponse"):
    """What was made or changed."""

    updated_service_ids: Annotated[tuple[str, ...], Wire(1, "repeated string")] = ()
    updated_task_ids: Annotated[tuple[str, ...], Wire(2, "repeated string")] = ()
