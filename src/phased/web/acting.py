"""`POST /web/api/<service>/<Method>`: what the buttons do, in the API's own JSON.

Knows the table of routes and Connect's JSON. Must not know any page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from phased.api.codecs import JsonCodec
from phased.api.connect import MOST_BYTES
from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode
from phased.contract.resource import ResourceType
from phased.web.headers import check_actor

if TYPE_CHECKING:
    from starlette.requests import Request

    from phased.api.calls import Call, Route
    from phased.web.visit import Methods

PATH: Final = "/web/api/{service}/{method}"
_CODEC: Final = JsonCodec()
_KEPT_FROM_PAGES: Final = frozenset({ResourceType.SECRET, ResourceType.PERSONAL_ACCESS_TOKEN})


async def act(request: Request, methods: Methods) -> Response:
    """One method, asked by one of our own pages. Raises PhasedError, ConnectError."""
    check_actor(request.scope)
    if request.headers.get("x-phased") != "1":
        raise Refusal(ErrorCode.PERMISSION_DENIED, "cannot do this: it lacks the header X-Phased")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(ErrorCode.INVALID_ARGUMENT, "cannot read this Content-Type; send application/json", 415)
    call: Call = request.scope["call"]
    route = methods.by_path.get(f"/{request.path_params['service']}/{request.path_params['method']}")
    if route is None or _holds_secrets(route):
        raise Refusal(ErrorCode.UNIMPLEMENTED, "cannot call that from a page")
    message: Any = _CODEC.decode(await _body(request), route.request)
    answer = await methods.tell(route, call, message)
    return Response(_CODEC.encode(answer), media_type="application/json")


def _holds_secrets(route: Route) -> bool:
    """Whether it answers or takes what no page is to hold: a script that got into one cannot ask either."""
    return route.resource in _KEPT_FROM_PAGES or route.method.endswith("Token")


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise Refusal(ErrorCode.RESOURCE_EXHAUSTED, "cannot take a request of more than 4 MiB")
    return bytes(found)
