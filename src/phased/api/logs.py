"""Logs over HTTP: replay and follow, of a whole execution, one of its steps, or a service.

Knows where logs lie and how a view of them is asked for: `?follow=0`, `?step=`, `?tail=`, `?from=`, `Range`.
Must not know how a log is written. A log of any size costs the daemon a block of memory.

`?framed=1` answers FRAMED, for a reader that goes on where a stream broke off. Each frame is a line
`KIND PART POSITION LENGTH` and so many bytes: `log` shows some of a log, `note` says what somebody did to it,
`end` that nothing more will come. `?from=` takes the newest position of each part, in order.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response, StreamingResponse

from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode
from phased.contract.resource import ResourceRole, ResourceType
from phased.errors import FileUnreadable, InvalidArgument, NotFound, Unavailable
from phased.logs.reading import extent, gone, note, opened, read
from phased.logs.viewing import Ended, Piece, Source, see

if TYPE_CHECKING:
    from starlette.requests import Request

    from phased.access.masking import Masker
    from phased.api.calls import Call

EXECUTION_PATH: Final = "/logs/executions/{id}"
SERVICE_PATH: Final = "/logs/services/{id}"

FRAMED: Final = "application/x-phased-log"
"""The type of an answer in frames."""

_TYPE: Final = "text/plain; charset=utf-8"
_MOST_DIGITS: Final = 18
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
    begun: frozenset[Path] = frozenset()
    """Those that were there once: what writes them has begun."""
    session: str = ""
    """Of a service: which it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants of them."""

    follow: bool
    tail: int | None
    span: tuple[int | None, int | None] | None
    """The first and the last byte of a range; (None, n): the last n."""
    starts: Sequence[int | None]
    """Where to go on in each part; None: as for who has seen nothing of it. Empty: so it is for all."""
    framed: bool


async def execution_logs(request: Request) -> Response:
    """The logs of an execution."""
    call: Call = request.scope["call"]
    logs = await call.house.logs_of_execution(
        call, request.path_params["id"], request.query_params.get("step")
    )
    return _answer(call, logs, request)


async def service_logs(request: Request) -> Response:
    """The log of a service's newest session; `?step=` names what its ready or stop commands wrote.

    `?session=` is for who has begun to read one, and goes on with that.
    """
    call: Call = request.scope["call"]
    logs = await call.house.logs_of_service(
        call,
        request.path_params["id"],
        request.query_params.get("step") or "start",
        request.query_params.get("session"),
    )
    return _answer(call, logs, request)


def permit_logs(call: Call, resource: ResourceType, environment_id: str) -> None:
    """Raises NotFound, PermissionDenied."""
    of_service = resource is ResourceType.SERVICE
    role = ResourceRole.ENVIRONMENT_SERVICE_VIEWER if of_service else ResourceRole.ENVIRONMENT_TASK_VIEWER
    call.allowed(resource, frozenset({role}), "logs", logs=True).see(environment_id, "these logs")


def _answer(call: Call, logs: Logs, request: Request) -> Response:
    asked = _asked(request.query_params, request.headers.get("range"))
    if asked.starts and len(asked.starts) != len(logs.parts):
        raise InvalidArgument(f"cannot use ?from=: it has a position for each of {len(logs.parts)} logs")
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if len(logs.parts) == 1 and not logs.labelled:
        _check(logs, *logs.parts[0], resumed=bool(asked.starts))
        headers["accept-ranges"] = "bytes"
    if asked.span is not None:
        return _range(logs, asked.span, headers, with_body=request.method != "HEAD")
    if logs.session:
        headers["phased-session"] = logs.session
    kind = FRAMED if asked.framed else _TYPE
    if request.method == "HEAD":
        return Response(headers=headers, media_type=kind)
    shown = _frames(call, logs, asked) if asked.framed else _text(call, logs, asked)
    return StreamingResponse(shown, headers=headers, media_type=kind)


def _check(logs: Logs, label: str, path: Path, *, resumed: bool) -> None:
    """A log alone has an error of its own, before anything is answered. Raises NotFound, Refusal.

    Who goes on with it is told in a note that it is gone, as who had not to come again.
    """
    try:
        with opened(path):
            return
    except NotFound as error:
        if path in logs.begun and not resumed:
            raise gone(label, path) from error
    except FileUnreadable as error:
        raise Refusal(ErrorCode.FAILED_PRECONDITION, str(error), status=409) from error


def _asked(query: Mapping[str, str], span: str | None) -> Asked:
    """Raises InvalidArgument."""
    tail = query.get("tail")
    if tail is not None and not (tail.isascii() and tail.isdigit() and len(tail) < 12):
        raise InvalidArgument("cannot use ?tail=: it is a number of lines")
    follow, framed = _switch(query, "follow", "1"), _switch(query, "framed", "0")
    lines = None if tail is None else int(tail)
    starts = _starts(query["from"]) if "from" in query else ()
    whole = lines is None and not starts and not framed
    return Asked(follow, lines, _span(span) if whole else None, starts, framed)


def _switch(query: Mapping[str, str], name: str, otherwise: str) -> bool:
    word = query.get(name, otherwise).lower()
    if word not in {"0", "1", "true", "false"}:
        raise InvalidArgument(f"cannot use ?{name}=: it is 0 or 1")
    return word in {"1", "true"}


def _starts(text: str) -> Sequence[int | None]:
    """Positions with commas between them; what is empty is not known."""
    words = text.split(",")
    if not all(not word or (word.isascii() and word.isdigit()) for word in words) or any(
        len(word) > _MOST_DIGITS for word in words
    ):
        raise InvalidArgument("cannot use ?from=: it is the byte to go on at, of each log, with commas")
    return [int(word) if word else None for word in words]


def _span(header: str | None) -> tuple[int | None, int | None] | None:
    """One range of bytes; what is none, or several, is passed over, as RFC 9110 (14.2) allows."""
    found = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = (int(text) if text else None for text in found.groups())
    if first is not None and last is not None and last < first:
        return None
    return first, last


async def _text(call: Call, logs: Logs, asked: Asked) -> AsyncGenerator[bytes, None]:
    """For people and programs that read text; what somebody did to a log is told within it."""
    with suppress(Unavailable):
        async with aclosing(_pieces(call, logs, asked)) as pieces:
            async for piece in pieces:
                if text := piece.text or _noted(logs, piece):
                    yield text


async def _frames(call: Call, logs: Logs, asked: Asked) -> AsyncGenerator[bytes, None]:
    """For who comes back where the stream ends without its end being told."""
    with suppress(Unavailable):
        async with aclosing(_pieces(call, logs, asked)) as pieces:
            async for piece in pieces:
                kind, content = ("log", piece.text) if piece.told is None else ("note", piece.told.encode())
                yield f"{kind} {piece.part} {piece.position} {len(content)}\n".encode() + content
        yield b"end 0 0 0\n"


def _noted(logs: Logs, piece: Piece) -> bytes:
    if piece.told is None:
        return b""
    label = f"{logs.parts[piece.part][0]} | ".encode() if logs.labelled else b""
    return label + note(piece.told)


def _pieces(call: Call, logs: Logs, asked: Asked) -> AsyncGenerator[Piece, None]:
    """Raises Unavailable where the reader has to come again."""
    starts = asked.starts or [None] * len(logs.parts)
    sources = [
        Source(
            label,
            path,
            logs.masker.reading() if logs.masker else None,
            start,
            logs.masker.margin if logs.masker else 0,
            begun=path in logs.begun,
        )
        for (label, path), start in zip(logs.parts, starts, strict=True)
    ]
    ended = _until(call, logs.ended) if asked.follow and logs.ended is not None else None
    return see(sources, ended, tail=asked.tail, labelled=logs.labelled)


def _until(call: Call, ended: Callable[[], Awaitable[object]]) -> Ended:
    async def until() -> None:
        over = False

        async def wait() -> None:
            nonlocal over
            await ended()
            over = True

        await call.house.end_of(call.caller, wait)
        if not over:
            raise Unavailable("cannot go on with this log: the daemon ends, or you are not served any more")

    return until


def _range(
    logs: Logs, span: tuple[int | None, int | None], headers: dict[str, str], *, with_body: bool
) -> Response:
    """A part of one log as it is now. Raises InvalidArgument for several, Refusal for what lies beyond it."""
    if logs.labelled or len(logs.parts) != 1:
        raise InvalidArgument("cannot give a range of several steps; name one with ?step=")
    path = logs.parts[0][1]
    size = extent(path).size
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
