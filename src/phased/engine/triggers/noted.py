"""A firing that is carried out in the foreground: put on record before its first effect and after its last.

Knows records and the store of firings. Must not know how anything is shown or ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import uuid4

from phased.core.firing import FiringPart, FiringRecord
from phased.engine.engine import Origin
from phased.engine.registry import LiveExecution
from phased.engine.triggers.live import after_execution
from phased.ports import Clock, FiringStore


@dataclass(slots=True)
class NotedFiring:
    """One, and its executions."""

    store: FiringStore
    clock: Clock
    record: FiringRecord
    origin: Origin
    """Of its executions."""
    lives: list[LiveExecution] = field(default_factory=list)

    @classmethod
    async def open(
        cls, store: FiringStore, clock: Clock, environment_id: str, references: Sequence[str], origin: Origin
    ) -> Self:
        """Saved; nothing is started yet. Raises StoreError."""
        trigger = origin.started_by
        record = FiringRecord(
            str(uuid4()), environment_id, (trigger,), clock.wall(), origin.creator_id,
            origin.creator_principal, tuple(FiringPart(one, False, trigger) for one in references),
        )  # fmt: skip
        await store.save_firing(record)
        return cls(store, clock, record, replace(origin, firing_id=record.id))

    async def started(self, lives: Sequence[LiveExecution]) -> None:
        """These executions are created, and begin after this. Raises StoreError."""
        self.lives = list(lives)
        self.record = self.record.with_parts(*(
            replace(part, execution_id=live.record.id)
            for part, live in zip(self.record.parts, lives, strict=True)
        ))  # fmt: skip
        await self.store.save_firing(self.record)

    async def completed(self) -> None:
        """All have ended. Raises StoreError."""
        record = self.record.with_parts(*(
            after_execution(part, live.machine.status())
            for part, live in zip(self.record.parts, self.lives, strict=True)
        ))  # fmt: skip
        self.record = record.completed(self.clock.wall())
        await self.store.save_firing(self.record)
