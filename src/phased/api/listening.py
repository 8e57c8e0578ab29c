"""Streams that stay open: each ends with the daemon or its reader's rights, and says when it is silent.

Knows callers and time. Must not know what is streamed. No task waits for a stream: whoever ends it wakes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from phased.errors import PermissionDenied, Unavailable

if TYPE_CHECKING:
    from phased.access.callers import Access, Caller

KEEP_ALIVE: Final = 30.0
"""Seconds of silence after which a stream says that it lives; all do at the same moment."""

T = TypeVar("T")


class Listening:
    """One open stream."""

    def __init__(self, access: Access, caller: Caller, draining: anyio.Event) -> None:
        self._access = access
        self._caller = caller
        self._draining = draining

    def check(self) -> None:
        """Raises Unavailable where the daemon ends, PermissionDenied where the reader is not served."""
        if self._draining.is_set():
            raise Unavailable("cannot go on: the daemon is ending; ask again when it has restarted")
        if not self._access.serves(self._caller):
            raise PermissionDenied(
                "cannot go on: your token has expired or was revoked, or you are suspended"
            )

    async def next(self, get: Callable[[], Awaitable[T]]) -> T | None:
        """What comes next, or None after a silence. Raises what `check` raises."""
        self.check()
        found: T | None = None
        with anyio.move_on_after(KEEP_ALIVE - anyio.current_time() % KEEP_ALIVE):
            found = await get()
        self.check()
        return found
