"""Messages of the native service about services: why one stands where it does, and restarting one."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.service import ServicePhase
from phased.contract.values import Bool, Timestamp, Uint32, Uuid


class ExplainServiceRequest(Message, proto="phased.v1.ExplainServiceRequest"):
    """What ExplainService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class ExplainServiceResponse(Message, proto="phased.v1.ExplainServiceResponse"):
    """Why a service stands where it does."""

    id: Annotated[str | None, Wire(1, "string")] = None
    reference: Annotated[str | None, Wire(2, "string")] = None
    phase: Annotated[ServicePhase | None, Wire(3, "gitpod.v1.ServicePhase")] = None
    desired_phase: Annotated[ServicePhase | None, Wire(4, "gitpod.v1.ServicePhase")] = None
    session: Annotated[str | None, Wire(5, "string")] = None
    outdated: Annotated[Bool | None, Wire(6, "bool")] = None
    """It runs as it was defined before: its newest definition counts from its next start."""
    cause: Annotated[str | None, Wire(7, "string")] = None
    """Why it failed, or is about to."""
    why: Annotated[str | None, Wire(8, "string")] = None
    """Who stopped it and when, or why it was restarted."""
    waits_for: Annotated[tuple[str, ...], Wire(9, "repeated string")] = ()
    """References of what it depends on, while that is run and readied."""
    ready_tries: Annotated[Uint32 | None, Wire(10, "uint32")] = None
    """Of the ready command, in this session."""
    last_ready_try: Annotated[str | None, Wire(11, "string")] = None
    """How the last of them ended."""
    restarts: Annotated[Uint32 | None, Wire(12, "uint32")] = None
    """In a row."""
    started_by: Annotated[str | None, Wire(13, "string")] = None
    """The trigger that asked for this session, or `manual`."""
    started_at: Annotated[Timestamp | None, Wire(14, "google.protobuf.Timestamp")] = None
    ready_at: Annotated[Timestamp | None, Wire(15, "google.protobuf.Timestamp")] = None
    completed_at: Annotated[Timestamp | None, Wire(16, "google.protobuf.Timestamp")] = None


class RestartServiceRequest(Message, proto="phased.v1.RestartServiceRequest"):
    """What RestartService is asked."""

    id: Annotated[Uuid, Wire(1, "string")]


class RestartServiceResponse(Message, proto="phased.v1.RestartServiceResponse"):
    """What RestartService answers. Nothing, where it worked."""
