"""What environments can be made of, and which of these comes first."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.field_value import FieldValue
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.runner import RunnerKind, RunnerProvider
from phased.contract.values import Bool, ClassDescription, DisplayName, Int32, NotEmpty, Uuid


class EnvironmentClass(Message, proto="gitpod.v1.EnvironmentClass"):
    """What an environment can be made of; a disabled one is listed, but makes no new environment."""

    id: Annotated[NotEmpty, Wire(1, "string")]
    display_name: Annotated[DisplayName | None, Wire(2, "string")] = None
    description: Annotated[ClassDescription | None, Wire(3, "string")] = None
    configuration: Annotated[tuple[FieldValue, ...], Wire(4, "repeated FieldValue")] = ()
    runner_id: Annotated[NotEmpty, Wire(5, "string")]
    enabled: Annotated[Bool | None, Wire(6, "bool")] = None


class ProjectEnvironmentClass(Message, proto="gitpod.v1.ProjectEnvironmentClass"):
    """One entry of an order of preference: the lowest `order` comes first."""

    local_runner: Annotated[Bool | None, Wire(1, "bool", "environment_class")] = None
    environment_class_id: Annotated[Uuid | None, Wire(2, "string", "environment_class")] = None
    order: Annotated[Int32 | None, Wire(3, "int32")] = None


class ListEnvironmentClassesRequestFilter(Message, proto="gitpod.v1.ListEnvironmentClassesRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    runner_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    enabled: Annotated[Bool | None, Wire(2, "optional bool")] = None
    can_create_environments: Annotated[Bool | None, Wire(3, "optional bool")] = None
    runner_kinds: Annotated[tuple[RunnerKind, ...], Field(max_length=25), Wire(4, "repeated RunnerKind")] = ()
    runner_providers: Annotated[
        tuple[RunnerProvider, ...], Field(max_length=25), Wire(5, "repeated RunnerProvider")
    ] = ()


class ListEnvironmentClassesRequest(Message, proto="gitpod.v1.ListEnvironmentClassesRequest"):
    """What ListEnvironmentClasses is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[
        ListEnvironmentClassesRequestFilter | None, Wire(2, "ListEnvironmentClassesRequest.Filter")
    ] = None


class ListEnvironmentClassesResponse(Message, proto="gitpod.v1.ListEnvironmentClassesResponse"):
    """What ListEnvironmentClasses answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    environment_classes: Annotated[tuple[EnvironmentClass, ...], Wire(2, "repeated EnvironmentClass")] = ()
