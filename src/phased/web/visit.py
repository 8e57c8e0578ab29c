"""One visit of a page: who looks, and what a page may ask and show.

Knows the API's table of routes, through which all is asked in this process, and the templates. Must not know
any page. What the caller may not ask is refused as it is over a socket.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread
from starlette.responses import Response

from phased.contract.base import Message
from phased.contract.pagination import PaginationRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from phased.api.answering import Answering
    from phased.api.calls import Call, Route
    from phased.web.rendering import Templates

M = TypeVar("M", bound=Message)
PAGE = 100
"""Entries that are asked for at a time: as many as may be."""


class Methods:
    """The API's methods, asked in this process."""

    def __init__(self, routes: Sequence[Route], answering: Answering) -> None:
        self._answering = answering
        self._by_request = {route.request: route for route in routes if not route.streams}
        self.by_path: Mapping[str, Route] = {route.path: route for route in routes if not route.streams}
        self.by_name: Mapping[str, Route] = {route.method: route for route in routes}

    async def ask(self, call: Call, request: Message, answer: type[M]) -> M:
        """What the method that takes this request answers. Raises PhasedError."""
        found = await self._answering.unary(self._by_request[type(request)], call, request)
        if not isinstance(found, answer):
            raise TypeError(f"{type(request).__name__} is not answered with {answer.__name__}")
        return found

    async def tell(self, route: Route, call: Call, request: Message) -> Message:
        """What one method answers. Raises PhasedError."""
        return await self._answering.unary(route, call, request)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page, by somebody who is known."""

    request: Request
    call: Call
    methods: Methods
    templates: Templates
    sequence: int
    """Of the stream of changes, before anything was asked: a page follows from there."""

    @property
    def now(self) -> datetime:
        """The daemon's own time."""
        return datetime.fromtimestamp(self.call.house.clock.wall() / 1_000_000, UTC)

    async def ask(self, request: Message, answer: type[M]) -> M:
        """What the API's method that takes this request answers. Raises PhasedError.

        As `found = await visit.ask(GetTaskRequest(id=one), GetTaskResponse)`.
        """
        return await self.methods.ask(self.call, request, answer)

    async def pages(
        self, make: Callable[[PaginationRequest], Message], answer: type[M], most: int = 2000
    ) -> AsyncIterator[M]:
        """Page after page of a list; `make` gives the request for each. Ends after about `most` entries."""
        token: str | None = None
        for _ in range(-(-most // PAGE)):
            found = await self.ask(make(PaginationRequest(page_size=PAGE, token=token)), answer)
            yield found
            pagination: Any = getattr(found, "pagination", None)
            token = pagination.next_token if pagination else None
            if not token:
                return

    def may(self, method: str, environment_id: str | None = None) -> bool:
        """Whether who looks may call a method (`StartTask`) in an environment: for buttons that are shown."""
        return self.call.caller.holds(self.methods.by_name[method].roles, environment_id)

    def show(self, template: str, *, status: int = 200, **values: object) -> Response:
        """The page. Templates find `visit` beside the values that are given."""
        return _Shown(lambda: self.templates.render(template, visit=self, **values), status)


class _Shown(Response):
    """A page that is rendered when it is sent, in a thread: one with a thousand boxes takes its time."""

    def __init__(self, render: Callable[[], str], status: int) -> None:
        super().__init__(status_code=status)
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = await anyio.to_thread.run_sync(self._render)
        await page_response(text, self.status_code)(scope, receive, send)


def page_response(text: str, status: int = 200) -> Response:
    """HTML; what cannot be encoded is replaced."""
    return Response(text.encode("utf-8", "replace"), status, media_type="text/html; charset=utf-8")
