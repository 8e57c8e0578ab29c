"""Who wants to know which services changed: each subscriber gets the newest record of each, coalesced.

Knows records. Must not know who reads: a slow reader costs one record a service, no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import anyio

from phased.ports import ServiceRecord


class ServiceSubscription:
    """What one reader has not read yet, by service."""

    def __init__(self) -> None:
        """Nothing is waiting."""
        self._waiting: dict[str, ServiceRecord] = {}
        self._arrived = anyio.Event()

    def put(self, record: ServiceRecord) -> None:
        """Newer replaces older."""
        self._waiting[record.id] = record
        self._arrived.set()

    async def get(self) -> list[ServiceRecord]:
        """Everything that waits, at least one."""
        await self._arrived.wait()
        records, self._waiting = list(self._waiting.values()), {}
        self._arrived = anyio.Event()
        return records


class ServiceWatcher(Protocol):
    """Who is told at once, and must not take its time."""

    def put(self, record: ServiceRecord) -> None:
        """A service has changed."""


class ServiceFeed:
    """All subscriptions."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._subscriptions: list[ServiceWatcher] = []

    def attach(self, watcher: ServiceWatcher) -> None:
        """Tell this one of every change, for as long as the engine lives."""
        self._subscriptions.append(watcher)

    @contextmanager
    def subscribe(self) -> Iterator[ServiceSubscription]:
        """A subscription that is live before this returns."""
        subscription = ServiceSubscription()
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def publish(self, records: Sequence[ServiceRecord]) -> None:
        """Tell everybody."""
        for subscription in self._subscriptions:
            for record in records:
                subscription.put(record)
