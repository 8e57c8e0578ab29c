"""`python -m benchmarks.api_floor SOCKET`: a bare Starlette route on the server that the daemon uses.

What the API is compared with: it reads a request's body and answers JSON of the same size, and no more.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from phased.api.listeners import bind_unix
from phased.api.server import Server

_ANSWER = b"{" + b" " * 510 + b"}"
"""About as long as a task is."""


async def _answer(request: Request) -> Response:
    await request.body()
    return Response(_ANSWER, media_type="application/json")


async def _serve(path: Path) -> None:
    application = Starlette(routes=[Route("/floor", _answer, methods=["POST"])])
    async with Server(application, [bind_unix(path)]):
        print("READY", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, Path(sys.argv[1]))
