"""The end of the holder: takes what other foreground runs want done, over a socket of this user alone.

Knows the socket and the words of `wire`. Must not know terminals. A guest that goes away has its work
stopped, as a terminal that closes would.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from phased.errors import PhasedError
from phased.foreground import wire
from phased.foreground.work import Told, Work

_CREDENTIALS = struct.Struct("3i")
_PATIENCE = 30.0
"""Seconds after which a guest that does not read is given up; its work goes on."""
_LONGEST_PATH = 107
"""Bytes of a socket's path (unix(7))."""

Accept = Callable[[wire.Request], Awaitable[Work]]


class Guests:
    """The work that others have asked for and that has not ended."""

    def __init__(self, accept: Accept) -> None:
        """`accept` starts what is asked for, or raises PhasedError."""
        self._accept = accept
        self._works: dict[Work, int] = {}
        self._busy = 0  # guests from whose request to the end of their work
        self._ended = anyio.Event()
        self._closed = False

    def names(self) -> list[str]:
        """What is still to end, for people: `build (of process 4711)`."""
        return [
            f"{stored.record.reference} (of process {pid})"
            for work, pid in self._works.items()
            for stored in work.executions
        ]

    def stop(self, by: str) -> None:
        """Ask all of it to stop."""
        for work in self._works:
            work.stop(by)

    def kill(self) -> None:
        """Do not wait for it any longer."""
        for work in self._works:
            work.kill()

    async def ended(self) -> None:
        """Wait until there is none; from then on none is taken any more."""
        while self._busy:
            await self._ended.wait()
            self._ended = anyio.Event()
        self._closed = True

    async def serve(self, stream: SocketStream) -> None:
        """Carry out what one guest wants; returns when that has ended or the guest is gone."""
        async with stream:
            pid = _peer(stream)
            if pid is None:
                return
            with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound, OSError,
                          anyio.BrokenResourceError, ValueError, KeyError, TypeError):  # fmt: skip
                lines = BufferedByteReceiveStream(stream)
                request = wire.decode_request(wire.decode(await lines.receive_until(b"\n", wire.LONGEST)))
                await self._carry_out(stream, lines, request, pid)

    async def _carry_out(
        self, stream: SocketStream, lines: BufferedByteReceiveStream, request: wire.Request, pid: int
    ) -> None:
        if self._closed:
            return
        speaker = _Speaker(stream)
        self._busy += 1
        try:
            await self._work(speaker, lines, await self._accept(request), pid)
        except PhasedError as error:
            await speaker.say(wire.encode_refusal(error))
        finally:
            self._busy -= 1
            self._ended.set()

    async def _work(self, speaker: _Speaker, lines: BufferedByteReceiveStream, work: Work, pid: int) -> None:
        self._works[work] = pid
        try:
            await speaker.say({"executions": [wire.encode_stored(stored) for stored in work.executions]})
            begun = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._obey, lines, work, begun)
                await begun.wait()
                await self._finish(work, speaker)
                tasks.cancel_scope.cancel()
        finally:
            del self._works[work]

    async def _finish(self, work: Work, speaker: _Speaker) -> None:
        async def tell(told: Told) -> None:
            await speaker.say(wire.encode_told(told))

        try:
            await work.carry_out(tell)
        except PhasedError as error:
            await speaker.say(wire.encode_refusal(error))
        else:
            await speaker.say({"end": True})

    async def _obey(self, lines: BufferedByteReceiveStream, work: Work, begun: anyio.Event) -> None:
        """Do what the guest says; one that has gone before it said "begin" never starts a step."""
        try:
            while True:
                message = wire.decode(await lines.receive_until(b"\n", wire.LONGEST))
                if "begin" in message:
                    begun.set()
                elif "stop" in message:
                    work.stop(str(message["stop"]))
                elif "kill" in message:
                    work.kill()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError,
                OSError, ValueError, TypeError):  # fmt: skip
            work.stop("the end of the run that asked for it")
            begun.set()


class _Speaker:
    """Says whole lines, one at a time; to a guest that is gone, nothing."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._turn = anyio.Lock()
        self._gone = False

    async def say(self, message: dict[str, object]) -> None:
        async with self._turn:
            if self._gone:
                return
            try:
                self._gone = True  # also where this is cancelled half way: nothing may follow half a line
                with anyio.fail_after(_PATIENCE):
                    await self._stream.send(wire.encode(message))
                self._gone = False
            except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # a TimeoutError is an OSError


@asynccontextmanager
async def receive_guests(path: Path, accept: Accept) -> AsyncIterator[Guests]:
    """Listen on a socket of mode 0600 at `path` as long as the block lasts.

    Where the path is too long for a socket, nobody can join; nothing else depends on it.
    """
    guests = Guests(accept)
    if len(os.fsencode(path)) > _LONGEST_PATH:
        yield guests
        return
    _remove(path)  # left by a holder that was killed; who has the lock owns the name
    listener = await anyio.create_unix_listener(path, mode=0o600)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, listener.serve, guests, tasks)
        try:
            yield guests
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await listener.aclose()
            _remove(path)


async def _listen(
    serve: Callable[[Callable[[SocketStream], Awaitable[None]], TaskGroup], Awaitable[None]],
    guests: Guests,
    tasks: TaskGroup,
) -> None:
    await serve(guests.serve, tasks)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _peer(stream: SocketStream) -> int | None:
    """The pid of the guest where it is this user or root, else None (unix(7), SO_PEERCRED)."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not a database
    packed = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid if uid in {os.getuid(), 0} else None
