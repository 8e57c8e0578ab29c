"""The end of the guest: work that another foreground run does for this one.

Knows the socket and the words of `wire`. Must not know terminals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from phased.errors import PhasedError
from phased.foreground import wire
from phased.foreground.work import NobodyThere, Tell
from phased.ports import StoredExecution


class JoinedWork:
    """Executions of the engine of another process."""

    def __init__(
        self, stream: SocketStream, lines: BufferedByteReceiveStream, executions: Sequence[StoredExecution]
    ) -> None:
        """`executions` have been created, and begin when they are carried out."""
        self.executions = executions
        self._stream = stream
        self._lines = lines
        self._sends: list[dict[str, Any]] = []
        self._asked = anyio.Event()

    async def carry_out(self, tell: Tell) -> None:
        """Tell what the other process tells. Raises PhasedError where it refuses or vanishes."""
        async with anyio.create_task_group() as tasks:
            self._send({"begin": True})
            tasks.start_soon(self._ask)
            error = await self._follow(tell)
            tasks.cancel_scope.cancel()
        if error is not None:  # raised here: a task group would wrap it
            raise error

    async def _follow(self, tell: Tell) -> PhasedError | None:
        """Until the end; the error where that came early."""
        while True:
            try:
                message = await self._receive()
            except PhasedError as error:
                return error
            if "end" in message:
                return None
            if "refused" in message:
                return wire.decode_refusal(message["refused"])
            await tell(wire.decode_told(message))

    def stop(self, by: str) -> None:
        """Ask for all to stop."""
        self._send({"stop": by})

    def kill(self) -> None:
        """Ask not to wait for the stop any longer."""
        self._send({"kill": True})

    def _send(self, message: dict[str, Any]) -> None:
        self._sends.append(message)
        self._asked.set()

    async def _ask(self) -> None:
        while True:
            await self._asked.wait()
            self._asked = anyio.Event()
            sends, self._sends = self._sends, []
            for message in sends:
                try:
                    await self._stream.send(wire.encode(message))
                except (OSError, anyio.BrokenResourceError):
                    return

    async def _receive(self) -> dict[str, Any]:
        try:
            return wire.decode(await self._lines.receive_until(b"\n", wire.LONGEST))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, OSError) as error:
            raise PhasedError(
                "cannot follow the run that was joined: its process ended before the work had; "
                "`phased executions` shows how far it came"
            ) from error


@asynccontextmanager
async def join(path: Path, request: wire.Request) -> AsyncIterator[JoinedWork]:
    """Ask the holder that listens at `path` for work. Raises NobodyThere, or what it refuses with."""
    try:
        stream = await anyio.connect_unix(path)
    except OSError as error:
        raise NobodyThere(f"cannot join the run at {path}: {error.strerror}") from error
    async with stream:
        lines = BufferedByteReceiveStream(stream)
        try:
            await stream.send(wire.encode(wire.encode_request(request)))
            message = wire.decode(await lines.receive_until(b"\n", wire.LONGEST))
        except (
            anyio.EndOfStream,
            anyio.IncompleteRead,
            anyio.BrokenResourceError,
            OSError,
            ValueError,
        ) as error:
            raise NobodyThere(f"cannot join the run at {path}: it is ending") from error
        if "refused" in message:
            raise wire.decode_refusal(message["refused"])
        yield JoinedWork(stream, lines, [wire.decode_stored(body) for body in message["executions"]])
