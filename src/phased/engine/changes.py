"""Who wants to know which resources changed: each subscriber gets every operation on every resource once.

Knows ids and operations alone. Must not know who reads: a slow reader costs a few words a resource, its
memory is bounded, and it never slows who publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.errors import FellBehind

MOST_WAITING: Final = 20_000
"""Operations that wait for one subscriber; with more it has fallen behind, and is told so."""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One operation on one resource; it may stand for several of its kind."""

    operation: Operation
    resource_type: ResourceType
    resource_id: str
    environment_id: str
    """The environment that it belongs to, or is."""
    creator_id: str = ""
    sequence: int = 0
    """Grows with each change that is published."""


Wants = Callable[[ResourceChange], bool]


class ChangeSubscription:
    """What one reader has not read yet."""

    def __init__(self, wants: Wants, most: int) -> None:
        """Nothing is waiting; `wants` says what is."""
        self._wants = wants
        self._most = most
        self._waiting: dict[tuple[ResourceType, str, Operation], ResourceChange] = {}
        self._arrived = anyio.Event()
        self._lost = False

    def put(self, change: ResourceChange) -> None:
        """Add a change to what waits: it takes the place of earlier ones that say no more than it."""
        if self._lost or not self._wants(change):
            return
        key = (change.resource_type, change.resource_id)
        if change.operation is Operation.DELETE:
            self._waiting.pop((*key, Operation.UPDATE), None)
            self._waiting.pop((*key, Operation.UPDATE_STATUS), None)
        self._waiting.pop((*key, change.operation), None)
        self._waiting[*key, change.operation] = change
        if len(self._waiting) > self._most:
            self._waiting.clear()
            self._lost = True
        self._arrived.set()

    def wake(self) -> None:
        """Let the reader look up, though nothing may have changed."""
        self._arrived.set()

    async def get(self) -> list[ResourceChange]:
        """Everything that waits, at least one unless woken, in the order of the newest of each kind.

        Raises FellBehind where more had changed than is kept; nothing comes after that.
        """
        await self._arrived.wait()
        return self.take()

    def take(self) -> list[ResourceChange]:
        """Everything that waits, perhaps nothing. Raises FellBehind."""
        if self._lost:
            raise FellBehind(
                f"cannot tell all changes: more than {self._most} wait to be read; watch anew and read faster"
            )
        waiting, self._waiting = self._waiting, {}
        self._arrived = anyio.Event()
        return list(waiting.values())


class ChangeFeed:
    """All subscriptions to changes of resources."""

    def __init__(self, *, most_waiting: int = MOST_WAITING) -> None:
        """Nobody listens; nothing has changed."""
        self._subscriptions: list[ChangeSubscription] = []
        self._most = most_waiting
        self.sequence = 0
        """That of the newest change."""

    @property
    def subscribers(self) -> int:
        """How many there are."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self, wants: Wants = lambda _: True) -> Iterator[ChangeSubscription]:
        """A subscription that is live before this returns; `wants` is asked of every change."""
        subscription = ChangeSubscription(wants, self._most)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def publish(
        self,
        operation: Operation,
        resource_type: ResourceType,
        resource_id: str,
        environment_id: str,
        creator_id: str = "",
    ) -> None:
        """Tell everybody; what is told must have been saved."""
        self.sequence += 1
        change = ResourceChange(
            operation, resource_type, resource_id, environment_id, creator_id, self.sequence
        )
        for subscription in self._subscriptions:
            subscription.put(change)
