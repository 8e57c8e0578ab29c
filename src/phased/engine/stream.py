"""What changed in every status, numbered, for readers that come back: a ring that forgets the oldest.

Knows records of changes. Must not know who reads: readers hold a number and nothing else, so a slow one
costs nothing; who asks for more than the ring still has is told that there is a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import anyio

from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.core.status import StatusChange
from phased.ports import ServiceRecord

MOST_KEPT: Final = 20_000
"""Weight of what the ring keeps: one for each change, and one for each step in it."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One change. `change` is the new status of an execution (only the steps that changed) or a service."""

    sequence: int
    operation: Operation
    resource_type: ResourceType
    resource_id: str
    environment_id: str
    version: int = 0
    """That of the status; 0 where there is none."""
    change: StatusChange | ServiceRecord | None = None

    @property
    def weight(self) -> int:
        """What it costs to keep."""
        return 1 + (len(self.change.steps) if isinstance(self.change, StatusChange) else 0)


@dataclass(frozen=True, slots=True)
class Bunch:
    """What a reader gets at once."""

    events: tuple[StreamEvent, ...]
    next: int
    """Where to go on: the `since` of the next call."""
    gap: bool = False
    """Changes before these are lost: look at everything anew."""


class StatusStream:
    """The ring. Sequences begin at the wall clock's microseconds, so that they grow across restarts."""

    def __init__(self, begin: int, *, most_kept: int = MOST_KEPT) -> None:
        """`begin`: the wall clock, in microseconds since the epoch."""
        self._ring: deque[StreamEvent] = deque()
        self._weight = 0
        self._most = most_kept
        self._first = begin + 1
        """The sequence of the oldest event that is kept, or of the next one."""
        self._arrived = anyio.Event()
        self.sequence = begin
        """That of the newest event."""

    def append(
        self,
        operation: Operation,
        resource_type: ResourceType,
        resource_id: str,
        environment_id: str,
        change: StatusChange | ServiceRecord | None = None,
        *,
        version: int = 0,
    ) -> None:
        """Tell everybody; what is told must have been saved."""
        self.sequence += 1
        event = StreamEvent(
            self.sequence, operation, resource_type, resource_id, environment_id, version, change
        )
        self._ring.append(event)
        self._weight += event.weight
        while self._weight > self._most and len(self._ring) > 1:
            self._weight -= self._ring.popleft().weight
        self._first = self._ring[0].sequence
        self.wake()

    def read(self, since: int, *, limit: int = 1000) -> Bunch:
        """What came after `since`, at most `limit`; nothing where there is nothing.

        A `since` that is unknown (of another daemon's life, too long ago) is a gap: what is left follows.
        """
        gap = not self._first - 1 <= since <= self.sequence
        begin = self._first - 1 if gap else since
        events = tuple(islice(self._after(begin), limit))
        return Bunch(events, events[-1].sequence if events else begin, gap)

    def about(self, resource_id: str) -> list[StreamEvent]:
        """What is kept about one resource, oldest first."""
        return [event for event in self._ring if event.resource_id == resource_id]

    def wake(self) -> None:
        """Let all readers look up, though nothing may have changed."""
        arrived, self._arrived = self._arrived, anyio.Event()
        arrived.set()

    async def changed(self) -> bool:
        """Return True at the next event, or when woken."""
        await self._arrived.wait()
        return True

    async def wait(self, since: int) -> Bunch:
        """As `read`, but waits for the first; returns at once where there is a gap."""
        while True:
            arrived = self._arrived
            bunch = self.read(since)
            if bunch.events or bunch.gap:
                return bunch
            await arrived.wait()

    def _after(self, sequence: int) -> Iterator[StreamEvent]:
        return islice(self._ring, max(sequence + 1 - self._first, 0), None)
