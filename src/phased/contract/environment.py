"""An environment: one workspace directory with its own tasks, services, secrets and history."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.environment_phase import EnvironmentRole
from phased.contract.environment_spec import EnvironmentSpec
from phased.contract.environment_status import EnvironmentStatus
from phased.contract.subject import Subject
from phased.contract.values import EnvironmentName, Timestamp, Uuid


class EnvironmentMetadata(Message, proto="gitpod.v1.EnvironmentMetadata"):
    """What an environment is called, whose it is, and its times."""

    organization_id: Annotated[Uuid | None, Wire(1, "string")] = None
    annotations: Annotated[dict[str, str], Wire(2, "map<string, string>")] = Field(default_factory=dict)
    name: Annotated[EnvironmentName | None, Wire(3, "string")] = None
    creator: Annotated[Subject | None, Wire(4, "Subject")] = None
    original_context_url: Annotated[str | None, Wire(5, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(6, "google.protobuf.Timestamp")] = None
    project_id: Annotated[str | None, Wire(7, "string")] = None
    runner_id: Annotated[str | None, Wire(9, "string")] = None
    last_started_at: Annotated[Timestamp | None, Wire(10, "google.protobuf.Timestamp")] = None
    archived_at: Annotated[Timestamp | None, Wire(11, "google.protobuf.Timestamp")] = None
    role: Annotated[EnvironmentRole | None, Wire(12, "EnvironmentRole")] = None
    prebuild_id: Annotated[Uuid | None, Wire(13, "optional string")] = None
    lockdown_at: Annotated[Timestamp | None, Wire(14, "google.protobuf.Timestamp")] = None
    session_id: Annotated[str | None, Wire(15, "string")] = None


class Environment(Message, proto="gitpod.v1.Environment"):
    """One environment."""

    id: Annotated[str | None, Wire(1, "string")] = None
    metadata: Annotated[EnvironmentMetadata | None, Wire(2, "EnvironmentMetadata")] = None
    spec: Annotated[EnvironmentSpec | None, Wire(3, "EnvironmentSpec")] = None
    status: Annotated[EnvironmentStatus | None, Wire(4, "EnvironmentStatus")] = None
