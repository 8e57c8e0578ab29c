"""What is asked about runners, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.runner import Runner, RunnerKind, RunnerProvider
from phased.contract.values import Uuid


class GetRunnerRequest(Message, proto="gitpod.v1.GetRunnerRequest"):
    """What GetRunner is asked."""

    runner_id: Annotated[Uuid, Wire(1, "string")]


class GetRunnerResponse(Message, proto="gitpod.v1.GetRunnerResponse"):
    """What GetRunner answers."""

    runner: Annotated[Runner, Wire(1, "Runner")]


class ListRunnersRequestFilter(Message, proto="gitpod.v1.ListRunnersRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    creator_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    kinds: Annotated[tuple[RunnerKind, ...], Field(max_length=25), Wire(2, "repeated RunnerKind")] = ()
    providers: Annotated[
        tuple[RunnerProvider, ...], Field(max_length=25), Wire(3, "repeated RunnerProvider")
    ] = ()


class ListRunnersRequest(Message, proto="gitpod.v1.ListRunnersRequest"):
    """What ListRunners is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListRunnersRequestFilter | None, Wire(2, "ListRunnersRequest.Filter")] = None


class ListRunnersResponse(Message, proto="gitpod.v1.ListRunnersResponse"):
    """What ListRunners answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    runners: Annotated[tuple[Runner, ...], Wire(2, "repeated Runner")] = ()
