"""Changes of resources, as they are watched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.resource import KnownResourceType, ResourceType
from phased.contract.values import Bool, Uuid


class ResourceOperation(Name):
    """What happened to a resource."""

    UNSPECIFIED = "RESOURCE_OPERATION_UNSPECIFIED"
    CREATE = "RESOURCE_OPERATION_CREATE"
    UPDATE = "RESOURCE_OPERATION_UPDATE"
    DELETE = "RESOURCE_OPERATION_DELETE"
    UPDATE_STATUS = "RESOURCE_OPERATION_UPDATE_STATUS"


class WatchEventsRequestResourceTypeFilter(Message, proto="gitpod.v1.WatchEventsRequest.ResourceTypeFilter"):
    """Which events are wanted: of one kind of resources, of these resources, by these creators."""

    resource_type: Annotated[KnownResourceType, Wire(1, "ResourceType")]
    resource_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    creator_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(3, "repeated string")] = ()


class WatchEventsRequest(Message, proto="gitpod.v1.WatchEventsRequest", optional_oneofs=("scope",)):
    """One environment, or what an organization has (the default); filters go with the latter alone."""

    organization: Annotated[Bool | None, Wire(1, "bool", "scope")] = None
    environment_id: Annotated[str | None, Wire(2, "string", "scope")] = None
    resource_type_filters: Annotated[
        tuple[WatchEventsRequestResourceTypeFilter, ...],
        Field(max_length=50),
        Wire(3, "repeated WatchEventsRequest.ResourceTypeFilter"),
    ] = ()


class WatchEventsResponse(Message, proto="gitpod.v1.WatchEventsResponse"):
    """One change. Without any field it only keeps the connection alive."""

    operation: Annotated[ResourceOperation | None, Wire(1, "ResourceOperation")] = None
    resource_type: Annotated[ResourceType | None, Wire(2, "ResourceType")] = None
    resource_id: Annotated[Uuid | None, Wire(3, "string")] = None
