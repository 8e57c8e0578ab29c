"""A firing that is carried out in the foreground: put on record before its first effect and after its last.

Knows records and the store of firings. Must not know how anything is shown or ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import uuid4

from phased.core.firing import FiringPart, FiringRecord, Result
from phased.engine.engine import Origin
from phased.engine.registry import LiveExecution
from phased.engine.triggers.live import NOT_AWAITED, after_execution, running_of
from phased.ports import Clock, FiringStore


@dataclass(slots=True)
class NotedFiring:
    """One, and its executions."""

    store: FiringStore
    clock: Clock
    record: FiringRecord
    origin: Origin
    """Of its executions."""
    lives: dict[str, LiveExecution] = field(default_factory=dict)
    """By reference."""

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

    def join(self, lives: Sequence[LiveExecution]) -> list[LiveExecution]:
        """Those of its tasks that this trigger started earlier and that still run: they are not started."""
        environment_id = self.record.environment_id
        found = [running_of(lives, environment_id, one.reference, one.trigger) for one in self.record.parts]
        joined = [live for live in found if live is not None]
        self._note(joined, joined=True)
        return joined

    async def started(self, lives: Sequence[LiveExecution]) -> None:
        """These executions are created, and begin after this. Raises StoreError."""
        self._note(lives, joined=False)
        await self.store.save_firing(self.record)

    async def failed(self, cause: str) -> None:
        """It could not be started. Raises StoreError."""
        self.record = self.record.completed(self.clock.wall(), cause=cause, result=Result.FAILED)
        await self.store.save_firing(self.record)

    async def completed(self) -> None:
        """All have ended, or are not waited for any more. Raises StoreError."""
        ended = [
            after_execution(part, self.lives[part.reference].machine.status()) for part in self.record.parts
        ]
        self.record = self.record.with_parts(*(
            part if part.ended else replace(part, result=Result.STOPPED, cause=NOT_AWAITED) for part in ended
        )).completed(self.clock.wall())  # fmt: skip
        await self.store.save_firing(self.record)

    def _note(self, lives: Sequence[LiveExecution], *, joined: bool) -> None:
        self.lives |= {live.record.reference: live for live in lives}
        mine = {live.record.reference: live.record.id for live in lives}
        self.record = self.record.with_parts(*(
            replace(part, execution_id=mine[part.reference], joined=joined)
            for part in self.record.parts
            if part.reference in mine
        ))  # fmt: skip
