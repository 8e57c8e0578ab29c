"""What is no method: health, metrics, logs, events, and whatever else is mounted here.

Knows paths and what answers them. Must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, Router

from phased.api import logs
from phased.api.event_stream import event_stream
from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode
from phased.contract.resource import ResourceRole, ResourceType
from phased.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from phased.api.calls import Call

READS_METRICS = frozenset({ResourceRole.RUNNER_CONFIGURATION_READER})


def plain_application(ready: Callable[[], str | None], more: Sequence[BaseRoute] = ()) -> Router:
    """`ready` says why the daemon is not, or None; `more` are routes of other parts (pages)."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        reason = ready()
        return PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", _metrics),
        Route("/events", event_stream),
        Route(logs.EXECUTION_PATH, logs.execution_logs),
        Route(logs.SERVICE_PATH, logs.service_logs),
        *more,
    ]
    return Router(routes, redirect_slashes=False, default=_nothing)


async def _metrics(request: Request) -> Response:
    call: Call = request.scope["call"]
    call.allowed(ResourceType.RUNNER, READS_METRICS, "metrics")
    return Response(call.house.metrics.text(), media_type=CONTENT_TYPE)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the shape of an application
    raise Refusal(ErrorCode.NOT_FOUND, "cannot find that path here; methods are POST /<service>/<method>")
