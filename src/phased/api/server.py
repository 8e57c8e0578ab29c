"""Sockets and connections: uvicorn's HTTP over a unix socket and TCP, with the peer of each connection.

Knows uvicorn's protocol class and sockets. Must not know what is answered. Its own loop is not used, since
that wakes ten times a second; nothing here wakes an idle daemon.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from phased.api.gate import Listener
from phased.contract.error_code import ErrorCode
from phased.errors import FileUnreadable, SettingsError
from phased.observability import logger

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 75
"""Seconds that a connection may stay open between two requests."""
_HEADERS_PATIENCE: Final = 30.0
"""Seconds that the headers of a connection's first request may take."""
_LONGEST_PATH: Final = 107
"""Bytes of a unix socket's path (unix(7))."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that is listened on, and what is known of it."""

    socket: socket.socket
    listener: Listener
    tls: ssl.SSLContext | None = None


class Server:
    """Accepts connections on sockets and hands their requests to an application. A context manager."""

    def __init__(self, application: ASGIApp, bound: Sequence[Bound]) -> None:
        """The sockets are closed with the server."""
        self._bound = bound
        _silence()
        self._config = Config(
            application,
            http=_Protocol,
            ws=None,  # type: ignore[arg-type] # as uvicorn's own command line does for "none"
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            proxy_headers=False,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        """Requests are answered when this returns."""
        loop = asyncio.get_running_loop()
        for one in self._bound:
            self._servers.append(
                await loop.create_server(
                    self._factory(one.listener), sock=one.socket, ssl=one.tls, backlog=_BACKLOG
                )
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is left, at once; `finish` is the way to let answers end."""
        self.close()
        for connection in list(self._state.connections):
            transport: asyncio.Transport = connection.transport  # type: ignore[union-attr] # ours is HTTP/1.1 alone
            transport.abort()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks, timeout=5)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._state.connections)

    def close(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()

    async def finish(self) -> None:
        """Let answers that have begun end; connections without one are closed."""
        self.close()
        for connection in list(self._state.connections):
            with suppress(h11.LocalProtocolError):
                connection.shutdown()
        while tasks := list(self._state.tasks):
            await asyncio.wait(tasks)

    def _factory(self, listener: Listener) -> Any:  # noqa: ANN401 - a maker of protocols
        return lambda: _Protocol(self._config, self._state, {"listener": listener})


class _Protocol(H11Protocol):
    """uvicorn's, that knows its peer, and does not wait for ever for a request that does not come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": peer_of(transport.get_extra_info("socket"))}
        self._impatience = self.loop.call_later(_HEADERS_PATIENCE, self._give_up)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            self._impatience.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._impatience.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """As the API's other errors."""
        logger("phased.api").info("http_invalid")
        body = json.dumps({"code": ErrorCode.INVALID_ARGUMENT.value, "message": f"cannot read this: {msg}"})
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        with suppress(h11.LocalProtocolError):
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body.encode()),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def _silence() -> None:
    """uvicorn's own log: what it says of requests that fail is said by the application, without their text."""
    log = logging.getLogger("uvicorn")
    log.propagate = False
    log.handlers[:] = [logging.NullHandler()]
    log.setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.access").propagate = False


def listen_unix(path: Path) -> socket.socket:
    """A socket that only this user may connect to. What an ended daemon left in its place is replaced.

    Raises FileUnreadable where that cannot be, or somebody listens there.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise FileUnreadable(f"cannot listen on {path}: the path is longer than {_LONGEST_PATH} bytes; use --socket")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(path)
        before = os.umask(0o177)
        try:
            made.bind(os.fspath(path))
        finally:
            os.umask(before)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise FileUnreadable(f"cannot listen on {path}: {error.strerror or error}; use --socket") from error
    except FileUnreadable:
        made.close()
        raise
    return made


def _remove_abandoned(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileUnreadable(f"cannot listen on {path}: something that is no socket is there; use --socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise FileUnreadable(f"cannot listen on {path}: {error.strerror or error}; use --socket") from error
    raise FileUnreadable(f"cannot listen on {path}: another process listens there; use --socket")


def listen_tcp(address: str) -> socket.socket:
    """A socket on `HOST:PORT`; port 0 takes a free one. Raises SettingsError, FileUnreadable."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise FileUnreadable(f"cannot listen on {address}: {error.strerror or error}; use --listen") from error
    return made


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:7000`, `[::1]:7000`, `:7000` (loopback). Raises SettingsError."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"cannot listen on {address!r}: it is HOST:PORT, as 127.0.0.1:7000")
    return host.strip("[]") or "127.0.0.1", int(port)


def peer_of(connection: Any) -> Any:  # noqa: ANN401 - a socket as asyncio shows it, or None
    """Who is at the other end of a unix socket; None for others."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    from phased.access.peers import credentials  # noqa: PLC0415 - only for unix sockets

    return credentials(connection)
