"""What two foreground runs say to each other: one JSON object a line. Both are of one installation.

Knows records and statuses. Must not know sockets.

    guest -> holder   {"run": REQUEST}, {"begin": true}, then {"stop": BY} and {"kill": true} at any time
    holder -> guest   {"executions": [...]}, then {"change"}, {"note"} and {"waiting"}, at last {"end": true};
                      or {"refused": {"kind", "message"}} instead of either
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from phased import errors
from phased.contract.base import from_json, to_dict
from phased.contract.definitions import Definitions
from phased.contract.execution import TaskExecutionPhase, TaskExecutionSpec
from phased.core.status import StatusChange, StepStatus
from phased.foreground.work import Changed, Noted, Told, Waiting
from phased.ports import ExecutionRecord, StoredExecution

LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a line: a file of 4 MiB fits many times."""

_RECORD: Final = (
    "id", "environment_id", "task_id", "reference", "firing_id", "started_by", "creator_id",
    "creator_principal", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What a foreground run wants to be run."""

    workspace: str
    environment: str
    definitions: Definitions
    references: tuple[str, ...]
    started_by: str
    max_parallel: int
    keep: bool


def encode(message: Mapping[str, Any]) -> bytes:
    """A line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """What a line says. Raises ValueError where it is none of ours."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise TypeError("a message is an object")
    return message


def encode_request(request: Request) -> dict[str, Any]:
    """As it travels."""
    values = {item.name: getattr(request, item.name) for item in fields(request)}
    return {"run": {**values, "definitions": request.definitions.model_dump(mode="json")}}


def decode_request(message: Mapping[str, Any]) -> Request:
    """Raises ValueError (pydantic's is one), KeyError and TypeError where it is none."""
    body = message["run"]
    return Request(
        str(body["workspace"]), str(body["environment"]), Definitions.model_validate(body["definitions"]),
        tuple(body["references"]), str(body["started_by"]), int(body["max_parallel"]), bool(body["keep"]),
    )  # fmt: skip


def encode_stored(stored: StoredExecution) -> dict[str, Any]:
    """An execution; what only an engine needs of it stays behind."""
    record = {name: getattr(stored.record, name) for name in _RECORD}
    return {"record": {**record, "spec": to_dict(stored.record.spec)}, "status": asdict(stored.status)}


def decode_stored(body: Mapping[str, Any]) -> StoredExecution:
    """The same at the other end."""
    record = dict(body["record"])
    spec = from_json(TaskExecutionSpec, record.pop("spec"))
    return StoredExecution(ExecutionRecord(**record, spec=spec), _status(body["status"]))


def encode_told(told: Told) -> dict[str, Any]:
    """One thing that happened."""
    match told:
        case Changed(change):
            return {"change": asdict(change)}
        case Noted(text):
            return {"note": text}
        case Waiting(text):
            return {"waiting": text}


def decode_told(message: Mapping[str, Any]) -> Told:
    """The same at the other end."""
    if "change" in message:
        return Changed(_status(message["change"]))
    return Noted(str(message["note"])) if "note" in message else Waiting(str(message["waiting"]))


def encode_refusal(error: errors.PhasedError) -> dict[str, Any]:
    """Why it cannot be."""
    return {"refused": {"kind": type(error).__name__, "message": str(error)}}


def decode_refusal(body: Mapping[str, Any]) -> errors.PhasedError:
    """An error of the same kind with the same message, whatever its constructor takes."""
    kind = getattr(errors, str(body["kind"]), errors.PhasedError)
    if not (isinstance(kind, type) and issubclass(kind, errors.PhasedError)):
        kind = errors.PhasedError
    error: errors.PhasedError = kind.__new__(kind)
    Exception.__init__(error, str(body["message"]))
    return error


def _status(body: Mapping[str, Any]) -> StatusChange:
    values = dict(body)
    steps = tuple(
        StepStatus(**{**step, "phase": TaskExecutionPhase(step["phase"])}) for step in values.pop("steps")
    )
    clearing = tuple(values["clearing"]) if values.get("clearing") else None
    phase = TaskExecutionPhase(values["phase"])
    return StatusChange(**{**values, "phase": phase, "steps": steps, "clearing": clearing})
