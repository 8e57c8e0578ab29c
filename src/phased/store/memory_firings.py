"""Firings that are forgotten: ports.FiringStore in a dictionary, beside a MemoryStore.

Knows records alone. Must not load SQLite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from phased.core.firing import FiringRecord

_KEPT: Final = 1000


class MemoryFirings:
    """Implements `ports.FiringStore`; made by MemoryStore."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """`check_open` raises StoreError once the store is closed."""
        self._check_open = check_open
        self._kept: dict[str, FiringRecord] = {}

    async def save_firing(self, record: FiringRecord) -> None:
        """Keep a new firing, or a known one."""
        self._check_open()
        self._kept[record.id] = record
        mine = [one for one in self._kept.values() if one.environment_id == record.environment_id]
        for old in mine[:-_KEPT]:
            if old.completed_at is not None:
                del self._kept[old.id]

    async def get_firing(self, firing_id: str) -> FiringRecord | None:
        """One firing, or None."""
        self._check_open()
        return self._kept.get(firing_id)

    async def list_firings(
        self, environment_id: str | None = None, *, unfinished: bool = False
    ) -> list[FiringRecord]:
        """Newest first."""
        self._check_open()
        return [
            one
            for one in reversed(self._kept.values())
            if environment_id in {None, one.environment_id}
            and not (unfinished and one.completed_at is not None)
        ]

    def remove_environment(self, environment_id: str) -> None:
        """Forget those of an environment."""
        self._kept = {one: kept for one, kept in self._kept.items() if kept.environment_id != environment_id}
