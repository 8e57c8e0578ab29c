"""A service: a long-running command set of an environment, found by its reference."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.runs_on import RunsOn
from phased.contract.subject import Subject
from phased.contract.trigger import AutomationTrigger
from phased.contract.values import (
    NotEmpty,
    OutputKey,
    OutputValue,
    ReadinessTimeout,
    Reference,
    Timestamp,
    Uint64,
    Uuid,
)


class ServicePhase(Name):
    """Where a service stands."""

    UNSPECIFIED = "SERVICE_PHASE_UNSPECIFIED"
    STARTING = "SERVICE_PHASE_STARTING"
    RUNNING = "SERVICE_PHASE_RUNNING"
    STOPPING = "SERVICE_PHASE_STOPPING"
    STOPPED = "SERVICE_PHASE_STOPPED"
    FAILED = "SERVICE_PHASE_FAILED"
    DELETED = "SERVICE_PHASE_DELETED"


class ServiceRole(Name):
    """What a service is for."""

    UNSPECIFIED = "SERVICE_ROLE_UNSPECIFIED"
    DEFAULT = "SERVICE_ROLE_DEFAULT"
    EDITOR = "SERVICE_ROLE_EDITOR"
    AI_AGENT = "SERVICE_ROLE_AI_AGENT"
    SECURITY_AGENT = "SERVICE_ROLE_SECURITY_AGENT"


class ServiceSpecCommands(Message, proto="gitpod.v1.ServiceSpec.Commands"):
    """`start` keeps running; `ready` is tried until it exits 0; `stop` runs in place of a SIGTERM."""

    start: Annotated[NotEmpty, Wire(1, "string")]
    ready: Annotated[str | None, Wire(2, "string")] = None
    stop: Annotated[str | None, Wire(3, "string")] = None


class ServiceMetadata(Message, proto="gitpod.v1.ServiceMetadata"):
    """What a service is called and what starts it.

    `name` is for people; where it is missing the reference takes its place.
    """

    reference: Annotated[Reference, Wire(1, "string")]
    name: Annotated[NotEmpty | None, Wire(2, "string")] = None
    description: Annotated[str | None, Wire(3, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(4, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(5, "Subject")] = None
    triggered_by: Annotated[tuple[AutomationTrigger, ...], Wire(6, "repeated AutomationTrigger")] = ()
    role: Annotated[ServiceRole | None, Wire(7, "ServiceRole")] = None


class ServiceSpec(Message, proto="gitpod.v1.ServiceSpec"):
    """What a service runs, where and with which variables. `session` changes at each start."""

    spec_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    desired_phase: Annotated[ServicePhase | None, Wire(2, "ServicePhase")] = None
    commands: Annotated[ServiceSpecCommands | None, Wire(3, "ServiceSpec.Commands")] = None
    session: Annotated[str | None, Wire(4, "string")] = None
    runs_on: Annotated[RunsOn | None, Wire(5, "RunsOn")] = None
    env: Annotated[tuple[EnvironmentVariableItem, ...], Wire(6, "repeated EnvironmentVariableItem")] = ()
    readiness_timeout: Annotated[ReadinessTimeout | None, Wire(7, "google.protobuf.Duration")] = None


class ServiceStatus(Message, proto="gitpod.v1.ServiceStatus"):
    """What happened so far. Of two copies the one with the larger `status_version` is newer."""

    status_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    phase: Annotated[ServicePhase | None, Wire(2, "ServicePhase")] = None
    failure_message: Annotated[str | None, Wire(3, "string")] = None
    log_url: Annotated[str | None, Wire(4, "string")] = None
    session: Annotated[str | None, Wire(5, "string")] = None
    output: Annotated[dict[OutputKey, OutputValue], Wire(6, "map<string, string>")] = Field(
        default_factory=dict
    )


class Service(Message, proto="gitpod.v1.Service"):
    """A service of an environment."""

    id: Annotated[Uuid, Wire(1, "string")]
    environment_id: Annotated[Uuid, Wire(2, "string")]
    metadata: Annotated[ServiceMetadata | None, Wire(3, "ServiceMetadata")] = None
    spec: Annotated[ServiceSpec | None, Wire(4, "ServiceSpec")] = None
    status: Annotated[ServiceStatus | None, Wire(5, "ServiceStatus")] = None
