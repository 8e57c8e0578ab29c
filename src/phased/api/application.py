"""The ASGI application: one door for every request, whatever it asks for.

Knows the table of routes, who answers what, and how errors become answers. Must not know any method.
Nothing that a client sends makes it raise: the server behind it would show a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from phased.api.calls import CURRENT, Call, Effect, Route
from phased.api.connect import STREAM_TYPES, UNARY_TYPES, ConnectApplication
from phased.api.failures import Refusal, body_of, refuse, status_of
from phased.api.gate import Answer, Listener, PacedBody
from phased.api.json_lines import stream_lines
from phased.contract.error_code import ErrorCode
from phased.observability import logger

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from phased.access.callers import Access
    from phased.api.answering import Answering
    from phased.api.house import House

LINES_TYPES: Final = frozenset({"application/json", "application/jsonl"})
"""What clients of the first generation send for a stream: in Python the one, in JavaScript the other."""

PREFIX: Final = "/api"
"""What may stand before every path (`cli: The daemon`)."""

OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Paths that need no caller."""


class Application:
    """Everything that the daemon answers."""

    def __init__(
        self,
        house: House,
        access: Access,
        answering: Answering,
        routes: Sequence[Route],
        plain: ASGIApp,
        pages: ASGIApp | None = None,
    ) -> None:
        """`plain` answers what is no method: health, metrics, logs, events.

        `pages` answers all that comes in where a listener has pages; it finds out itself who asks.
        """
        self._house = house
        self._access = access
        self._answering = answering
        self._routes = {route.path: route for route in routes}
        self._services = frozenset(route.service for route in routes)
        self._connect = ConnectApplication(routes, answering)
        self._plain = plain
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = PacedBody(receive)
        answer = Answer(send, body)
        path = _path(scope)
        try:
            await self._answer(path, scope, body, answer)
        except Exception as error:  # noqa: BLE001 - the one place that turns what is left into an answer
            if not answer.begun:
                await _send_error(answer, error, path)
            else:
                refuse(error, path)  # for the log: the answer has begun, and now ends too early
        finally:
            method = path[1:] if path in self._routes else "other"
            self._house.metrics.requests.labels(method, str(answer.status)).inc()
            if answer.status >= 400:
                logger("phased.api").info("request_refused", method=method, status=answer.status)

    async def _answer(self, path: str, scope: Scope, body: PacedBody, answer: Answer) -> None:
        listener: Listener = scope["state"]["listener"]
        if listener.pages and self._pages is not None:
            await self._pages(scope, body, answer)
            return
        listener.check(scope)
        route = self._routes.get(path)
        answer.acts = route is not None and route.effect is Effect.ACTS
        answer.whole = route is not None and not route.streams
        scope = {**scope, "path": path, "root_path": ""}
        if path in OPEN:
            await self._plain(scope, body, answer)
            return
        call = await self._call(scope, listener)
        token = CURRENT.set(call)
        try:
            if route is not None:
                await self._method(route, call, scope, body, answer)
            elif _is_method(path):
                raise Refusal(
                    ErrorCode.UNIMPLEMENTED, f"cannot call {path[1:]}: there is no such method here"
                )
            else:
                await self._plain({**scope, "call": call}, body, answer)
        finally:
            CURRENT.reset(token)

    async def _call(self, scope: Scope, listener: Listener) -> Call:
        headers = {name: value for name, value in scope["headers"] if name == b"authorization"}
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        caller = await self._access.caller(scope["state"].get("peer"), authorization, local=listener.local)
        return Call(self._house, caller, listener.origin_of(scope), _query(scope))

    async def _method(self, route: Route, call: Call, scope: Scope, body: PacedBody, answer: Answer) -> None:
        if scope["method"] != "POST" and not (scope["method"] == "GET" and route.effect is Effect.READS):
            raise Refusal(
                ErrorCode.UNIMPLEMENTED, "cannot call a method in this way: send a POST", status=405
            )
        if scope["method"] == "GET" and not route.streams:
            await self._connect(scope, body, answer)
            return
        content_type = _content_type(scope)
        if content_type not in (STREAM_TYPES if route.streams else UNARY_TYPES):
            if not (route.streams and content_type in LINES_TYPES):
                raise _wrong_type(route)
            await stream_lines(route, self._answering, call, body, answer)
            return
        await self._connect(scope, body, answer)


def _wrong_type(route: Route) -> Refusal:
    known = sorted(STREAM_TYPES | LINES_TYPES if route.streams else UNARY_TYPES)
    return Refusal(
        ErrorCode.INVALID_ARGUMENT, f"cannot read this Content-Type; send {' or '.join(known)}", status=415
    )


async def _send_error(answer: Answer, error: Exception, path: str) -> None:
    told = refuse(error, path)
    status = status_of(told, error)
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 405:
        headers.append((b"allow", b"POST"))
    body = body_of(told)
    headers.append((b"content-length", str(len(body)).encode()))
    await answer({"type": "http.response.start", "status": status, "headers": headers})
    await answer({"type": "http.response.body", "body": body, "more_body": False})


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(PREFIX) if path.startswith(f"{PREFIX}/") else path


def _is_method(path: str) -> bool:
    service, slash, method = path[1:].partition("/")
    return bool(slash) and "." in service and bool(method) and "/" not in method


def _query(scope: Scope) -> Mapping[str, str]:
    text: bytes = scope["query_string"]
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


def _content_type(scope: Scope) -> str:
    value: Any = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return str(value.decode("latin-1").partition(";")[0].strip().lower())
