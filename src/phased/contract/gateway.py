"""The addresses under which a daemon is reached."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.values import Duration, NotEmpty


class Gateway(Message, proto="gitpod.v1.Gateway"):
    """One address. Names are unique."""

    name: Annotated[NotEmpty, Wire(1, "string")]
    url: Annotated[NotEmpty, Wire(2, "string")]
    region: Annotated[str | None, Wire(3, "string")] = None


class GatewayInfo(Message, proto="gitpod.v1.GatewayInfo"):
    """A gateway, and how far away it is."""

    gateway: Annotated[Gateway | None, Wire(1, "Gateway")] = None
    latency: Annotated[Duration | None, Wire(2, "google.protobuf.Duration")] = None


class ListGatewaysRequest(Message, proto="gitpod.v1.ListGatewaysRequest"):
    """What ListGateways is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None


class ListGatewaysResponse(Message, proto="gitpod.v1.ListGatewaysResponse"):
    """What ListGateways answers."""

    gateways: Annotated[tuple[Gateway, ...], Field(min_length=1), Wire(1, "repeated Gateway")]
    pagination: Annotated[PaginationResponse | None, Wire(2, "PaginationResponse")] = None
