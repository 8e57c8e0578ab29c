"""What becomes of connections that come while a server lets go of its sockets: each is heard by somebody."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from phased.api.gate import Listener
from phased.api.server import Bound, Server
from tests.api.daemon import PATIENCE

pytestmark = pytest.mark.anyio

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def address() -> Iterator[Path]:
    """Of a unix socket."""
    with TemporaryDirectory(prefix="pha-", dir="/tmp") as folder:
        yield Path(folder) / "s"


def listening(address: Path) -> socket.socket:
    """A socket that listens there."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(address))
    made.listen(64)
    return made


def connected(address: Path) -> socket.socket:
    """A client."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(str(address))
    made.setblocking(False)
    return made


def application(name: bytes) -> Any:
    """Says its name."""

    async def say(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": name})

    return say


def server(name: bytes, one: socket.socket) -> Server:
    """On that socket."""
    return Server(application(name), [Bound(one, Listener("unix", local=True))])


async def answer(client: socket.socket) -> bytes:
    """Its last bytes. Raises ConnectionResetError where nobody heard it."""
    loop = asyncio.get_running_loop()
    with anyio.fail_after(PATIENCE):
        heard = b""
        while not heard.endswith((b"old", b"new")):
            more = await loop.sock_recv(client, 4096)
            assert more, f"closed after {heard!r}"
            heard += more
    return heard[-3:]


@pytest.mark.parametrize("turns", range(10))
async def test_who_comes_at_that_moment_is_answered(address: Path, turns: int) -> None:
    """However far the old server has come with it: `turns` of its loop."""
    async with server(b"old", listening(address)) as old:
        clients = [connected(address) for _ in range(20)]
        for client in clients:
            client.send(_REQUEST)
        for _ in range(turns):
            await asyncio.sleep(0)
        handed = socket.socket(fileno=old.hand_over()[0])
        await old.finish()
    async with server(b"new", handed):
        answers = [await answer(client) for client in clients]
        assert set(answers) <= {b"old", b"new"}
        for client in clients:
            client.close()


async def test_who_asks_again_at_that_moment_is_answered(address: Path) -> None:
    """Over a connection that has been idle: what it has sent is not thrown away."""
    async with server(b"old", listening(address)) as old:
        client = connected(address)
        client.send(_REQUEST)
        assert await answer(client) == b"old"
        client.send(_REQUEST)
        await old.finish()
        assert await answer(client) == b"old"
        client.close()


async def test_a_connection_that_asks_for_nothing_is_closed_in_time(address: Path) -> None:
    """And nothing stays open."""
    before = len(os.listdir("/proc/self/fd"))
    async with server(b"old", listening(address)) as old:
        client = connected(address)
        for _ in range(4):  # so that it is accepted
            await asyncio.sleep(0)
        with anyio.fail_after(PATIENCE):
            await old.finish()
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        client.close()
    assert len(os.listdir("/proc/self/fd")) == before
