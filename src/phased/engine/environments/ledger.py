"""The records of all environments: read once, saved with every change, and told once they are saved.

Knows the store and the bulletin. Must not know what is done with an environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio

from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.core.environment import EnvironmentRecord
from phased.core.versions import next_version
from phased.engine.bulletin import Bulletin
from phased.errors import NotFound
from phased.ports import Clock, DefinitionStore


class Ledger:
    """What is known of environments. `load` before use; whatever saves raises StoreError."""

    def __init__(self, store: DefinitionStore, clock: Clock, bulletin: Bulletin) -> None:
        """Knows none yet."""
        self._store = store
        self._clock = clock
        self._bulletin = bulletin
        self._records: dict[str, EnvironmentRecord] = {}
        self._changed: dict[str, anyio.Event] = {}

    async def load(self) -> None:
        """Read what there is."""
        self._records = {record.id: record for record in await self._store.list_environments()}

    def all(self) -> list[EnvironmentRecord]:
        """Every environment, oldest first."""
        return list(self._records.values())

    def find(self, environment_id: str) -> EnvironmentRecord | None:
        """One environment, or None."""
        return self._records.get(environment_id)

    def record(self, environment_id: str) -> EnvironmentRecord:
        """One environment. Raises NotFound."""
        record = self.find(environment_id)
        if record is None:
            raise NotFound(
                f"cannot find an environment {environment_id!r}; `phased environment list` shows them"
            )
        return record

    async def until(
        self, environment_id: str, holds: Callable[[EnvironmentRecord], bool]
    ) -> EnvironmentRecord:
        """Wait for a state of an environment. Raises NotFound where it is gone, also while waiting."""
        while not holds(record := self.record(environment_id)):
            await self._changed.setdefault(environment_id, anyio.Event()).wait()
        return record

    async def add(self, record: EnvironmentRecord) -> None:
        """A new one."""
        record = replace(record, status_version=self._clock.wall())
        await self._store.save_environments([record])
        self._records[record.id] = record
        self._tell(Operation.CREATE, record)

    async def change(self, environment_id: str, **changes: Any) -> EnvironmentRecord:  # noqa: ANN401 - fields
        """Change the status of an environment; the record as it is now."""
        return await self._save(replace(self.record(environment_id), **changes), Operation.UPDATE_STATUS)

    async def change_spec(self, record: EnvironmentRecord) -> EnvironmentRecord:
        """Save a record whose spec, name or desired phase differs from what is known; as it is now."""
        version = next_version(record.spec_version, self._clock.wall())
        return await self._save(replace(record, spec_version=version), Operation.UPDATE)

    async def remove(self, environment_id: str) -> list[str]:
        """Forget one with all that belongs to it; the ids of what has logs."""
        with_logs = await self._store.remove_environment(environment_id)
        self._tell(Operation.DELETE, self._records.pop(environment_id))
        return with_logs

    async def _save(self, record: EnvironmentRecord, operation: Operation) -> EnvironmentRecord:
        version = next_version(record.status_version, self._clock.wall())
        record = replace(record, status_version=version)
        await self._store.save_environments([record])
        self._records[record.id] = record
        self._tell(operation, record)
        return record

    def _tell(self, operation: Operation, record: EnvironmentRecord) -> None:
        self._bulletin.tell(
            operation, ResourceType.ENVIRONMENT, record.id, record.id, record.creator_id,
            version=record.status_version,
        )  # fmt: skip
        changed = self._changed.pop(record.id, None)
        if changed is not None:
            changed.set()
