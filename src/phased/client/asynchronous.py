"""The client that is awaited.

Knows httpx's own. Must not know what is asked: `methods` does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx

from phased.client import transport, wire
from phased.client.address import Address
from phased.client.following import Following
from phased.client.log_stream import FollowedLog, LogPiece
from phased.client.methods import Method, Methods
from phased.contract.base import Message
from phased.contract.event import WatchEventsResponse
from phased.contract.execution import TaskExecution
from phased.contract.execution_calls import GetTaskExecutionRequest
from phased.errors import PhasedError

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class AsyncClient(Methods):
    """One daemon. A context manager; it connects when it is first asked."""

    def __init__(self, address: Address, timeout: float = transport.TIMEOUT) -> None:
        """`timeout`: seconds that an answer may take. Raises InvalidArgument for an address of no use."""
        self.address = address
        carrier = httpx.AsyncHTTPTransport(uds=address.socket, verify=transport.verification(address))
        self._http = httpx.AsyncClient(transport=carrier, **transport.options(address, timeout))

    async def __aenter__(self) -> Self:
        """Ready."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, method: Method[Request, Response], request: Request) -> Response:
        """Ask once; nothing is ever asked again by itself. Raises Refused, Unreachable."""
        with transport.translated(self.address):
            answer = await self._http.post(
                method.path, content=wire.encode_request(request), headers=wire.UNARY_HEADERS
            )
        if answer.status_code != httpx.codes.OK:
            raise wire.refusal(answer.status_code, answer.content)
        return wire.decode_answer(method.response, answer.content)

    @asynccontextmanager
    async def stream(
        self, method: Method[Request, Response], request: Request
    ) -> AsyncIterator[AsyncIterator[Response]]:
        """The answers, empty ones left out; live once this is entered. Raises Refused, Unreachable."""
        body, headers = wire.encode_envelope(request), wire.STREAM_HEADERS
        async with (
            self._open("POST", method.path, content=body, headers=headers) as answer,
            aclosing(_messages(method, answer, self.address)) as messages,
        ):
            first = await anext(messages, None)
            yield _telling(first, messages)

    async def pages(
        self, method: Callable[[Request], Awaitable[Response]], request: Request
    ) -> AsyncIterator[Response]:
        """The pages of a list, as `client.pages(client.list_tasks, ListTasksRequest())`."""
        following: Request | None = request
        while following is not None:
            page = await method(following)
            yield page
            following = wire.next_page(following, page)

    async def follow_execution(
        self, execution_id: str, patience: float = transport.PATIENCE
    ) -> AsyncIterator[TaskExecution]:
        """The execution as it is, then whenever it changed, until it has ended.

        A daemon that goes away is looked for again for `patience` seconds. Raises Refused, Unreachable.
        """
        request = GetTaskExecutionRequest(id=execution_id)
        first = await self.get_task_execution(request)
        following = Following(first.task_execution, int(patience / transport.PAUSE))
        yield following.execution
        while not following.ended:
            try:
                async with self.watch_events(following.scope) as events:
                    if following.take((await self.get_task_execution(request)).task_execution):
                        yield following.execution
                    async for event in _nothing() if following.ended else events:
                        if event.resource_id != execution_id:
                            continue
                        if following.take((await self.get_task_execution(request)).task_execution):
                            yield following.execution
                        if following.ended:
                            return
            except PhasedError as error:
                following.endure(error)
            if not following.ended:
                await anyio.sleep(transport.PAUSE)

    @asynccontextmanager
    async def logs(
        self, execution_id: str, *, step: str | None = None, tail: int | None = None, follow: bool = True
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """What an execution's steps wrote: all of them, lines labelled, or one (its label or id) as it is."""
        query = transport.logs_query(step, tail, follow=follow)
        async with (
            self._open("GET", transport.logs_path(execution_id), params=query) as answer,
            aclosing(self._blocks(answer)) as blocks,
        ):
            yield blocks

    def follow_logs(
        self,
        execution_id: str,
        *,
        step: str | None = None,
        tail: int | None = None,
        patience: float = transport.PATIENCE,
    ) -> AsyncGenerator[LogPiece, None]:
        """The same until the execution has ended, also where its daemon ends before and another one comes.

        That is looked for for `patience` seconds. Raises Refused, Unreachable.
        """
        query = transport.logs_query(step, tail, follow=True, framed=True)
        return self._follow(transport.logs_path(execution_id), query, patience)

    @asynccontextmanager
    async def service_logs(
        self, service_id: str, *, step: str | None = None, tail: int | None = None, follow: bool = True
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """What the newest session of a service wrote; `step`: its `ready` or `stop` commands."""
        query = transport.logs_query(step, tail, follow=follow)
        async with (
            self._open("GET", transport.service_logs_path(service_id), params=query) as answer,
            aclosing(self._blocks(answer)) as blocks,
        ):
            yield blocks

    def follow_service_logs(
        self,
        service_id: str,
        *,
        step: str | None = None,
        tail: int | None = None,
        patience: float = transport.PATIENCE,
    ) -> AsyncGenerator[LogPiece, None]:
        """The same until that session has ended, with the same patience."""
        query = transport.logs_query(step, tail, follow=True, framed=True)
        return self._follow(transport.service_logs_path(service_id), query, patience)

    @asynccontextmanager
    async def events(
        self, environment_id: str | None = None, since: str | None = None
    ) -> AsyncIterator[AsyncIterator[wire.StatusEvent]]:
        """The native stream: a snapshot, then every change of a status. `since`: the id to resume after."""
        query, headers = transport.events_query(environment_id, since)
        async with (
            self._open("GET", transport.EVENTS_PATH, params=query, headers=headers) as answer,
            aclosing(self._events(answer, since)) as events,
        ):
            yield events

    @asynccontextmanager
    async def _open(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to be read. Raises Refused, Unreachable."""
        options: dict[str, Any] = {"params": params, "headers": headers, "content": content}
        request = self._http.build_request(verb, path, timeout=transport.STREAMING, **options)
        with transport.translated(self.address):
            answer = await self._http.send(request, stream=True)
        try:
            if answer.status_code != httpx.codes.OK:
                with transport.translated(self.address):
                    body = await answer.aread()
                raise wire.refusal(answer.status_code, body)
            yield answer
        finally:
            await answer.aclose()

    async def _follow(
        self, path: str, query: Mapping[str, str], patience: float
    ) -> AsyncGenerator[LogPiece, None]:
        followed = FollowedLog(query, int(patience / transport.PAUSE))
        while not followed.ended:
            try:
                async with (
                    self._open("GET", path, params=followed.query) as answer,
                    aclosing(self._blocks(answer)) as blocks,
                ):
                    followed.answered(answer.headers)
                    async for block in blocks:
                        for piece in followed.feed(block):
                            yield piece
                followed.closed()
            except PhasedError as error:
                followed.endure(error)
            if not followed.ended:
                await anyio.sleep(transport.PAUSE)

    async def _blocks(self, answer: httpx.Response) -> AsyncGenerator[bytes, None]:
        with transport.translated(self.address):
            async for block in answer.aiter_raw():
                yield block

    async def _events(
        self, answer: httpx.Response, since: str | None
    ) -> AsyncGenerator[wire.StatusEvent, None]:
        parser = wire.ServerSentEvents(since or "")
        async with aclosing(self._blocks(answer)) as blocks:
            async for block in blocks:
                for event in parser.feed(block):
                    yield event


async def _messages(
    method: Method[Any, Response], answer: httpx.Response, address: Address
) -> AsyncGenerator[Response, None]:
    envelopes = wire.Envelopes()
    with transport.translated(address):
        async for block in answer.aiter_raw():
            for body in envelopes.feed(block):
                yield wire.decode_answer(method.response, body)
    wire.check_ended(envelopes, str(address))


async def _telling(first: Response | None, rest: AsyncIterator[Response]) -> AsyncGenerator[Response, None]:
    """Those that tell something; empty ones keep the stream alive."""
    if first is not None and first.model_fields_set:
        yield first
    async for message in rest:
        if message.model_fields_set:
            yield message


async def _nothing() -> AsyncGenerator[WatchEventsResponse, None]:
    return
    yield
