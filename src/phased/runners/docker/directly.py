"""Asks an engine itself, over its socket on this machine: starting its client for that costs ten times more.

Knows where docker's client finds a local engine, and as much HTTP as a short answer needs. Must not know what
answers mean. Where anything is out of the ordinary there is no answer, and the client is asked instead.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Final

import anyio

_LOCAL: Final = "/var/run/docker.sock"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


def local_socket(program: str, environment: Mapping[str, str]) -> str:
    """The socket that docker's client would use with this environment; "" where that is not plain to see.

    Source: docker(1), `DOCKER_HOST` before `DOCKER_CONTEXT` before `currentContext` of config.json.
    """
    if os.path.basename(program) != "docker":
        return ""
    host = environment.get("DOCKER_HOST", "")
    if host:
        return host.removeprefix("unix://") if host.startswith("unix:///") else ""
    return "" if environment.get("DOCKER_CONTEXT") or _has_context(environment) else _LOCAL


def _has_context(environment: Mapping[str, str]) -> bool:
    folder = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", "/"), ".docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            return bool(json.load(file).get("currentContext"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError):
        return True


async def ask(socket: str, method: str, path: str) -> tuple[int, bytes] | None:
    """Status and body of an answer; None where there is no whole one."""
    request = f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n"
    try:
        async with await anyio.connect_unix(socket) as stream:
            await stream.send(request.encode())
            data = b"".join([chunk async for chunk in stream])
    except (OSError, anyio.BrokenResourceError):
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or (length is not None and int(length[1]) != len(body)):
        return None
    return int(status[1]), body
