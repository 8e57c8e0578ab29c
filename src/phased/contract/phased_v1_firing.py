"""Messages of the native service about triggers: firings and prebuilds, and how each ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.subject import Subject
from phased.contract.values import Bool, Duration, NotEmpty, Timestamp, Uuid


class FiringResult(Name):
    """How a firing, or a part of it, stands."""

    UNSPECIFIED = "FIRING_RESULT_UNSPECIFIED"
    RUNNING = "FIRING_RESULT_RUNNING"
    SUCCEEDED = "FIRING_RESULT_SUCCEEDED"
    FAILED = "FIRING_RESULT_FAILED"
    STOPPED = "FIRING_RESULT_STOPPED"
    INTERRUPTED = "FIRING_RESULT_INTERRUPTED"
    """The engine was lost meanwhile; it can be resumed."""


class FiringPart(Message, proto="phased.v1.FiringPart"):
    """One task or service that a firing starts."""

    reference: Annotated[str | None, Wire(1, "string")] = None
    trigger: Annotated[str | None, Wire(2, "string")] = None
    """The first of the firing's triggers that names it."""
    task_execution_id: Annotated[str | None, Wire(3, "string")] = None
    """Of a task."""
    service_id: Annotated[str | None, Wire(4, "string")] = None
    """Of a service."""
    joined: Annotated[Bool | None, Wire(5, "bool")] = None
    """It was started earlier, and ran still."""
    required: Annotated[Bool | None, Wire(6, "bool")] = None
    """The firing fails with it; where it is not, that is a warning."""
    result: Annotated[FiringResult | None, Wire(7, "FiringResult")] = None
    """A service has succeeded once it is RUNNING."""
    cause: Annotated[str | None, Wire(8, "string")] = None
    """Why it did not succeed."""


class Firing(Message, proto="phased.v1.Firing"):
    """One firing of a trigger, or a prebuild."""

    id: Annotated[str | None, Wire(1, "string")] = None
    environment_id: Annotated[str | None, Wire(2, "string")] = None
    triggers: Annotated[tuple[str, ...], Wire(3, "repeated string")] = ()
    """As the automations file spells them."""
    prebuild: Annotated[Bool | None, Wire(4, "bool")] = None
    resumes: Annotated[str | None, Wire(5, "string")] = None
    """The id of the firing whose rest it runs."""
    created_at: Annotated[Timestamp | None, Wire(6, "google.protobuf.Timestamp")] = None
    completed_at: Annotated[Timestamp | None, Wire(7, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(8, "gitpod.v1.Subject")] = None
    result: Annotated[FiringResult | None, Wire(9, "FiringResult")] = None
    cause: Annotated[str | None, Wire(10, "string")] = None
    """What is wrong with the whole, beside its parts."""
    parts: Annotated[tuple[FiringPart, ...], Wire(11, "repeated FiringPart")] = ()
    warnings: Annotated[tuple[str, ...], Wire(12, "repeated string")] = ()
    """What did not succeed and was not required to."""


class FireTriggerRequest(Message, proto="phased.v1.FireTriggerRequest"):
    """A trigger to fire; what it names is started at once and not waited for."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    trigger: Annotated[NotEmpty, Wire(2, "string")]
    resume: Annotated[Bool | None, Wire(3, "bool")] = None
    """Run what had not succeeded of its newest firing: nothing, where that runs still or all succeeded."""


class FireTriggerResponse(Message, proto="phased.v1.FireTriggerResponse"):
    """The firing, begun."""

    firing: Annotated[Firing | None, Wire(1, "Firing")] = None


class ResumeFiringRequest(Message, proto="phased.v1.ResumeFiringRequest"):
    """A firing of which to run what had not succeeded."""

    id: Annotated[Uuid, Wire(1, "string")]


class ResumeFiringResponse(Message, proto="phased.v1.ResumeFiringResponse"):
    """The new firing; the old one, where that runs still or all of it succeeded."""

    firing: Annotated[Firing | None, Wire(1, "Firing")] = None


class StartPrebuildRequest(Message, proto="phased.v1.StartPrebuildRequest"):
    """A prebuild to begin: its automations, then those before the snapshot; what it starts ends with it."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    timeout: Annotated[Duration | None, Wire(2, "google.protobuf.Duration")] = None
    """For all of it. Absent: none."""


class StartPrebuildResponse(Message, proto="phased.v1.StartPrebuildResponse"):
    """The prebuild, begun."""

    firing: Annotated[Firing | None, Wire(1, "Firing")] = None


class GetFiringRequest(Message, proto="phased.v1.GetFiringRequest"):
    """What GetFiring is asked."""

    id: Annotated[Uuid, Wire(1, "string")]
    wait: Annotated[Duration | None, Wire(2, "google.protobuf.Duration")] = None
    """Answer when it has ended, or a part of it, and at the latest after this time (at most a minute)."""


class GetFiringResponse(Message, proto="phased.v1.GetFiringResponse"):
    """The firing as it stands."""

    firing: Annotated[Firing | None, Wire(1, "Firing")] = None


class ListFiringsRequest(Message, proto="phased.v1.ListFiringsRequest"):
    """What ListFirings is asked; an empty field narrows nothing."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "gitpod.v1.PaginationRequest")] = None
    environment_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(2, "repeated string")] = ()
    triggers: Annotated[tuple[str, ...], Field(max_length=25), Wire(3, "repeated string")] = ()


class ListFiringsResponse(Message, proto="phased.v1.ListFiringsResponse"):
    """Firings, newest first; of an environment the newest thousand are kept."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "gitpod.v1.PaginationResponse")] = None
    firings: Annotated[tuple[Firing, ...], Wire(2, "repeated Firing")] = ()


class StopFiringRequest(Message, proto="phased.v1.StopFiringRequest"):
    """A firing whose tasks to stop; of a prebuild, also the services that it started."""

    id: Annotated[Uuid, Wire(1, "string")]
    kill: Annotated[Bool | None, Wire(2, "bool")] = None
    """Do not wait for anything to end by itself."""


class StopFiringResponse(Message, proto="phased.v1.StopFiringResponse"):
    """What StopFiring answers. Nothing, where it worked; its end is not waited for."""
