"""The application behind the page's listener: sessions, the pages, what they are made of, and how they fail.

Knows paths and what answers them. Must not know the engine. A new page is a module with
`async def show(visit)` and a row of PAGES.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router

from phased.api import logs
from phased.api.calls import Call
from phased.api.event_stream import event_stream
from phased.api.failures import Refusal, body_of, refuse, status_of
from phased.contract.error_code import ErrorCode
from phased.errors import PermissionDenied, PhasedError, Unauthenticated
from phased.web import (
    acting,
    environment_page,
    environments_page,
    execution_page,
    firing_page,
    graph_page,
    history_page,
    log_page,
    service_page,
    step_page,
)
from phased.web.bundle import PATH, Bundle
from phased.web.headers import (
    Secured,
    check_actor,
    check_reader,
    is_from_elsewhere,
    is_navigation,
)
from phased.web.rendering import Templates
from phased.web.sessions import Sessions
from phased.web.visit import Methods, Visit, page_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from phased.api import calls
    from phased.api.answering import Answering
    from phased.api.gate import Listener
    from phased.api.house import House

Page = Callable[[Visit], Awaitable[Response]]

PAGES: Final[tuple[tuple[str, Page], ...]] = (
    ("/web/executions/{execution}/log", log_page.of_execution),
    ("/web/services/{service}/log", log_page.of_service),
    ("/web/executions/{execution}", execution_page.show),
    ("/web/executions/{execution}/compare", execution_page.compare),
    ("/web/executions/{execution}/steps/{step}", step_page.show),
    ("/web/environments/{environment}/graph", graph_page.show),
    ("/web/", environments_page.show),
    ("/web/environments/{environment}", environment_page.show),
    ("/web/services/{service}", service_page.show),
    ("/web/firings/{firing}", firing_page.show),
    ("/web/history", history_page.show),
)
"""Each page: its path, and what shows it. `visit.request.path_params` has what the path names."""

DATA: Final = ("/web/api/", "/web/events", "/web/logs/", "/web/assets/")
"""Paths that modules ask for: errors there are the API's JSON."""


def open_pages(
    house: House, answering: Answering, routes: Sequence[calls.Route], listener: Listener
) -> ASGIApp:
    """The application. It reads its files now."""
    return Pages(house, Methods(routes, answering), listener)


class Pages:
    """Answers everything that comes in at the page's listener."""

    def __init__(self, house: House, methods: Methods, listener: Listener) -> None:
        self._house = house
        self._methods = methods
        self._sessions = Sessions(house, listener)
        self._listener = listener
        self._bundle = Bundle()
        self._templates = Templates(self._bundle.address, house.facts.version)
        self._templates.compile_all()
        self._router = Router(self._routes(), redirect_slashes=False, default=_nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        secured = Secured(send)
        try:
            self._listener.check(scope)
            await self._router(scope, receive, secured)
        except Exception as error:
            if secured.begun:
                raise
            await self._failed(scope, error)(scope, receive, secured)

    def _routes(self) -> list[BaseRoute]:
        known = [Route(path, self._page(page)) for path, page in PAGES]
        return [
            Route("/healthz", _healthy),
            Route("/", _to_the_page),
            Route("/web", _to_the_page),
            Route("/web/login", self._log_in, methods=["GET"]),
            Route("/web/logout", self._log_out, methods=["POST"]),
            Route(PATH, self._bundle.answer),
            Route("/web/events", self._known(event_stream)),
            Route(f"/web{logs.EXECUTION_PATH}", self._known(logs.execution_logs)),
            Route(f"/web{logs.SERVICE_PATH}", self._known(logs.service_logs)),
            Route(acting.PATH, self._known(self._act), methods=["POST"]),
            *known,
        ]

    # ---- who asks --------------------------------------------------------------------------------

    def _known(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """What answers those alone who are logged in; `scope["call"]` is theirs."""

        async def known(request: Request) -> Response:
            check_reader(request.scope)
            request.scope["call"] = self._call(request)
            return await answer(request)

        return known

    def _page(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def shown(request: Request) -> Response:
            sequence = self._house.stream.sequence
            return await page(Visit(request, request.scope["call"], self._methods, self._templates, sequence))

        return self._known(shown)

    def _call(self, request: Request) -> Call:
        caller = self._sessions.caller(request.scope)
        # No query: what stands in a page's address is the page's, and no page token of a method that it asks.
        return Call(self._house, caller, self._listener.origin_of(request.scope), {})

    async def _act(self, request: Request) -> Response:
        return await acting.act(request, self._methods)

    async def _log_in(self, request: Request) -> Response:
        answer = RedirectResponse("/web/", 303)
        if request.method != "GET":
            return Response(status_code=405, headers={"allow": "GET"})  # who only looks uses nothing up
        if await self._sessions.log_in(request.query_params.get("code", ""), answer):
            return answer
        return self._closed(403, "This address was used before, or is too old.")

    async def _log_out(self, request: Request) -> Response:
        check_actor(request.scope)
        answer = self._closed(200, "You are logged out.")
        await self._sessions.log_out(request.scope, answer)
        return answer

    # ---- what went wrong -------------------------------------------------------------------------

    def _failed(self, scope: Scope, error: Exception) -> Response:
        told = refuse(error, scope["path"])
        status = status_of(told, error)
        if scope["path"].startswith(DATA):
            return Response(body_of(told), status, media_type="application/json")
        if isinstance(error, Unauthenticated):
            if is_from_elsewhere(scope) and is_navigation(scope) and not self._sessions.has_cookie(scope):
                return self._again(scope)
            return self._closed(status, "You are not logged in, or your session has ended.")
        if isinstance(error, PermissionDenied) and not self._serves(scope):
            return self._closed(status, str(error))
        return self._sorry(status, told.message)

    def _serves(self, scope: Scope) -> bool:
        try:
            self._sessions.caller(scope)
        except PhasedError:
            return False
        return True

    def _closed(self, status: int, reason: str) -> Response:
        """The page for those who are not logged in: what to do."""
        return page_response(self._templates.render("closed.html", reason=reason), status)

    def _sorry(self, status: int, reason: str) -> Response:
        return page_response(self._templates.render("sorry.html", status=status, reason=reason), status)

    def _again(self, scope: Scope) -> Response:
        """From a page of another origin a browser sends no strict cookie: our own page asks again."""
        query = scope["query_string"].decode("latin-1")
        address = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        return page_response(self._templates.render("again.html", address=address))


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _to_the_page(_: Request) -> Response:
    return RedirectResponse("/web/", 303)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an application
    raise Refusal(ErrorCode.NOT_FOUND, "cannot find that page")
