"""What stands before every request: its size and pace, the Host it names, and what an answer may say.

Knows ASGI. Must not know methods or callers. A web page in a browser must not reach the daemon, also not
through a name that was rebound to a local address: on TCP, Host and Origin have to be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio

from phased.api.failures import RETRIED, Refusal
from phased.contract.error_code import ErrorCode

if TYPE_CHECKING:
    from starlette.types import Message as Event
    from starlette.types import Receive, Scope, Send

PATIENCE: Final = 30.0
"""Seconds that the next piece of a request's body may take."""
_DRAINED: Final = 64 * 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that the client hears why it was refused."""
_DRAIN_PATIENCE: Final = 5.0

_RETRY_HEADER: Final = (b"x-should-retry", b"false")


@dataclass(frozen=True, slots=True)
class Listener:
    """Where requests come in. `names` are the hosts, with port, that may be asked for; empty: any."""

    origin: str
    """`http://localhost`, `https://127.0.0.1:7000`."""
    local: bool
    """A unix socket: the peer is known by its credentials."""
    names: frozenset[str] = frozenset()
    name: str = "socket"
    """What settings call it."""
    pages: bool = False
    """It serves the pages for browsers, and no method."""

    def check(self, scope: Scope) -> None:
        """Raises Refusal for a Host or Origin that is not ours."""
        if self.local:
            return
        headers = scope["headers"]
        if not self._is_known(_host(scope)):
            raise Refusal(
                ErrorCode.PERMISSION_DENIED,
                "cannot answer under this Host; ask for the address that the daemon listens on, or add the "
                "name to listen.hosts in its settings",
            )
        origin = next((value for name, value in headers if name == b"origin"), None)
        own = self.pages and origin == f"{scope['scheme']}://{_host(scope)}".encode()
        if origin is not None and not own and not self._is_own(origin.decode("latin-1").lower()):
            raise Refusal(ErrorCode.PERMISSION_DENIED, "cannot answer a page of another origin")

    def origin_of(self, scope: Scope) -> str:
        """The address that the client used, as the beginning of others that it is told."""
        return self.origin if self.local else f"{scope['scheme']}://{_host(scope)}"

    def _is_known(self, host: str) -> bool:
        """A name has to be ours; an address cannot be rebound, as no name stands for it.

        Browsers take `localhost` for this machine whatever a resolver says (RFC 6761, 6.3): pages may be
        asked for under it with another port, that of a tunnel.
        """
        if host in self.names or _is_address(host):
            return True
        return self.pages and host.partition(":")[0] == "localhost"

    def _is_own(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme == urlsplit(self.origin).scheme and parts.netloc in self.names


def _host(scope: Scope) -> str:
    value: bytes = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return value.decode("latin-1").lower()


def _is_address(host: str) -> bool:
    """`10.0.0.1:7000`, `[::1]:7000`, with a port or without."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ip_address(name)
    except ValueError:
        return False
    return True


class PacedBody:
    """A request's body on its way in: each piece within a time, and what is left of it afterwards."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False
        self._stuck = False

    async def __call__(self) -> Event:
        """The next event. Raises Refusal where the client sends half a request and stops."""
        if self.complete:
            return await self._receive()
        with anyio.move_on_after(PATIENCE):
            event = await self._receive()
            self.complete = event["type"] != "http.request" or not event.get("more_body", False)
            return event
        self._stuck = True
        raise Refusal(
            ErrorCode.DEADLINE_EXCEEDED, f"cannot read the request: nothing of it came for {PATIENCE:g} s"
        )

    async def drain(self) -> None:
        """Throw away what is still to come, within bounds."""
        thrown = 0
        with anyio.move_on_after(_DRAIN_PATIENCE):
            while not self.complete and not self._stuck and thrown < _DRAINED:
                event = await self._receive()
                thrown += len(event.get("body", b""))
                self.complete = event["type"] != "http.request" or not event.get("more_body", False)


class Answer:
    """An answer on its way out: what was begun, and that an act that failed is not to be tried again."""

    def __init__(self, send: Send, body: PacedBody) -> None:
        self._send = send
        self._body = body
        self._start: Event | None = None
        self._parts: list[bytes] = []
        self.acts = False
        self.whole = False
        """It is sent at once when it is complete, with its length: no stream."""
        self.status = 0
        """0 as long as nothing was answered."""
        self.begun = False
        """Whether something was sent."""

    async def __call__(self, event: Event) -> None:
        """Pass on."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
            await self._body.drain()
            if self.acts and (self.status >= 500 or self.status in RETRIED):
                event = {**event, "headers": [*event["headers"], _RETRY_HEADER]}
        if self.whole and event["type"].startswith("http.response."):
            await self._hold(event)
        else:
            self.begun = True
            await self._send(event)

    async def _hold(self, event: Event) -> None:
        """Keep the parts until the last has come."""
        if event["type"] == "http.response.start":
            self._start = event
            return
        self._parts.append(event.get("body", b""))
        if event.get("more_body", False) or self._start is None:
            return
        start, body = self._start, b"".join(self._parts)
        names = {name for name, _ in start["headers"]}
        if b"content-length" not in names:
            length = (b"content-length", str(len(body)).encode())
            start = {**start, "headers": [*start["headers"], length]}
        self.begun = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
