"""The native service: what the public API has no method for. Messages of `phased.v1`, by the same rules.

`phased.v1.DaemonService`: the daemon itself, an automations file with this project's extensions, outputs,
why an execution stands where it does, tokens.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from phased.contract.base import Message, Wire
from phased.contract.count import CountRequest, CountResponse
from phased.contract.environment import Environment
from phased.contract.execution import TaskExecution, TaskExecutionPhase
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.resource import ResourceRole
from phased.contract.service import Service
from phased.contract.sort import Sort
from phased.contract.subject import Subject
from phased.contract.values import Bool, Duration, NotEmpty, OutputKey, OutputValue, Timestamp, Uint64, Uuid

FileText = Annotated[str, StringConstraints(max_length=2 * 1024 * 1024)]
Description = Annotated[str, StringConstraints(max_length=200)]


class Daemon(Message, proto="phased.v1.Daemon"):
    """The daemon that answers."""

    version: Annotated[str | None, Wire(1, "string")] = None
    pid: Annotated[Uint64 | None, Wire(2, "uint64")] = None
    started_at: Annotated[Timestamp | None, Wire(3, "google.protobuf.Timestamp")] = None
    state_directory: Annotated[str | None, Wire(4, "string")] = None
    addresses: Annotated[tuple[str, ...], Wire(5, "repeated string")] = ()
    ending: Annotated[Bool | None, Wire(6, "bool")] = None
    """New work is refused."""
    trouble: Annotated[str | None, Wire(7, "string")] = None
    """Why statuses cannot be saved, if they cannot."""


class GetStatusRequest(Message, proto="phased.v1.GetStatusRequest"):
    """What GetStatus is asked: of one environment, or of all that the caller can reach."""

    environment_id: Annotated[Uuid | None, Wire(1, "string")] = None


class GetStatusResponse(Message, proto="phased.v1.GetStatusResponse"):
    """What GetStatus answers: all that is alive, and the services."""

    daemon: Annotated[Daemon | None, Wire(1, "Daemon")] = None
    environments: Annotated[tuple[Environment, ...], Wire(2, "repeated gitpod.v1.Environment")] = ()
    services: Annotated[tuple[Service, ...], Wire(3, "repeated gitpod.v1.Service")] = ()
    task_executions: Annotated[tuple[TaskExecution, ...], Wire(4, "repeated gitpod.v1.TaskExecution")] = ()
    """Those that have not ended."""


class ApplyFileRequest(Message, proto="phased.v1.ApplyFileRequest"):
    """An automations file as text, with this project's extensions, to apply to an environment."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    content: Annotated[FileText | None, Wire(2, "string")] = None
    """YAML or JSON. Absent: the file that is found in the workspace."""
    prune: Annotated[Bool | None, Wire(3, "bool")] = None
    """What the file does not have is deleted."""
    lenient: Annotated[Bool | None, Wire(4, "bool")] = None
    """Unknown keys are warnings."""


class ApplyFileResponse(Message, proto="phased.v1.ApplyFileResponse"):
    """What was made or changed, and what was deleted."""

    updated_service_ids: Annotated[tuple[str, ...], Wire(1, "repeated string")] = ()
    updated_task_ids: Annotated[tuple[str, ...], Wire(2, "repeated string")] = ()
    deleted_service_ids: Annotated[tuple[str, ...], Wire(3, "repeated string")] = ()
    deleted_task_ids: Annotated[tuple[str, ...], Wire(4, "repeated string")] = ()
    warnings: Annotated[tuple[str, ...], Wire(5, "repeated string")] = ()


class SetOutputRequest(Message, proto="phased.v1.SetOutputRequest"):
    """Outputs of a running step; an empty value removes its key."""

    execution_id: Annotated[Uuid, Wire(1, "string")]
    step_id: Annotated[NotEmpty, Wire(2, "string")]
    output: Annotated[dict[OutputKey, OutputValue], Wire(3, "map<string, string>")] = Field(
        default_factory=dict
    )


class SetOutputResponse(Message, proto="phased.v1.SetOutputResponse"):
    """What SetOutput answers. Nothing, where it worked."""


