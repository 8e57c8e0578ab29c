"""Logs over HTTP: replay and follow, of a whole execution, one of its steps, or a service.

Knows where logs lie and how a view of them is asked for: `?follow=0`, `?step=`, `?tail=`, `Range`. Must not
know how a log is written. A log of any size costs the daemon a block of memory.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode
from phased.contract.resource import ResourceRole, ResourceType
from phased.errors import InvalidArgument, NotFound
from phased.logs.reading import Transform, read
from phased.logs.viewing import Source, follow, view

if TYPE_CHECKING:
    from starlette.requests import Request

    from phased.access.masking import Masker
    from phased.api.calls import Call

EXECUTION_PATH: Final = "/logs/executions/{id}"
SERVICE_PATH: Final = "/logs/services/{id}"

_TYPE: Final = "text/plain; charset=utf-8"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Logs:
    """What there is to show of one run: its logs by label, and when no more will be written."""

    parts: Sequence[tuple[str, Path]]
    labelled: bool
    """Lines bear their label."""
    ended: Callable[[], Awaitable[object]] | None
    """Returns once nothing more will be written; None: it has ended."""
    masker: Masker


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants of them."""

    follow: bool
    tail: int | None
    span: tuple[int | None, int | None] | None
    """The first and the last byte of a range; (None, n): the last n."""


async def execution_logs(request: Request) -> Response:
    """The logs of an execution."""
    call: Call = request.scope["call"]
    logs = await call.house.logs_of_execution(
        call, request.path_params["id"], request.query_params.get("step")
    )
    return _answer(call, logs, request)


async def service_logs(request: Request) -> Response:
    """The log of a service's newest session; `?step=` names what its ready or stop commands wrote."""
    call: Call = request.scope["call"]
    logs = await call.house.logs_of_service(
        call, request.path_params["id"], request.query_params.get("step") or "start"
    )
    return _answer(call, logs, request)


def permit_logs(call: Call, resource: ResourceType, environment_id: str) -> None:
    """Raises NotFound, PermissionDenied."""
    of_service = resource is ResourceType.SERVICE
    role = ResourceRole.ENVIRONMENT_SERVICE_VIEWER if of_service else ResourceRole.ENVIRONMENT_TASK_VIEWER
    call.allowed(resource, frozenset({role}), "logs", logs=True).see(environment_id, "these logs")


def _answer(call: Call, logs: Logs, request: Request) -> Response:
    asked = _asked(request.query_params, request.headers.get("range"))
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if asked.span is not None:
        return _range(logs, asked.span, headers, with_body=request.method != "HEAD")
    if len(logs.parts) == 1 and not logs.labelled:
        headers["accept-ranges"] = "bytes"
    if request.method == "HEAD":
        return Response(headers=headers, media_type=_TYPE)
    return StreamingResponse(_whole(call, logs, asked), headers=headers, media_type=_TYPE)


def _asked(query: Mapping[str, str], span: str | None) -> Asked:
    """Raises InvalidArgument."""
    tail = query.get("tail")
    if tail is not None and not (tail.isascii() and tail.isdigit() and len(tail) < 12):
        raise InvalidArgument("cannot use ?tail=: it is a number of lines")
    word = query.get("follow", "1").lower()
    if word not in {"0", "1", "true", "false"}:
        raise InvalidArgument("cannot use ?follow=: it is 0 or 1")
    lines = None if tail is None else int(tail)
    return Asked(word in {"1", "true"}, lines, _span(span) if lines is None else None)


def _span(header: str | None) -> tuple[int | None, int | None] | None:
    """One range of bytes; what is none, or several, is passed over, as RFC 9110 (14.2) allows."""
    found = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = (int(text) if text else None for text in found.groups())
    if first is not None and last is not None and last < first:
        return None
    return first, last


async def _whole(call: Call, logs: Logs, asked: Asked) -> AsyncGenerator[bytes, None]:
    ended = None
    if asked.follow and logs.ended is not None:
        ended = partial(call.house.end_of, call.caller, logs.ended)
    async with aclosing(_blocks(logs, ended, asked.tail)) as blocks:
        async for block in blocks:
            yield block


def _blocks(
    logs: Logs, ended: Callable[[], Awaitable[None]] | None, tail: int | None
) -> AsyncGenerator[bytes, None]:
    if logs.labelled:
        sources = [Source(label, path, _masked(logs)) for label, path in logs.parts]
        return view(sources, ended, tail=tail)
    if not logs.parts:
        return _nothing()
    path = logs.parts[0][1]
    if ended is not None:
        return follow(path, ended, tail=tail, transform=_masked(logs))
    return read(path, tail=tail, transform=_masked(logs)) if path.exists() else _nothing()


def _masked(logs: Logs) -> Transform | None:
    """For one reading of one log."""
    return logs.masker.reading() if logs.masker else None


async def _nothing() -> AsyncGenerator[bytes, None]:
    """What never started wrote nothing."""
    return
    yield b""


def _range(
    logs: Logs, span: tuple[int | None, int | None], headers: dict[str, str], *, with_body: bool
) -> Response:
    """A part of one log as it is now. Raises InvalidArgument for several, Refusal for what lies beyond it."""
    if logs.labelled or len(logs.parts) != 1:
        raise InvalidArgument("cannot give a range of several steps; name one with ?step=")
    path = logs.parts[0][1]
    size = path.stat().st_size if path.exists() else 0
    first, last = span
    begin = max(size - (last or 0), 0) if first is None else first
    end = size if first is None or last is None else min(last + 1, size)
    if begin >= size:
        raise Refusal(ErrorCode.OUT_OF_RANGE, f"cannot give that range: the log has {size} bytes", status=416)
    headers |= {
        "accept-ranges": "bytes",
        "content-range": f"bytes {begin}-{end - 1}/{size}",
        "content-length": str(end - begin),
    }
    if not with_body:
        return Response(status_code=206, headers=headers, media_type=_TYPE)
    return StreamingResponse(_cut(logs, path, begin, end), 206, headers=headers, media_type=_TYPE)


async def _cut(logs: Logs, path: Path, begin: int, end: int) -> AsyncGenerator[bytes, None]:
    """The bytes from `begin` to before `end`, masked as in the whole: masking keeps every byte's place."""
    if not logs.masker:
        blocks = read(path, start=begin, stop=end, exact=True)
    else:
        before = max(begin - logs.masker.margin, 0)
        masked = logs.masker.reading(skip=begin - before, length=end - begin)
        blocks = read(path, start=before, stop=end + logs.masker.margin, transform=masked, exact=True)
    async with aclosing(blocks):
        async for block in blocks:
            yield block


def steps_shown(
    steps: Sequence[tuple[str, str]], wanted: str | None, execution_id: str
) -> list[tuple[str, str]]:
    """Those of (id, label) that are asked for. Raises NotFound, naming what there is."""
    if wanted is None:
        return list(steps)
    found = [step for step in steps if wanted in step]
    if not found:
        there = ", ".join(label for _, label in steps)
        raise NotFound(f"cannot find a step {wanted[:128]!r} in {execution_id}; there are: {there}")
    return found
