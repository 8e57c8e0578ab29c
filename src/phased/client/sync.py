"""The client that blocks.

Knows httpx's own. Must not know what is asked: `methods` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from phased.client import transport, wire
from phased.client.address import Address
from phased.client.following import Following
from phased.client.log_stream import FollowedLog, LogPiece
from phased.client.methods import Method, Methods
from phased.contract.base import Message
from phased.contract.execution import TaskExecution
from phased.contract.execution_calls import GetTaskExecutionRequest
from phased.errors import PhasedError

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Client(Methods):
    """One daemon. A context manager; it connects when it is first asked."""

    def __init__(self, address: Address, timeout: float = transport.TIMEOUT) -> None:
        """`timeout`: seconds that an answer may take. Raises InvalidArgument for an address of no use."""
        self.address = address
        carrier = transport.BlockingTransport(address)
        self._http = httpx.Client(transport=carrier, **transport.options(address, timeout))

    def __enter__(self) -> Self:
        """Ready."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, method: Method[Request, Response], request: Request) -> Response:
        """Ask once; nothing is ever asked again by itself. Raises Refused, Unreachable."""
        with transport.translated(self.address):
            answer = self._http.post(
                method.path, content=wire.encode_request(request), headers=wire.UNARY_HEADERS
            )
        if answer.status_code != httpx.codes.OK:
            raise wire.refusal(answer.status_code, answer.content)
        return wire.decode_answer(method.response, answer.content)

    @contextmanager
    def stream(self, method: Method[Request, Response], request: Request) -> Iterator[Iterator[Response]]:
        """The answers, empty ones left out; live once this is entered. Raises Refused, Unreachable."""
        body, headers = wire.encode_envelope(request), wire.STREAM_HEADERS
        with self._open("POST", method.path, content=body, headers=headers) as answer:
            messages = _messages(method, answer, self.address)
            first = [message for message in (next(messages, None),) if message is not None]
            yield (message for message in chain(first, messages) if message.model_fields_set)

    def pages(self, method: Callable[[Request], Response], request: Request) -> Iterator[Response]:
        """The pages of a list, as `client.pages(client.list_tasks, ListTasksRequest())`."""
        following: Request | None = request
        while following is not None:
            page = method(following)
            yield page
            following = wire.next_page(following, page)

    def follow_execution(
        self, execution_id: str, patience: float = transport.PATIENCE
    ) -> Iterator[TaskExecution]:
        """The execution as it is, then whenever it changed, until it has ended.

        A daemon that goes away is looked for again for `patience` seconds. Raises Refused, Unreachable.
        """
        request = GetTaskExecutionRequest(id=execution_id)
        following = Following(
            self.get_task_execution(request).task_execution, int(patience / transport.PAUSE)
        )
        yield following.execution
        while not following.ended:
            try:
                with self.watch_events(following.scope) as events:
                    if following.take(self.get_task_execution(request).task_execution):
                        yield following.execution
                    for event in () if following.ended else events:
                        if event.resource_id != execution_id:
                            continue
                        if following.take(self.get_task_execution(request).task_execution):
                            yield following.execution
                        if following.ended:
                            return
            except PhasedError as error:
                following.endure(error)
            if not following.ended:
                time.sleep(transport.PAUSE)

    @contextmanager
    def logs(
        self, execution_id: str, *, step: str | None = None, tail: int | None = None, follow: bool = True
    ) -> Iterator[Iterator[bytes]]:
        """What an execution's steps wrote: all of them, lines labelled, or one (its label or id) as it is."""
        query = transport.logs_query(step, tail, follow=follow)
        with self._open("GET", transport.logs_path(execution_id), params=query) as answer:
            yield self._blocks(answer)

    def follow_logs(
        self,
        execution_id: str,
        *,
        step: str | None = None,
        tail: int | None = None,
        patience: float = transport.PATIENCE,
    ) -> Iterator[LogPiece]:
        """The same until the execution has ended, also where its daemon ends before and another one comes.

        That is looked for for `patience` seconds. Raises Refused, Unreachable.
        """
        query = transport.logs_query(step, tail, follow=True, framed=True)
        return self._follow(transport.logs_path(execution_id), query, patience)

    @contextmanager
    def service_logs(
        self, service_id: str, *, step: str | None = None, tail: int | None = None, follow: bool = True
    ) -> Iterator[Iterator[bytes]]:
        """What the newest session of a service wrote; `step`: its `ready` or `stop` commands."""
        query = transport.logs_query(step, tail, follow=follow)
        with self._open("GET", transport.service_logs_path(service_id), params=query) as answer:
            yield self._blocks(answer)

    def follow_service_logs(
        self,
        service_id: str,
        *,
        step: str | None = None,
        tail: int | None = None,
        patience: float = transport.PATIENCE,
    ) -> Iterator[LogPiece]:
        """The same until that session has ended, with the same patience."""
        query = transport.logs_query(step, tail, follow=True, framed=True)
        return self._follow(transport.service_logs_path(service_id), query, patience)

    @contextmanager
    def events(
        self, environment_id: str | None = None, since: str | None = None
    ) -> Iterator[Iterator[wire.StatusEvent]]:
        """The native stream: a snapshot, then every change of a status. `since`: the id to resume after."""
        query, headers = transport.events_query(environment_id, since)
        with self._open("GET", transport.EVENTS_PATH, params=query, headers=headers) as answer:
            yield self._events(answer, since)

    @contextmanager
    def _open(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Iterator[httpx.Response]:
        """An answer whose body is still to be read. Raises Refused, Unreachable."""
        options: dict[str, Any] = {"params": params, "headers": headers, "content": content}
        request = self._http.build_request(verb, path, timeout=transport.STREAMING, **options)
        with transport.translated(self.address):
            answer = self._http.send(request, stream=True)
        try:
            if answer.status_code != httpx.codes.OK:
                with transport.translated(self.address):
                    body = answer.read()
                raise wire.refusal(answer.status_code, body)
            yield answer
        finally:
            answer.close()

    def _follow(self, path: str, query: Mapping[str, str], patience: float) -> Iterator[LogPiece]:
        followed = FollowedLog(query, int(patience / transport.PAUSE))
        while not followed.ended:
            try:
                with self._open("GET", path, params=followed.query) as answer:
                    followed.answered(answer.headers)
                    for block in self._blocks(answer):
                        yield from followed.feed(block)
                followed.closed()
            except PhasedError as error:
                followed.endure(error)
            if not followed.ended:
                time.sleep(transport.PAUSE)

    def _blocks(self, answer: httpx.Response) -> Iterator[bytes]:
        with transport.translated(self.address):
            yield from answer.iter_raw()

    def _events(self, answer: httpx.Response, since: str | None) -> Iterator[wire.StatusEvent]:
        parser = wire.ServerSentEvents(since or "")
        for block in self._blocks(answer):
            yield from parser.feed(block)


def _messages(method: Method[Any, Response], answer: httpx.Response, address: Address) -> Iterator[Response]:
    envelopes = wire.Envelopes()
    with transport.translated(address):
        for block in answer.iter_raw():
            for body in envelopes.feed(block):
                yield wire.decode_answer(method.response, body)
    wire.check_ended(envelopes, str(address))
