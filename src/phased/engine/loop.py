"""What every loop of machines has: an inbox, reminders by the boot clock, and who waits until all is saved.

Knows the clock. Must not know machines, stores or what an event means.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Final, Generic, TypeVar

import anyio

from phased.core.events import Instant
from phased.errors import StoreError
from phased.ports import Clock

Live = TypeVar("Live")
Event = TypeVar("Event")

_REPEAT_SAVE: Final = 1.0
"""Seconds between two tries to save what a full disk refused."""
_LOOK_AT_CLOCK: Final = 5.0
"""While reminders wait, the boot clock is looked at this often (seconds): timers stand still in suspend."""


class Loop(Generic[Live, Event]):
    """Receives; what is done with a bunch of events is said by who inherits this."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has arrived."""
        self._clock = clock
        self._inbox: deque[tuple[Live, Event]] = deque()
        self._arrived = anyio.Event()
        self._reminders: list[tuple[float, int, Live, Event]] = []
        self._order = count()
        self._waiting: list[anyio.Event] = []
        self.store_error: StoreError | None = None
        """Why the newest statuses could not be saved; None as soon as they could."""

    def now(self) -> Instant:
        """This moment on both clocks."""
        return Instant(self._clock.wall(), self._clock.boot())

    def post(self, arrivals: Iterable[tuple[Live, Event]]) -> None:
        """Hand over events; they are handled in this order."""
        self._inbox.extend(arrivals)
        if self._inbox:
            self._arrived.set()

    def wake(self) -> None:
        """Look at the clock now: it moved other than by passing."""
        self._arrived.set()

    async def settled(self) -> None:
        """Wait until everything that was posted has been handled and saved.

        Raises StoreError where it could not be saved.
        """
        done = anyio.Event()
        self._waiting.append(done)
        self._arrived.set()
        await done.wait()
        if self.store_error is not None:
            raise self.store_error

    async def _receive(self) -> None:
        """Wait for events, the next reminder, or the next try to save."""
        if not self._inbox:
            wait = self._wait_at_most()
            if wait is None:
                await self._arrived.wait()
            elif wait > 0:
                with anyio.move_on_after(wait):
                    await self._arrived.wait()
        self._arrived = anyio.Event()
        now = self._clock.boot()
        while self._reminders and self._reminders[0][0] <= now:
            _, _, live, event = heapq.heappop(self._reminders)
            self._inbox.append((live, event))

    def _wait_at_most(self) -> float | None:
        waits = [self._reminders[0][0] - self._clock.boot(), _LOOK_AT_CLOCK] if self._reminders else []
        if self.store_error is not None:
            waits.append(_REPEAT_SAVE)
        return min(waits, default=None)

    def _remind(self, at: float, live: Live, event: Event) -> None:
        """Let this event arrive at a moment of the boot clock."""
        heapq.heappush(self._reminders, (at, next(self._order), live, event))
