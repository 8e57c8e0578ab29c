"""Who wants to know what changed: each subscriber gets the newest status of each execution, coalesced.

Knows statuses. Must not know who reads: a slow reader costs one merged change an execution, no more, and
never slows the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import anyio

from phased.core.status import StatusChange, StepStatus


class _Waiting:
    """What waits of one execution. Changes are merged when they are read: that costs once, not each time."""

    __slots__ = ("expected", "newest", "steps")

    def __init__(self, change: StatusChange) -> None:
        self.expected = change.expected_version
        self.steps: dict[str, StepStatus] = {}
        self.put(change)

    def put(self, change: StatusChange) -> None:
        self.newest = change
        self.steps.update((step.id, step) for step in change.steps)

    def merged(self) -> StatusChange:
        return replace(self.newest, expected_version=self.expected, steps=tuple(self.steps.values()))


class Subscription:
    """What one reader has not read yet, by execution."""

    def __init__(self) -> None:
        """Nothing is waiting."""
        self._waiting: dict[str, _Waiting] = {}
        self._arrived = anyio.Event()

    def put(self, change: StatusChange) -> None:
        """Add a change to what waits."""
        waiting = self._waiting.get(change.execution_id)
        if waiting is None:
            self._waiting[change.execution_id] = _Waiting(change)
        else:
            waiting.put(change)
        self._arrived.set()

    def wake(self) -> None:
        """Let the reader look around, though nothing has changed."""
        self._arrived.set()

    async def get(self) -> list[StatusChange]:
        """Everything that waits; each holds all steps that changed since the last read.

        Waits for the first. Empty only where statuses cannot be saved, so that there is none to tell.
        """
        await self._arrived.wait()
        return self.take()

    def take(self) -> list[StatusChange]:
        """Everything that waits, perhaps nothing."""
        waiting, self._waiting = self._waiting, {}
        self._arrived = anyio.Event()
        return [one.merged() for one in waiting.values()]


class Listener(Protocol):
    """Who is told at once, and must not take its time."""

    def put(self, change: StatusChange) -> None:
        """An execution has a new status."""

    def wake(self) -> None:
        """The engine is in trouble."""


class Feed:
    """All subscriptions."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._subscriptions: list[Listener] = []

    def attach(self, listener: Listener) -> None:
        """Tell this one of every change, for as long as the engine lives."""
        self._subscriptions.append(listener)

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

    def wake(self) -> None:
        """The engine is in trouble: let everybody look."""
        for subscription in self._subscriptions:
            subscription.wake()
