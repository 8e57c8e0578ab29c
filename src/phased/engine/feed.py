"""Who wants to know what changed: each subscriber gets the newest status of each execution, coalesced.

Knows statuses. Must not know who reads: a slow reader costs one merged change an execution, no more, and
never slows the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio

from phased.core.status import StatusChange
from phased.engine.view import merge


class Subscription:
    """What one reader has not read yet, by execution."""

    def __init__(self) -> None:
        """Nothing is waiting."""
        self._waiting: dict[str, StatusChange] = {}
        self._arrived = anyio.Event()

    def put(self, change: StatusChange) -> None:
        """Merge a change into what waits."""
        earlier = self._waiting.get(change.execution_id)
        self._waiting[change.execution_id] = change if earlier is None else merge(earlier, change)
        self._arrived.set()

    async def get(self) -> list[StatusChange]:
        """Everything that waits, at least one; each holds all steps that changed since the last read."""
        await self._arrived.wait()
        return self.take()

    def take(self) -> list[StatusChange]:
        """Everything that waits, perhaps nothing."""
        changes, self._waiting = list(self._waiting.values()), {}
        self._arrived = anyio.Event()
        return changes


class Feed:
    """All subscriptions."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._subscriptions: list[Subscription] = []

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """A subscription that is live before this returns."""
        subscription = Subscription()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def publish(self, changes: Sequence[StatusChange]) -> None:
        """Tell everybody."""
        for subscription in self._subscriptions:
            for change in changes:
                subscription.put(change)
