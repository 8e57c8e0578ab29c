"""The Connect runtime over the table of routes: unary and streams, JSON and binary.

Knows connectrpc. Must not know any method.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint

from phased.api.answering import Answering
from phased.api.calls import CURRENT, Effect, Route
from phased.api.codecs import BinaryCodec, JsonCodec
from phased.api.failures import refuse

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a request (`wire-api`, rule 9)."""

UNARY_TYPES: Final = frozenset({"application/json", "application/proto"})
STREAM_TYPES: Final = frozenset({"application/connect+json", "application/connect+proto"})

_LEVELS: Final = {
    Effect.READS: IdempotencyLevel.NO_SIDE_EFFECTS,
    Effect.REPEATABLE: IdempotencyLevel.IDEMPOTENT,
    Effect.ACTS: IdempotencyLevel.UNKNOWN,
}


class ConnectApplication(ConnectASGIApplication[Answering]):
    """One application for all services."""

    def __init__(self, routes: Sequence[Route], answering: Answering) -> None:
        super().__init__(
            service=answering,
            endpoints=lambda service: _endpoints(routes, service),
            read_max_bytes=MOST_BYTES,
            codecs=[JsonCodec(), BinaryCodec()],
        )

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return "/"


def _endpoints(routes: Sequence[Route], answering: Answering) -> Mapping[str, Any]:
    return {route.path: _endpoint(route, answering) for route in routes}


def _endpoint(route: Route, answering: Answering) -> Any:  # noqa: ANN401 - of the route's own message types
    method: MethodInfo[Any, Any] = MethodInfo(
        name=route.method,
        service_name=route.service,
        input=route.request,
        output=route.response,
        idempotency_level=_LEVELS[route.effect],
        stream_type=StreamType.SERVER_STREAM if route.streams else StreamType.UNARY,
    )
    if route.streams:
        return Endpoint.server_stream(method, _streaming(route, answering))
    return Endpoint.unary(method, _unary(route, answering))


def _unary(route: Route, answering: Answering) -> Callable[[Any, RequestContext[Any, Any]], Awaitable[Any]]:
    async def answer(request: Any, context: RequestContext[Any, Any]) -> Any:  # noqa: ANN401, ARG001 - the runtime's shape
        try:
            return await answering.unary(route, CURRENT.get(), request)
        except Exception as error:
            raise refuse(error, route.path) from error

    return answer


def _streaming(
    route: Route, answering: Answering
) -> Callable[[Any, RequestContext[Any, Any]], AsyncIterator[Any]]:
    async def answers(request: Any, context: RequestContext[Any, Any]) -> AsyncIterator[Any]:  # noqa: ANN401, ARG001 - the runtime's shape
        try:
            async for message in answering.stream(route, CURRENT.get(), request):
                yield message
        except Exception as error:
            raise refuse(error, route.path) from error

    return answers
