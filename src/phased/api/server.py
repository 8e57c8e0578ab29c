"""Sockets and connections: uvicorn's HTTP over a unix socket and TCP, with the peer of each connection.

Knows uvicorn's protocol class and sockets. Must not know what is answered. Its own loop is not used, since
that wakes ten times a second; nothing here wakes an idle daemon.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import resource
import socket
import ssl
import sys
import termios
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from phased.api.gate import Listener
from phased.contract.error_code import ErrorCode
from phased.observability import logger

if TYPE_CHECKING:
    from starlette.types import ASGIApp

BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 75
"""Seconds that a connection may stay open between two requests."""
_AT_ONCE: Final = 8
"""Connections that the event loop accepts before it looks at any: beyond the limit of open files it would say
so for each of them, thousands of times (asyncio's `_accept_connection`)."""
_RESERVED: Final = 128
"""Descriptors that connections may not take: the engine needs them for its store, logs and supervisors."""
_FEWEST: Final = 16
_SHARE_OF_TCP: Final = 0.75
"""Of the connections that there may be: strangers cannot shut the daemon's own user out."""
_HEADERS_PATIENCE: Final = 30.0
"""Seconds that the headers of a connection's first request may take."""
_NEWCOMERS_PATIENCE: Final = 1.0
"""Seconds that they may take at the end, when no more connections are accepted."""
_TURNS_TO_HEAR: Final = 8
"""Turns of the loop in which what a connection was sent is read, unless there is more than it takes."""
_TURNS_TO_ACCEPT: Final = 4
"""Turns of the loop after which who was accepted has a protocol (asyncio's `_accept_connection2`)."""


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
        self._guests = _Present()
        self._newcomers = _Present()
        """Those that have not asked for anything yet."""
        self.handed_over = False
        """Whether somebody else listens on its sockets from now on."""
        self.owns_path = False
        """Whether the path of the unix socket is this server's to remove."""

    async def __aenter__(self) -> Self:
        """Requests are answered when this returns."""
        loop = asyncio.get_running_loop()
        for one in self._bound:
            make = self._factory(one.listener)
            server = await loop.create_server(make, sock=one.socket, ssl=one.tls, backlog=_AT_ONCE)
            self._servers.append(server)
            one.socket.listen(BACKLOG)  # how many may wait is another matter
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is left, at once; `finish` is the way to let answers end."""
        self.close()
        for connection in list(self._state.connections):
            transport: asyncio.Transport = connection.transport
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

    def hand_over(self) -> list[int]:
        """Descriptors of all sockets, for whoever goes on listening: connections wait there meanwhile."""
        self.handed_over = True
        return [os.dup(one.socket.fileno()) for one in self._bound]

    def close(self) -> None:
        """Accept no more connections."""
        for server in self._servers:
            server.close()

    async def finish(self) -> None:
        """Let answers that have begun end; connections without one are closed, newcomers once heard."""
        await self._stop_accepting()
        await self._hear_newcomers()
        for connection in list(self._state.connections):
            await self._dismiss(connection)
        while tasks := list(self._state.tasks):
            await asyncio.wait(tasks)
        await self._guests.until_none()  # what was answered has still to be taken by who asked

    async def _dismiss(self, connection: Any) -> None:  # noqa: ANN401 - a protocol, as uvicorn keeps it
        """Close it after its answer, at once where it waits for none; who asks at this moment is heard."""
        for _ in range(_TURNS_TO_HEAR):
            if not _is_idle(connection) or not _has_unread(connection.transport):
                break
            await asyncio.sleep(0)
        try:
            connection.shutdown()
        except h11.LocalProtocolError:
            connection.transport.close()

    async def _stop_accepting(self) -> None:
        """Who was accepted gets a protocol; who comes from now on waits for whoever listens next.

        A closed server of asyncio forgets connections that it has accepted and not yet made a protocol for
        (`Server._attach`): they would stay open, unheard, until the end of this process resets them.
        """
        for one in self._bound:
            asyncio.get_running_loop().remove_reader(one.socket)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        self.close()

    async def _hear_newcomers(self) -> None:
        """Let who was accepted last say what for: closing before that would reset the connection."""
        with anyio.move_on_after(_NEWCOMERS_PATIENCE):
            await self._newcomers.until_none()

    def _factory(self, listener: Listener) -> Any:  # noqa: ANN401 - a maker of protocols
        crowd = _Crowd()

        def make() -> _Protocol:
            protocol = _Protocol(self._config, self._state, {"listener": listener})
            protocol.crowd = crowd
            protocol.guests = self._guests
            protocol.newcomers = self._newcomers
            return protocol

        return make


@dataclass(slots=True)
class _Crowd:
    """Whether connections of a listener are being refused, so that it is said once."""

    said: bool = False


class _Present:
    """Connections of which somebody may wait until there are none."""

    def __init__(self) -> None:
        """There are none."""
        self._there: set[_Protocol] = set()
        self._left = asyncio.Event()

    def add(self, one: _Protocol) -> None:
        """It is one of these."""
        self._there.add(one)

    def discard(self, one: _Protocol) -> None:
        """It is not one of these any more."""
        self._there.discard(one)
        self._left.set()

    async def until_none(self) -> None:
        """Wait until there are none."""
        while self._there:
            self._left.clear()
            await self._left.wait()


class _Protocol(H11Protocol):
    """That of uvicorn; it knows its peer, and does not wait for ever for a request that does not come."""

    crowd: _Crowd
    guests: _Present
    newcomers: _Present

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.guests.add(self)
        self.newcomers.add(self)
        listener = self.app_state["listener"]
        most = most_connections() * (1 if listener.local else _SHARE_OF_TCP)
        if len(self.connections) > most:
            if not self.crowd.said:
                logger("phased.api").warning("connections_refused", listener=listener.name, most=int(most))
            self.crowd.said = True
            transport.abort()
        elif len(self.connections) < most / 2:
            self.crowd.said = False
        self.app_state = {**self.app_state, "peer": peer_of(transport.get_extra_info("socket"))}
        self._impatience = self.loop.call_later(_HEADERS_PATIENCE, self._give_up)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            self._impatience.cancel()
            self.newcomers.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._impatience.cancel()
        self.newcomers.discard(self)
        self.guests.discard(self)
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


def _is_idle(connection: Any) -> bool:  # noqa: ANN401 - a protocol, as uvicorn keeps it
    return connection.cycle is None or connection.cycle.response_complete


def _has_unread(transport: asyncio.Transport) -> bool:
    """Whether something was sent that nobody has read: a close would reset the connection."""
    connection = transport.get_extra_info("socket")
    if transport.is_closing() or connection is None or connection.fileno() < 0:
        return False
    count = array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.FIONREAD, count)
    return count[0] > 0


def most_connections() -> int:
    """How many may be open at a time: what the limit of open files leaves."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(soft - _RESERVED, _FEWEST)


def _silence() -> None:
    """What it says of requests that fail is said by the application, without their text."""
    log = logging.getLogger("uvicorn")
    log.propagate = False
    log.handlers[:] = [logging.NullHandler()]
    log.setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.access").propagate = False


def peer_of(connection: Any) -> Any:  # noqa: ANN401 - a socket as asyncio shows it, or None
    """Who is at the other end of a unix socket; None for others."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    from phased.access.peers import credentials  # noqa: PLC0415 - only for unix sockets

    return credentials(connection)
