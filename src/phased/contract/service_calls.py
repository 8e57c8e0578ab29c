"""What is asked about services, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.runs_on import RunsOn
from phased.contract.service import Service, ServiceMetadata, ServicePhase, ServiceRole, ServiceSpec
from phased.contract.trigger import AutomationTrigger
from phased.contract.values import Bool, NotEmpty, ReadinessTimeout, Uuid


class CreateServiceRequest(Message, proto="gitpod.v1.CreateServiceRequest"):
    """What CreateService is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[ServiceMetadata | None, Wire(2, "ServiceMetadata")] = None
    spec: Annotated[ServiceSpec | None, Wire(3, "ServiceSpec")] = None


class CreateServiceResponse(Message, proto="gitpod.v1.CreateServiceResponse"):
    """What CreateService answers."""

    service: Annotated[Service, Wire(1, "Service")]


class GetServiceRequest(Message, proto="gitpod.v1.GetServiceRequest"):
    """What GetService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class GetServiceResponse(Message, proto="gitpod.v1.GetServiceResponse"):
    """What GetService answers."""

    service: Annotated[Service, Wire(1, "Service")]


class ListServicesRequestFilter(Message, proto="gitpod.v1.ListServicesRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    environment_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    references: Annotated[tuple[NotEmpty, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    service_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(3, "repeated string")] = ()
    roles: Annotated[tuple[ServiceRole, ...], Field(max_length=25), Wire(4, "repeated ServiceRole")] = ()


class ListServicesRequest(Message, proto="gitpod.v1.ListServicesRequest"):
    """What ListServices is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListServicesRequestFilter | None, Wire(2, "ListServicesRequest.Filter")] = None


class ListServicesResponse(Message, proto="gitpod.v1.ListServicesResponse"):
    """What ListServices answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    services: Annotated[tuple[Service, ...], Wire(2, "repeated Service")] = ()


class UpdateServiceRequestAutomationTriggerUpdate(
    Message, proto="gitpod.v1.UpdateServiceRequest.AutomationTriggerUpdate"
):
    """The new triggers, all of them; an empty list takes them away."""

    trigger: Annotated[tuple[AutomationTrigger, ...], Wire(1, "repeated AutomationTrigger")] = ()


class UpdateServiceRequestServiceMetadata(Message, proto="gitpod.v1.UpdateServiceRequest.ServiceMetadata"):
    """The new service metadata; what is absent stays."""

    name: Annotated[NotEmpty | None, Wire(1, "optional string")] = None
    description: Annotated[str | None, Wire(2, "optional string")] = None
    triggered_by: Annotated[
        UpdateServiceRequestAutomationTriggerUpdate | None,
        Wire(3, "optional UpdateServiceRequest.AutomationTriggerUpdate"),
    ] = None
    role: Annotated[ServiceRole | None, Wire(4, "optional ServiceRole")] = None


class UpdateServiceRequestServiceSpecCommands(
    Message, proto="gitpod.v1.UpdateServiceRequest.ServiceSpec.Commands"
):
    """The new commands; what is absent stays."""

    start: Annotated[str | None, Wire(1, "optional string")] = None
    ready: Annotated[str | None, Wire(2, "optional string")] = None
    stop: Annotated[str | None, Wire(3, "optional string")] = None


class UpdateServiceRequestServiceSpec(Message, proto="gitpod.v1.UpdateServiceRequest.ServiceSpec"):
    """The new service spec; what is absent stays."""

    commands: Annotated[
        UpdateServiceRequestServiceSpecCommands | None,
        Wire(1, "optional UpdateServiceRequest.ServiceSpec.Commands"),
    ] = None
    runs_on: Annotated[RunsOn | None, Wire(2, "optional RunsOn")] = None
    env: Annotated[tuple[EnvironmentVariableItem, ...], Wire(3, "repeated EnvironmentVariableItem")] = ()
    readiness_timeout: Annotated[ReadinessTimeout | None, Wire(4, "google.protobuf.Duration")] = None


class UpdateServiceRequestServiceStatus(Message, proto="gitpod.v1.UpdateServiceRequest.ServiceStatus"):
    """The new service status; what is absent stays."""

    phase: Annotated[ServicePhase | None, Wire(1, "optional ServicePhase")] = None
    failure_message: Annotated[str | None, Wire(2, "optional string")] = None
    log_url: Annotated[str | None, Wire(3, "optional string")] = None
    session: Annotated[str | None, Wire(4, "optional string")] = None
    output: Annotated[dict[str, str], Wire(5, "map<string, string>")] = Field(default_factory=dict)


class UpdateServiceRequest(Message, proto="gitpod.v1.UpdateServiceRequest"):
    """What UpdateService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[
        UpdateServiceRequestServiceMetadata | None, Wire(2, "UpdateServiceRequest.ServiceMetadata")
    ] = None
    spec: Annotated[UpdateServiceRequestServiceSpec | None, Wire(3, "UpdateServiceRequest.ServiceSpec")] = (
        None
    )
    status: Annotated[
        UpdateServiceRequestServiceStatus | None, Wire(4, "UpdateServiceRequest.ServiceStatus")
    ] = None


class UpdateServiceResponse(Message, proto="gitpod.v1.UpdateServiceResponse"):
    """What UpdateService answers. Nothing, where it worked."""


class DeleteServiceRequest(Message, proto="gitpod.v1.DeleteServiceRequest"):
    """What DeleteService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]
    force: Annotated[Bool | None, Wire(2, "bool")] = None


class DeleteServiceResponse(Message, proto="gitpod.v1.DeleteServiceResponse"):
    """What DeleteService answers. Nothing, where it worked."""


class StartServiceRequest(Message, proto="gitpod.v1.StartServiceRequest"):
    """What StartService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class StartServiceResponse(Message, proto="gitpod.v1.StartServiceResponse"):
    """What StartService answers. Nothing, where it worked."""


class StopServiceRequest(Message, proto="gitpod.v1.StopServiceRequest"):
    """What StopService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class StopServiceResponse(Message, proto="gitpod.v1.StopServiceResponse"):
    """What StopService answers. Nothing, where it worked."""
