"""What travels, taken apart: whatever the pieces are that it comes in."""

from __future__ import annotations

import json

import pytest

from phased.client import wire
from phased.client.address import Address
from phased.contract.error_code import ErrorCode
from phased.contract.event import WatchEventsResponse
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.task_calls import ListTasksRequest, ListTasksResponse
from phased.errors import InvalidArgument, Refused, Unreachable


def envelope(body: bytes, flags: int = 0) -> bytes:
    """One enveloped message."""
    return bytes([flags]) + len(body).to_bytes(4, "big") + body


STREAM = envelope(b'{"a":1}') + envelope(b"{}") + envelope(b"{}", 2)


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_a_stream_is_the_same_in_pieces_of_any_size(size: int) -> None:
    """Envelopes come whole, however they are cut."""
    envelopes = wire.Envelopes()
    found: list[bytes] = []
    for start in range(0, len(STREAM), size):
        found += envelopes.feed(STREAM[start : start + size])
    assert found == [b'{"a":1}', b"{}"]
    assert envelopes.ended


def test_a_stream_that_ends_with_an_error_raises_it() -> None:
    """The code and the message are the daemon's."""
    end = envelope(b'{"error":{"code":"permission_denied","message":"cannot see that"}}', 2)
    with pytest.raises(Refused, match="cannot see that") as caught:
        list(wire.Envelopes().feed(end))
    assert caught.value.code == ErrorCode.PERMISSION_DENIED


def test_a_stream_that_breaks_off_is_told() -> None:
    """Without its end, somebody went away."""
    envelopes = wire.Envelopes()
    assert list(envelopes.feed(STREAM[:12])) == [b'{"a":1}']
    with pytest.raises(Unreachable, match="broke off"):
        wire.check_ended(envelopes, "here")


def test_a_compressed_stream_is_refused() -> None:
    """It was not asked for."""
    with pytest.raises(Unreachable, match="compressed"):
        list(wire.Envelopes().feed(envelope(b"x", 1)))


EVENTS = (
    b": still here\n\n"
    b'event: snapshot\nid: 7\ndata: {"tasks":[]}\n\n'
    b'event: gap\ndata: {"since":"3"}\r\n\r\n'
    b"id: 9\ndata: [1,\ndata: 2]\n\n"
    b"data: no json\n\n"
    b"id: 10\n\n"
    b"data: never finished\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, len(EVENTS)])
def test_events_are_the_same_in_pieces_of_any_size(size: int) -> None:
    """Comments are passed over; an event without an id keeps the last one; JSON may have several lines."""
    parser = wire.ServerSentEvents()
    found: list[wire.StatusEvent] = []
    for start in range(0, len(EVENTS), size):
        found += parser.feed(EVENTS[start : start + size])
    assert found == [
        wire.StatusEvent("7", "snapshot", {"tasks": []}),
        wire.StatusEvent("7", "gap", {"since": "3"}),
        wire.StatusEvent("9", "message", [1, 2]),
        wire.StatusEvent("9", "message", "no json"),
    ]
    assert parser.last_id == "10"


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_of_an_error_arrives(code: ErrorCode) -> None:
    """With its message, whatever the status."""
    body = json.dumps({"code": code.value, "message": "cannot do that"}).encode()
    error = wire.refusal(500, body)
    assert (error.code, str(error)) == (code, "cannot do that")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b"", ErrorCode.UNIMPLEMENTED),
        (503, b"<html>", ErrorCode.UNAVAILABLE),
        (401, b"[]", ErrorCode.UNAUTHENTICATED),
        (500, b'{"code":["x"],"message":3}', ErrorCode.UNKNOWN),
        (418, b'{"code":"teapot"}', ErrorCode.UNKNOWN),
    ],
)
def test_an_error_without_a_body_of_ours_goes_by_its_status(
    status: int, body: bytes, code: ErrorCode
) -> None:
    """A proxy may stand between; its message says what came."""
    error = wire.refusal(status, body)
    assert error.code == code
    assert str(error).startswith("cannot ")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"operation":"NO_SUCH"}'])
def test_an_answer_that_is_none_is_told(body: bytes) -> None:
    """Something else listens there, or another version."""
    with pytest.raises(Unreachable, match="cannot read the daemon's answer"):
        wire.decode_answer(WatchEventsResponse, body)


def test_the_next_page_keeps_the_size_and_the_rest() -> None:
    """Only the token is another."""
    asked = ListTasksRequest(pagination=PaginationRequest(page_size=3))
    page = ListTasksResponse(pagination=PaginationResponse(next_token="more"))
    following = wire.next_page(asked, page)
    assert following == ListTasksRequest(pagination=PaginationRequest(page_size=3, token="more"))
    assert wire.next_page(asked, ListTasksResponse()) is None
    assert wire.next_page(asked, ListTasksResponse(pagination=PaginationResponse())) is None


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("127.0.0.1:7000", "http://127.0.0.1:7000"),
        ("http://127.0.0.1:7000/", "http://127.0.0.1:7000"),
        ("https://[::1]:7000/api", "https://[::1]:7000/api"),
    ],
)
def test_an_address_may_be_short(text: str, base: str) -> None:
    """HOST:PORT is enough."""
    assert Address.of_url(text).base_url == base


@pytest.mark.parametrize(
    "text", ["ftp://x", "http://", "http://x:99999999", "http://user:word@x", "http://x?y", "http://[", ""]
)
def test_an_address_of_no_use_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidArgument, match="cannot use the address"):
        Address.of_url(text)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "\u00e9"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: str) -> None:
    """Without showing it."""
    with pytest.raises(InvalidArgument, match="cannot use this token") as caught:
        Address.of_socket("/x", token)
    assert not token or token not in str(caught.value)


def test_a_token_is_never_shown() -> None:
    """Neither by repr nor by str."""
    address = Address.of_url("127.0.0.1:1", "s3cret")
    assert "s3cret" not in f"{address} {address!r}"
