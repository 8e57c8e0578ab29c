"""Streams as JSON Lines, for clients of the first generation: one object a line, never a blank line.

Knows ASGI and the JSON codec. Must not know any method. `{}` is what keeps a silent stream alive.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
from connectrpc.errors import ConnectError

from phased.api.answering import Answering
from phased.api.calls import Call, Route
from phased.api.codecs import JsonCodec
from phased.api.connect import MOST_BYTES
from phased.api.failures import Refusal, refuse
from phased.contract.base import Message
from phased.contract.error_code import ErrorCode

if TYPE_CHECKING:
    from starlette.types import Receive, Send

_CODEC = JsonCodec()


async def stream_lines(route: Route, answering: Answering, call: Call, receive: Receive, send: Send) -> None:
    """Answer one request. Raises ConnectError for what is wrong before the first line."""
    request = _CODEC.decode(await read_body(receive), route.request)
    async with anyio.create_task_group() as tasks:

        async def leave_with_client() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        failure: ConnectError | None = None
        started = False
        tasks.start_soon(leave_with_client)
        messages: AsyncGenerator[Message, None] = answering.stream(route, call, request)
        try:
            async with aclosing(messages):
                async for message in messages:
                    if not started:
                        headers = [(b"content-type", b"application/jsonl"), (b"cache-control", b"no-store")]
                        await send({"type": "http.response.start", "status": 200, "headers": headers})
                        started = True
                    line = _CODEC.encode(message) + b"\n"
                    await send({"type": "http.response.body", "body": line, "more_body": True})
        except Exception as error:  # noqa: BLE001 - told to the client, or to the log
            failure = refuse(error, route.path)
        if started:
            # There is no line for an error that such a client understands: the stream ends.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            failure = None
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises Refusal where it is too large, or the client goes away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(ErrorCode.CANCELED, "cannot answer: the client went away")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise Refusal(ErrorCode.RESOURCE_EXHAUSTED, f"message is larger than configured max {MOST_BYTES}")
        if not message.get("more_body", False):
            return bytes(body)
