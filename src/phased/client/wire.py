"""What travels: requests and answers as Connect's JSON, its stream envelopes, server-sent events, errors.

Pure. Knows bytes and messages. Must not know sockets. Sources: the Connect protocol's reference for errors
and enveloped messages; the HTML standard for server-sent events.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from phased.contract.base import Message, from_json, to_json
from phased.contract.error_code import ErrorCode
from phased.contract.pagination import PaginationRequest
from phased.errors import Refused, Unreachable

M = TypeVar("M", bound=Message)

UNARY_HEADERS: Final = {"content-type": "application/json", "connect-protocol-version": "1"}
STREAM_HEADERS: Final = {"content-type": "application/connect+json", "connect-protocol-version": "1"}

_PREFIX: Final = struct.Struct(">BI")
_COMPRESSED: Final = 0x01
_END: Final = 0x02
_CODES: Final = {
    400: ErrorCode.INTERNAL,
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.PERMISSION_DENIED,
    404: ErrorCode.UNIMPLEMENTED,
    429: ErrorCode.UNAVAILABLE,
    502: ErrorCode.UNAVAILABLE,
    503: ErrorCode.UNAVAILABLE,
    504: ErrorCode.UNAVAILABLE,
}
"""What an HTTP status means where the body does not say (Connect: HTTP to error code)."""


def encode_request(request: Message) -> bytes:
    """The body of a unary request."""
    return to_json(request).encode()


def encode_envelope(request: Message) -> bytes:
    """The body of a request for a stream: one enveloped message."""
    body = encode_request(request)
    return _PREFIX.pack(0, len(body)) + body


def decode_answer(response: type[M], body: bytes) -> M:
    """An answer. Raises Unreachable where that is not what a daemon of this kind answers."""
    try:
        return from_json(response, body)
    except ValueError as error:
        raise Unreachable(
            f"cannot read the daemon's answer as {response.__name__}; is it phased, and of this version?"
        ) from error


def refusal(status: int, body: bytes) -> Refused:
    """The error that an answer tells."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    return _refused(told, _CODES.get(status, ErrorCode.UNKNOWN), f"HTTP status {status}")


def _refused(told: Any, code: ErrorCode, otherwise: str) -> Refused:  # noqa: ANN401 - whatever was sent
    message = None
    if isinstance(told, dict):
        message = told.get("message")
        if isinstance(told.get("code"), str) and told["code"] in set(ErrorCode):
            code = ErrorCode(told["code"])
    if not isinstance(message, str) or not message:
        message = f"cannot do this: the daemon answered {otherwise} ({code.value})"
    return Refused(code, message)


class Envelopes:
    """Takes a stream of bytes apart into messages. Raises Refused where the stream ends with an error."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = False
        """Whether the end was told; without it, the connection broke."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The messages that are complete now."""
        self._buffer += block
        while len(self._buffer) >= _PREFIX.size:
            flags, length = _PREFIX.unpack_from(self._buffer)
            end = _PREFIX.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_PREFIX.size : end])
            del self._buffer[:end]
            if flags & _COMPRESSED:
                raise Unreachable("cannot read the daemon's stream: it is compressed, unasked")
            if flags & _END:
                self.ended = True
                self._check_end(body)
                return
            yield body

    def _check_end(self, body: bytes) -> None:
        told = json.loads(body or b"{}")
        if isinstance(told, dict) and told.get("error"):
            raise _refused(told["error"], ErrorCode.UNKNOWN, "an error")


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One entry of the native stream of changes."""

    id: str
    """What to resume after."""
    kind: str
    """What it tells, as the daemon names it."""
    data: Any
    """JSON."""


class ServerSentEvents:
    """Takes a stream of text apart into events; passes over comments, which keep a silent stream alive."""

    def __init__(self, last_id: str = "") -> None:
        self._rest = b""
        self._fields: dict[str, list[str]] = {}
        self.last_id = last_id
        """That of the newest event."""

    def feed(self, block: bytes) -> Iterator[StatusEvent]:
        """The events that are complete now."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if line:
                self._take(line)
            elif (event := self._dispatch()) is not None:
                yield event

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name:
            self._fields.setdefault(name, []).append(value.removeprefix(" "))

    def _dispatch(self) -> StatusEvent | None:
        fields, self._fields = self._fields, {}
        if "id" in fields:
            self.last_id = fields["id"][-1]
        if "data" not in fields:
            return None
        text = "\n".join(fields["data"])
        kind = fields.get("event", ["message"])[-1]
        try:
            return StatusEvent(self.last_id, kind, json.loads(text))
        except ValueError:
            return StatusEvent(self.last_id, kind, text)


def check_ended(envelopes: Envelopes, address: str) -> None:
    """Raises Unreachable where a stream just stopped, without its end being told."""
    if not envelopes.ended:
        raise Unreachable(f"cannot hear the daemon at {address} any more: its stream broke off")


def next_page(request: M, page: Message) -> M | None:
    """The request for the page after this one; None after the last."""
    told = getattr(page, "pagination", None)
    if told is None or not told.next_token:
        return None
    before: PaginationRequest | None = getattr(request, "pagination", None)
    size = before.page_size if before is not None else None
    return request.model_copy(update={"pagination": PaginationRequest(page_size=size, token=told.next_token)})
