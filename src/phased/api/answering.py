"""From a decoded message to an answer: rights, pages, draining, and acts that a disconnect does not halve.

Knows routes and calls. Must not know any protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio

from phased.api.calls import Call, Effect, Route
from phased.contract.base import Message, from_json, wire_fields
from phased.contract.pagination import PaginationRequest
from phased.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

M = TypeVar("M", bound=Message)

_PATIENCE: Final = 5.0
"""Seconds that acts which have begun may take once the daemon ends."""


class Answering:
    """Answers calls. An async context manager; acts that have begun are ended before it ends."""

    def __init__(self, draining: anyio.Event) -> None:
        """`draining` is set once new work is refused and streams end."""
        self._tasks: TaskGroup
        self._draining = draining

    async def __aenter__(self) -> Self:
        """Ready."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Acts end by themselves: they are short; what hangs is given up."""
        self._tasks.cancel_scope.deadline = anyio.current_time() + _PATIENCE
        await self._tasks.__aexit__(None, None, None)

    async def unary(self, route: Route, call: Call, request: Message) -> Message:
        """The answer. Raises PhasedError, and whatever is a bug."""
        call = self._admit(route, call)
        request = with_page(request, call.query)
        if route.effect is Effect.READS:
            answer: Message = await route.handler(call, request)  # type: ignore[misc] # a route that does not stream
            return answer
        return await self._act(route, call, request)

    async def stream(self, route: Route, call: Call, request: Message) -> AsyncGenerator[Message, None]:
        """The answers; the first of them, perhaps empty, says that the stream is live."""
        call = self._admit(route, call)
        messages: AsyncGenerator[Message, None] = route.handler(call, request)  # type: ignore[assignment] # one that streams
        try:
            async for message in messages:
                yield message
        finally:
            await messages.aclose()

    def _admit(self, route: Route, call: Call) -> Call:
        """The call, whose caller is held to the route's roles in each environment that it touches (`see`)."""
        admitted = call.allowed(route.resource, route.roles, route.method)
        if self._draining.is_set() and (route.streams or route.effect is not Effect.READS):
            raise Unavailable("cannot take new work: the daemon is ending; ask again when it has restarted")
        return admitted

    async def _act(self, route: Route, call: Call, request: Message) -> Message:
        """Run in a task of its own: a client that goes away, or its deadline, does not halve an act."""
        done = anyio.Event()
        outcome: list[Message | Exception] = []

        async def run() -> None:
            try:
                outcome.append(await route.handler(call, request))  # type: ignore[misc] # a route that does not stream
            except Exception as error:  # noqa: BLE001 - raised below, where it belongs
                outcome.append(error)
            finally:
                done.set()

        self._tasks.start_soon(run)
        await done.wait()
        if not outcome:
            raise Unavailable(
                "cannot say how this ended: the daemon is ending; look at the state before retrying"
            )
        match outcome[0]:
            case Exception() as error:
                raise error
            case answer:
                return answer


def with_page(request: M, query: dict[str, str] | Any) -> M:  # noqa: ANN401 - any mapping
    """The request with the page that the query names: clients repeat the first body (`wire-api`, rule 2)."""
    given = {name: query[name] for name in ("token", "pageSize") if query.get(name)}
    if not given or not any(field.name == "pagination" for field in wire_fields(type(request))):
        return request
    values: dict[str, object] = dict(given)
    if "pageSize" in given:
        if not (given["pageSize"].isascii() and given["pageSize"].isdigit() and len(given["pageSize"]) < 10):
            raise InvalidArgument("cannot use ?pageSize=: it is a whole number from 0 to 100")
        values["pageSize"] = int(given["pageSize"])
    before: PaginationRequest | None = getattr(request, "pagination", None)
    kept = {"pageSize": before.page_size, "token": before.token} if before else {}
    return request.model_copy(update={"pagination": from_json(PaginationRequest, kept | values)})
