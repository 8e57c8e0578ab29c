"""How both clients use httpx: what connections are made of, which paths there are, what failures mean.

Knows httpx. Must not know whether it is awaited.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx

from phased.client.address import Address
from phased.errors import InvalidArgument, Unreachable

CONNECT_TIMEOUT: Final = 10.0
TIMEOUT: Final = 120.0
"""Seconds that an answer may take by default; a loaded machine needs some."""
PATIENCE: Final = 60.0
"""Seconds for which a daemon that went away is looked for again while something is followed."""
PAUSE: Final = 0.25
"""Seconds between two tries."""


def options(address: Address, timeout: float) -> dict[str, Any]:
    """What an httpx client is made with, but for its transport. Raises InvalidArgument."""
    headers = {"accept-encoding": "identity", "user-agent": "phased"}
    if address.token is not None:
        headers["authorization"] = f"Bearer {address.token}"
    return {
        "base_url": address.base_url,
        "headers": headers,
        "timeout": httpx.Timeout(timeout, connect=CONNECT_TIMEOUT),
        "trust_env": False,  # no proxy between us and a daemon
        "follow_redirects": False,
    }


def verification(address: Address) -> ssl.SSLContext | bool:
    """Who may vouch for an https address. Raises InvalidArgument where the file cannot be used."""
    if not address.base_url.startswith("https:"):
        return False
    try:
        return ssl.create_default_context(cafile=address.certificates)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidArgument(f"cannot use the certificates in {address.certificates}: {error}") from error


class _UnixBackend(httpcore.SyncBackend):
    """httpcore's own leaves a socket open that could not be connected; here it is tried before."""

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises httpcore.ConnectError, ConnectTimeout."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
            tried.settimeout(timeout)
            try:
                tried.connect(path)
            except TimeoutError as error:
                raise httpcore.ConnectTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.ConnectError(str(error)) from error
        return super().connect_unix_socket(path, timeout, socket_options)


class BlockingTransport(httpx.HTTPTransport):
    """Connections over a unix socket or TCP."""

    def __init__(self, address: Address) -> None:
        """Raises InvalidArgument."""
        super().__init__(uds=address.socket, verify=verification(address))
        if address.socket is not None:
            self._pool = httpcore.ConnectionPool(uds=address.socket, network_backend=_UnixBackend())


STREAMING: Final = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
"""A stream may be silent for as long as nothing changes."""


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Failures of the connection as Unreachable."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Unreachable(
            f"cannot reach a daemon at {address}: {_reason(error)}; start one with `phased serve`"
        ) from error
    except httpx.TimeoutException as error:
        raise Unreachable(
            f"cannot tell whether the daemon at {address} did this: it did not answer in time; look before "
            "you ask again"
        ) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise Unreachable(
            f"cannot hear the daemon at {address} any more: the connection ended ({_reason(error)}); "
            "is it still running?"
        ) from error


def _reason(error: Exception) -> str:
    return str(error).removeprefix("[Errno ").partition("] ")[2] or str(error) or type(error).__name__


def logs_path(execution_id: str) -> str:
    """Where the output of an execution is read."""
    return f"/logs/executions/{execution_id}"


def service_logs_path(service_id: str) -> str:
    """Where the output of a service is read."""
    return f"/logs/services/{service_id}"


def logs_query(
    step: str | None, tail: int | None, *, follow: bool, framed: bool = False
) -> Mapping[str, str]:
    """How a view of logs is asked for."""
    query = {"follow": "1" if follow else "0"}
    if framed:
        query["framed"] = "1"
    if step is not None:
        query["step"] = step
    if tail is not None:
        query["tail"] = str(tail)
    return query


EVENTS_PATH: Final = "/events"


def events_query(
    environment_id: str | None, since: str | None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Query and headers that ask for the native stream."""
    query = {"environmentId": environment_id} if environment_id else {}
    headers = {"accept": "text/event-stream"}
    return query, headers | {"last-event-id": since} if since else headers
