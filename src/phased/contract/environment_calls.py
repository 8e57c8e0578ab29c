"""What is asked about environments, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.count import CountRequest, CountResponse
from phased.contract.environment import Environment
from phased.contract.environment_phase import EnvironmentPhase, EnvironmentRole
from phased.contract.environment_spec import EnvironmentSpec
from phased.contract.environment_status import EnvironmentActivitySignal
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.runner import RunnerKind
from phased.contract.sort import SortOrder
from phased.contract.values import Bool, EnvironmentName, NotEmpty, SearchText, Timestamp, Uuid


class CreateEnvironmentRequest(Message, proto="gitpod.v1.CreateEnvironmentRequest"):
    """What CreateEnvironment is asked."""

    spec: Annotated[EnvironmentSpec | None, Wire(1, "EnvironmentSpec")] = None
    name: Annotated[EnvironmentName | None, Wire(2, "optional string")] = None
    session_id: Annotated[Uuid | None, Wire(3, "string")] = None
    annotations: Annotated[dict[str, str], Wire(4, "map<string, string>")] = Field(default_factory=dict)


class CreateEnvironmentResponse(Message, proto="gitpod.v1.CreateEnvironmentResponse"):
    """What CreateEnvironment answers."""

    environment: Annotated[Environment, Wire(1, "Environment")]


class GetEnvironmentRequest(Message, proto="gitpod.v1.GetEnvironmentRequest"):
    """What GetEnvironment is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class GetEnvironmentResponse(Message, proto="gitpod.v1.GetEnvironmentResponse"):
    """What GetEnvironment answers."""

    environment: Annotated[Environment, Wire(1, "Environment")]


class ListEnvironmentsRequestArchivalStatus(Name):
    """Whether archived environments are listed."""

    UNSPECIFIED = "ARCHIVAL_STATUS_UNSPECIFIED"
    ACTIVE = "ARCHIVAL_STATUS_ACTIVE"
    ARCHIVED = "ARCHIVAL_STATUS_ARCHIVED"
    ALL = "ARCHIVAL_STATUS_ALL"


class ListEnvironmentsRequestSortField(Name):
    """What environments are sorted by."""

    UNSPECIFIED = "SORT_FIELD_UNSPECIFIED"
    ID = "SORT_FIELD_ID"
    ARCHIVED_AT = "SORT_FIELD_ARCHIVED_AT"


class ListEnvironmentsRequestFilter(Message, proto="gitpod.v1.ListEnvironmentsRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    runner_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    status_phases: Annotated[
        tuple[EnvironmentPhase, ...], Field(max_length=25), Wire(2, "repeated EnvironmentPhase")
    ] = ()
    creator_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(3, "repeated string")] = ()
    project_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(4, "repeated string")] = ()
    runner_kinds: Annotated[tuple[RunnerKind, ...], Field(max_length=25), Wire(5, "repeated RunnerKind")] = ()
    archival_status: Annotated[
        ListEnvironmentsRequestArchivalStatus | None,
        Wire(6, "optional ListEnvironmentsRequest.ArchivalStatus"),
    ] = None
    created_before: Annotated[Timestamp | None, Wire(7, "optional google.protobuf.Timestamp")] = None
    roles: Annotated[
        tuple[EnvironmentRole, ...], Field(max_length=25), Wire(8, "repeated EnvironmentRole")
    ] = ()
    lockdown_before: Annotated[Timestamp | None, Wire(10, "optional google.protobuf.Timestamp")] = None
    search: Annotated[SearchText | None, Wire(11, "string")] = None
    session_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(12, "repeated string")] = ()


class ListEnvironmentsRequestSort(Message, proto="gitpod.v1.ListEnvironmentsRequest.Sort"):
    """The order of the list."""

    field: Annotated[
        ListEnvironmentsRequestSortField | None, Wire(1, "ListEnvironmentsRequest.SortField")
    ] = None
    order: Annotated[SortOrder | None, Wire(2, "SortOrder")] = None


class ListEnvironmentsRequest(Message, proto="gitpod.v1.ListEnvironmentsRequest"):
    """What ListEnvironments is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListEnvironmentsRequestFilter | None, Wire(3, "ListEnvironmentsRequest.Filter")] = None
    count: Annotated[CountRequest | None, Wire(4, "CountRequest")] = None
    sort: Annotated[ListEnvironmentsRequestSort | None, Wire(5, "ListEnvironmentsRequest.Sort")] = None


class ListEnvironmentsResponse(Message, proto="gitpod.v1.ListEnvironmentsResponse"):
    """What ListEnvironments answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    environments: Annotated[tuple[Environment, ...], Wire(2, "repeated Environment")] = ()
    count: Annotated[CountResponse | None, Wire(3, "CountResponse")] = None


class StartEnvironmentRequest(Message, proto="gitpod.v1.StartEnvironmentRequest"):
    """What StartEnvironment is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class StartEnvironmentResponse(Message, proto="gitpod.v1.StartEnvironmentResponse"):
    """What StartEnvironment answers. Nothing, where it worked."""


class StopEnvironmentRequest(Message, proto="gitpod.v1.StopEnvironmentRequest"):
    """What StopEnvironment is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class StopEnvironmentResponse(Message, proto="gitpod.v1.StopEnvironmentResponse"):
    """What StopEnvironment answers. Nothing, where it worked."""


class DeleteEnvironmentRequest(Message, proto="gitpod.v1.DeleteEnvironmentRequest"):
    """What DeleteEnvironment is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    force: Annotated[Bool | None, Wire(2, "bool")] = None


class DeleteEnvironmentResponse(Message, proto="gitpod.v1.DeleteEnvironmentResponse"):
    """What DeleteEnvironment answers. Nothing, where it worked."""


class MarkEnvironmentActiveRequest(Message, proto="gitpod.v1.MarkEnvironmentActiveRequest"):
    """What MarkEnvironmentActive is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    activity_signal: Annotated[EnvironmentActivitySignal | None, Wire(2, "EnvironmentActivitySignal")] = None


class MarkEnvironmentActiveResponse(Message, proto="gitpod.v1.MarkEnvironmentActiveResponse"):
    """What MarkEnvironmentActive answers. Nothing, where it worked."""


class CreateEnvironmentLogsTokenRequest(Message, proto="gitpod.v1.CreateEnvironmentLogsTokenRequest"):
    """What CreateEnvironmentLogsToken is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class CreateEnvironmentLogsTokenResponse(Message, proto="gitpod.v1.CreateEnvironmentLogsTokenResponse"):
    """What CreateEnvironmentLogsToken answers."""

    access_token: Annotated[NotEmpty, Wire(1, "string")]


class CreateEnvironmentAccessTokenRequest(Message, proto="gitpod.v1.CreateEnvironmentAccessTokenRequest"):
    """What CreateEnvironmentAccessToken is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]


class CreateEnvironmentAccessTokenResponse(Message, proto="gitpod.v1.CreateEnvironmentAccessTokenResponse"):
    """What CreateEnvironmentAccessToken answers."""

    access_token: Annotated[NotEmpty, Wire(1, "string")]
