"""`GET /events`: server-sent events. A snapshot, then what changed in each status, with its version.

Knows the stream of statuses and the format of the HTML standard (9.2). Must not know how anything runs. An
event's id is the stream's own sequence: `Last-Event-ID`, or `?since=`, resumes after it, or says `gap`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse

from phased.api.failures import code_of
from phased.api.handlers.environments import environment_message_of
from phased.api.handlers.executions import shown
from phased.api.handlers.services import shown_service
from phased.contract.base import to_dict
from phased.contract.execution import TaskExecutionStatus, TaskExecutionStatusStep
from phased.contract.resource import ResourceRole, ResourceType
from phased.core.status import StatusChange
from phased.core.versions import spell
from phased.engine.definitions.messages import service_message, task_message
from phased.engine.view import masked
from phased.errors import InvalidArgument, PhasedError
from phased.ports import ServiceRecord

if TYPE_CHECKING:
    from starlette.requests import Request

    from phased.api.calls import Call
    from phased.engine.stream import StreamEvent

_VIEWERS: Final = frozenset({ResourceRole.ENVIRONMENT_VIEWER})


async def event_stream(request: Request) -> Response:
    """One reader's stream; `?environmentId=` narrows it to one environment."""
    given: Call = request.scope["call"]
    call = given.allowed(ResourceType.ENVIRONMENT, _VIEWERS, "events")
    environment = request.query_params.get("environmentId")
    if environment is not None:
        call.house.environments.record(environment)
        call.see(environment, f"the environment {environment}")
    since = _since(request.headers.get("last-event-id") or request.query_params.get("since"))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type="text/event-stream")
    return StreamingResponse(
        _events(call, environment, since), headers=headers, media_type="text/event-stream"
    )


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidArgument("cannot resume: Last-Event-ID and ?since= are the id of an event, a number")
    return int(text)


async def _events(call: Call, environment: str | None, since: int | None) -> AsyncGenerator[bytes, None]:
    """The stream; where it has to end, why is its last event."""
    try:
        async with aclosing(_changes(call, environment, since)) as changes:
            async for event in changes:
                yield event
    except PhasedError as error:
        yield _event("end", None, {"code": code_of(error).value, "message": str(error)})


async def _changes(call: Call, environment: str | None, since: int | None) -> AsyncGenerator[bytes, None]:
    stream = call.house.stream
    with call.house.listening(call, stream.wake) as still:
        if since is None:
            since = stream.sequence
            yield _event("snapshot", since, await _snapshot(call, environment))
        while True:
            bunch = stream.read(since)
            if bunch.gap:
                yield _event("gap", None, {"since": str(since)})
                since = stream.sequence
                yield _event("snapshot", since, await _snapshot(call, environment))
                continue
            for event in bunch.events:
                if event.environment_id == environment or (
                    environment is None and call.sees(event.environment_id)
                ):
                    yield _event("change", event.sequence, _change(call, event))
            since = bunch.next
            if not bunch.events and not await still.next(stream.changed):
                yield b": still here\n\n"


def _event(name: str, sequence: int | None, data: dict[str, Any]) -> bytes:
    identifier = "" if sequence is None else f"id: {sequence}\n"
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\n{identifier}data: {text}\n\n".encode("utf-8", "replace")


async def _snapshot(call: Call, environment: str | None) -> dict[str, Any]:
    """Everything that has a status and has not ended, and what is defined; what changes meanwhile is told."""
    house = call.house
    seen = {
        record.id
        for record in house.environments.all()
        if environment in {None, record.id} and call.sees(record.id)
    }
    return {
        "environments": [
            to_dict(environment_message_of(call, record))
            for record in house.environments.all()
            if record.id in seen
        ],
        "tasks": [
            to_dict(task_message(one)) for one in house.automations.tasks() if one.environment_id in seen
        ],
        "services": [
            to_dict(shown_service(call, live))
            for live in house.automations.services()
            if live.record.environment_id in seen
        ],
        "taskExecutions": [to_dict(shown(call, stored)) for stored in await house.executions.alive(seen)],
    }


def _change(call: Call, event: StreamEvent) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operation": event.operation.value,
        "resourceType": event.resource_type.value,
        "resourceId": event.resource_id,
        "environmentId": event.environment_id,
    }
    if event.version:
        said["statusVersion"] = spell(event.version)
    match event.change:
        case StatusChange() as change:
            said["status"] = to_dict(_status(masked(change, call.house.hide(event.environment_id))))
            if change.why:
                said["why"] = change.why
        case ServiceRecord() as record:
            status = service_message(record).status
            said["status"] = to_dict(status) if status else {}
            if record.status.progress.why:
                said["why"] = record.status.progress.why
        case None:
            pass
    return said


def _status(change: StatusChange) -> TaskExecutionStatus:
    steps = tuple(
        TaskExecutionStatusStep.model_construct(
            id=step.id, phase=step.phase, failure_message=step.failure_message, output=dict(step.output)
        )
        for step in change.steps
    )
    return TaskExecutionStatus.model_construct(
        status_version=spell(change.version),
        phase=change.phase,
        failure_message=change.failure_message,
        steps=steps,
    )