class ExplainExecutionRequest(Message, proto="phased.v1.ExplainExecutionRequest"):
    """What ExplainExecution is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class ExplainedStep(Message, proto="phased.v1.ExplainedStep"):
    """One step of a plan, whether it has started or not."""

    id: Annotated[str | None, Wire(1, "string")] = None
    label: Annotated[str | None, Wire(2, "string")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(3, "gitpod.v1.TaskExecutionPhase")] = None
    cause: Annotated[str | None, Wire(4, "string")] = None
    """Why it failed, waits, or did not start."""
    waits_for: Annotated[tuple[str, ...], Wire(5, "repeated string")] = ()
    """Labels of steps that have to end before it."""


class ExplainExecutionResponse(Message, proto="phased.v1.ExplainExecutionResponse"):
    """Why an execution stands where it does."""

    id: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[TaskExecutionPhase | None, Wire(2, "gitpod.v1.TaskExecutionPhase")] = None
    cause: Annotated[str | None, Wire(3, "string")] = None
    why: Annotated[str | None, Wire(4, "string")] = None
    """Who stopped it and when, or why a step never started."""
    steps: Annotated[tuple[ExplainedStep, ...], Wire(5, "repeated ExplainedStep")] = ()


class QueryTaskExecutionsRequest(Message, proto="phased.v1.QueryTaskExecutionsRequest"):
    """A list of executions in an order of the caller's, and how many there are."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "gitpod.v1.PaginationRequest")] = None
    environment_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    references: Annotated[tuple[str, ...], Field(max_length=25), Wire(3, "repeated string")] = ()
    phases: Annotated[
        tuple[TaskExecutionPhase, ...], Field(max_length=25), Wire(4, "repeated gitpod.v1.TaskExecutionPhase")
    ] = ()
    sort: Annotated[Sort | None, Wire(5, "gitpod.v1.Sort")] = None
    """UNSPECIFIED: the newest first."""
    count: Annotated[CountRequest | None, Wire(6, "gitpod.v1.CountRequest")] = None
    started_by: Annotated[tuple[NotEmpty, ...], Field(max_length=25), Wire(7, "repeated string")] = ()
    """Triggers as the file spells them, or `manual`."""
    created_from: Annotated[Timestamp | None, Wire(8, "google.protobuf.Timestamp")] = None
    created_before: Annotated[Timestamp | None, Wire(9, "google.protobuf.Timestamp")] = None


class QueryTaskExecutionsResponse(Message, proto="phased.v1.QueryTaskExecutionsResponse"):
    """The executions of one page."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "gitpod.v1.PaginationResponse")] = None
    task_executions: Annotated[tuple[TaskExecution, ...], Wire(2, "repeated gitpod.v1.TaskExecution")] = ()
    count: Annotated[CountResponse | None, Wire(3, "gitpod.v1.CountResponse")] = None


class Token(Message, proto="phased.v1.Token"):
    """What is kept of a token; never the token itself."""

    id: Annotated[str | None, Wire(1, "string")] = None
    roles: Annotated[tuple[ResourceRole, ...], Wire(2, "repeated gitpod.v1.ResourceRole")] = ()
    environment_id: Annotated[str | None, Wire(3, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(4, "google.protobuf.Timestamp")] = None
    expires_at: Annotated[Timestamp | None, Wire(5, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(6, "gitpod.v1.Subject")] = None
    description: Annotated[str | None, Wire(7, "string")] = None


class CreateTokenRequest(Message, proto="phased.v1.CreateTokenRequest"):
    """A token for the caller's own use: of these roles (by name, with or without RESOURCE_ROLE_)."""

    roles: Annotated[tuple[NotEmpty, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    """Empty: ENVIRONMENT_USER."""
    environment_id: Annotated[Uuid | None, Wire(2, "string")] = None
    expires_in: Annotated[Duration | None, Wire(3, "google.protobuf.Duration")] = None
    """Absent: it does not expire."""
    description: Annotated[Description | None, Wire(4, "string")] = None


class CreateTokenResponse(Message, proto="phased.v1.CreateTokenResponse"):
    """The token, this once."""

    token: Annotated[Token | None, Wire(1, "Token")] = None
    value: Annotated[str | None, Wire(2, "string")] = None


class ListTokensRequest(Message, proto="phased.v1.ListTokensRequest"):
    """What ListTokens is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "gitpod.v1.PaginationRequest")] = None


class ListTokensResponse(Message, proto="phased.v1.ListTokensResponse"):
    """Those that are good now and that the caller may see, oldest first."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "gitpod.v1.PaginationResponse")] = None
    tokens: Annotated[tuple[Token, ...], Wire(2, "repeated Token")] = ()


class RevokeTokenRequest(Message, proto="phased.v1.RevokeTokenRequest"):
    """What RevokeToken is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class RevokeTokenResponse(Message, proto="phased.v1.RevokeTokenResponse"):
    """What RevokeToken answers. Nothing, where it worked."""
