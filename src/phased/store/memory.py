"""The store that forgets: ports.Store in dictionaries, for dry runs and tests.

Knows records alone. Must not load SQLite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from phased.core.phases import TERMINAL_PHASES
from phased.core.status import StatusChange, StepStatus
from phased.errors import StaleVersion, StoreError
from phased.ports import ExecutionRecord, ServiceRecord, StoredExecution

if TYPE_CHECKING:
    from phased.store.memory_access import MemoryAccess
    from phased.store.memory_definitions import MemoryDefinitions
    from phased.store.memory_firings import MemoryFirings

_FOUND_AT_MOST = 10
_PREFIX = frozenset("0123456789abcdef-")


@dataclass(slots=True)
class _Kept:
    record: ExecutionRecord
    newest: StatusChange
    steps: dict[str, StepStatus]

    def stored(self) -> StoredExecution:
        status = replace(self.newest, expected_version=0, steps=tuple(self.steps.values()))
        return StoredExecution(self.record, status)


class MemoryStore:
    """Implements `ports.Store`."""

    def __init__(self) -> None:
        """Empty."""
        self._kept: dict[str, _Kept] = {}
        self._services: dict[str, ServiceRecord] = {}
        self._closed = False
        self._definitions: MemoryDefinitions | None = None
        self._access: MemoryAccess | None = None
        self._firings: MemoryFirings | None = None

    @property
    def definitions(self) -> MemoryDefinitions:
        """Environments and tasks beside the executions; a dry run never asks for them."""
        if self._definitions is None:
            from phased.store.memory_definitions import MemoryDefinitions  # noqa: PLC0415 - as said above

            self._definitions = MemoryDefinitions(self)
        return self._definitions

    @property
    def access(self) -> MemoryAccess:
        """Secrets and tokens, forgotten with the rest."""
        if self._access is None:
            from phased.store.memory_access import MemoryAccess  # noqa: PLC0415 - as said above

            self._access = MemoryAccess(self.check_open)
        return self._access

    @property
    def firings(self) -> MemoryFirings:
        """Firings of triggers, forgotten with the rest."""
        if self._firings is None:
            from phased.store.memory_firings import MemoryFirings  # noqa: PLC0415 - as said above

            self._firings = MemoryFirings(self.check_open)
        return self._firings

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """Keep new executions with their first status; all or none."""
        self.check_open()
        ids = [record.id for record, _ in executions]
        twice = [one for position, one in enumerate(ids) if one in self._kept or one in ids[:position]]
        if twice:
            raise StoreError(f"cannot write the state: there is an execution {twice[0]} already")
        for record, status in executions:
            steps = {step.id: step for step in status.steps}
            self._kept[record.id] = _Kept(record, status, steps)

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """Keep new statuses, several of one execution in order; all or none. Raises StaleVersion."""
        self.check_open()
        versions: dict[str, int] = {}
        for change in changes:
            kept = self._kept.get(change.execution_id)
            found = versions.get(change.execution_id, kept.newest.version if kept else None)
            if found != change.expected_version:
                raise StaleVersion(change.execution_id, change.expected_version, found)
            versions[change.execution_id] = change.version
        for change in changes:
            kept = self._kept[change.execution_id]
            kept.newest = change
            kept.steps.update((step.id, step) for step in change.steps)

    async def get(self, execution_id: str) -> StoredExecution | None:
        """One execution, or None."""
        self.check_open()
        kept = self._kept.get(execution_id)
        return kept.stored() if kept else None

    async def find(self, prefix: str) -> list[StoredExecution]:
        """The executions whose id begins with `prefix`, at most ten, newest first."""
        self.check_open()
        wanted = prefix.lower()
        if not _PREFIX.issuperset(wanted):
            return []
        found = _newest_first(kept for kept in self._kept.values() if kept.record.id.startswith(wanted))
        return [kept.stored() for kept in found[:_FOUND_AT_MOST]]

    async def of_firings(self, firing_ids: Sequence[str]) -> list[StoredExecution]:
        """The executions of these firings, oldest first."""
        self.check_open()
        wanted = set(firing_ids)
        found = [kept for kept in self._kept.values() if kept.record.firing_id in wanted]
        return [kept.stored() for kept in reversed(_newest_first(found))]

    async def clearing(self) -> list[StoredExecution]:
        """The executions that have ended, and what they left behind is being ended."""
        self.check_open()
        return [one for one in self.stored() if one.status.clearing and one.status.phase in TERMINAL_PHASES]

    async def save_services(self, services: Sequence[ServiceRecord], *, durable: bool = False) -> None:  # noqa: ARG002 - nothing lasts here
        """Keep services, new ones and known ones; all or none. Raises StaleVersion."""
        self.check_open()
        kept = dict(self._services)
        for record in services:
            found, expected = kept.get(record.id), record.status.expected_version
            if (found.status.version if found else 0) != expected:
                raise StaleVersion(record.id, expected, found.status.version if found else None)
            kept[record.id] = replace(record, status=replace(record.status, expected_version=0))
        self._services = kept

    async def list_services(self, environment_id: str | None = None) -> list[ServiceRecord]:
        """The services of an environment, or all, in the order in which they were first kept."""
        self.check_open()
        return [one for one in self._services.values() if environment_id in {None, one.environment_id}]

    async def remove_services(self, service_ids: Sequence[str]) -> None:
        """Forget services."""
        self.check_open()
        for service_id in service_ids:
            self._services.pop(service_id, None)

    async def list(
        self, *, reference: str | None = None, unfinished: bool = False, limit: int = 100, offset: int = 0
    ) -> list[StoredExecution]:
        """Newest first (by creation, then id)."""
        self.check_open()
        found = _newest_first(
            kept
            for kept in self._kept.values()
            if (reference is None or kept.record.reference == reference)
            and not (unfinished and kept.newest.phase in TERMINAL_PHASES)
        )
        first = max(offset, 0)
        return [kept.stored() for kept in found[first : first + max(limit, 0)]]

    async def close(self) -> None:
        """Further calls raise StoreError."""
        self._closed = True

    def stored(self) -> Sequence[StoredExecution]:
        """Every execution."""
        return [kept.stored() for kept in self._kept.values()]

    def remove_environment(self, environment_id: str) -> Sequence[str]:
        """Forget the executions and services of an environment; their ids."""
        executions = [
            kept.record.id for kept in self._kept.values() if kept.record.environment_id == environment_id
        ]
        services = [one.id for one in self._services.values() if one.environment_id == environment_id]
        self._kept = {one: kept for one, kept in self._kept.items() if one not in set(executions)}
        self._services = {one: kept for one, kept in self._services.items() if one not in set(services)}
        self.firings.remove_environment(environment_id)
        return executions + services

    def check_open(self) -> None:
        """Raises StoreError where it is closed."""
        if self._closed:
            raise StoreError("cannot use the state: it is closed")


def _newest_first(found: Iterable[_Kept]) -> list[_Kept]:
    return sorted(found, key=lambda kept: (-kept.record.created_at, kept.record.id))
