"""Environments and tasks that are forgotten: ports.DefinitionStore in dictionaries, beside a MemoryStore.

Knows records alone. Must not load SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from phased.contract.execution import TaskExecutionPhase
from phased.core.environment import EnvironmentRecord, ExecutionQuery, LastRun, TaskRecord
from phased.errors import StoreError
from phased.ports import StoredExecution

if TYPE_CHECKING:
    from phased.store.memory import MemoryStore

_SORTED_BY: Final[Mapping[str, Callable[[StoredExecution], int | str]]] = {
    "id": lambda one: one.record.id,
    "createdAt": lambda one: one.record.created_at,
    "startedAt": lambda one: one.status.started_at or 0,
    "completedAt": lambda one: one.status.completed_at or 0,
    "taskId": lambda one: one.record.task_id,
    "startedBy": lambda one: one.record.started_by,
    "phase": lambda one: list(TaskExecutionPhase).index(one.status.phase),
    "statusVersion": lambda one: one.status.version,
}


class MemoryDefinitions:
    """Implements `ports.DefinitionStore`; made by MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        """Nothing is defined."""
        self._store = store
        self._environments: dict[str, EnvironmentRecord] = {}
        self._tasks: dict[str, TaskRecord] = {}

    async def save_environments(self, records: Sequence[EnvironmentRecord]) -> None:
        """Keep environments; all or none."""
        self._store.check_open()
        self._environments.update((record.id, record) for record in records)

    async def list_environments(self) -> list[EnvironmentRecord]:
        """All, in the order in which they were first kept."""
        self._store.check_open()
        return list(self._environments.values())

    async def remove_environment(self, environment_id: str) -> list[str]:
        """Forget an environment and all that belongs to it; the ids of its executions and services."""
        self._store.check_open()
        self._environments.pop(environment_id, None)
        self._tasks = {
            one: task for one, task in self._tasks.items() if task.environment_id != environment_id
        }
        return list(self._store.remove_environment(environment_id))

    async def save_tasks(self, records: Sequence[TaskRecord], *, remove: Sequence[str] = ()) -> None:
        """Forget tasks, and keep others; all or none."""
        self._store.check_open()
        tasks = {one: task for one, task in self._tasks.items() if one not in set(remove)}
        tasks.update((record.id, record) for record in records)
        names = [(task.environment_id, task.reference) for task in tasks.values()]
        if len(set(names)) < len(names):
            raise StoreError("cannot write the state: two tasks of an environment have one reference")
        self._tasks = tasks

    async def list_tasks(self, environment_id: str | None = None) -> list[TaskRecord]:
        """The tasks of an environment, or all, oldest first."""
        self._store.check_open()
        found = [task for task in self._tasks.values() if environment_id in {None, task.environment_id}]
        return sorted(found, key=lambda task: (task.created_at, task.id))

    async def select(self, query: ExecutionQuery, limit: int) -> list[StoredExecution]:
        """The executions that are asked for."""
        key = _SORTED_BY[query.sort]
        found = sorted(self._matching(query), key=lambda one: one.record.id)
        found.sort(key=key, reverse=query.descending)
        return [one for one in found if _follows(key(one), one.record.id, query)][:limit]

    async def last_runs(self, task_ids: Sequence[str]) -> list[LastRun]:
        """The newest execution of each of these tasks that has any."""
        found = []
        for task_id in dict.fromkeys(task_ids):
            for one in await self.select(ExecutionQuery(task_ids=(task_id,)), 1):
                record, status = one.record, one.status
                found.append(
                    LastRun(
                        task_id, record.id, status.phase, record.created_at, status.started_at,
                        status.completed_at, status.failure_message, record.started_by,
                    )
                )  # fmt: skip
        return found

    async def count(self, query: ExecutionQuery, at_most: int) -> int:
        """How many there are, at most so many."""
        return min(len(self._matching(query)), at_most)

    def _matching(self, query: ExecutionQuery) -> list[StoredExecution]:
        self._store.check_open()
        return [
            one
            for one in self._store.stored()
            if _among(one.record.environment_id, query.environment_ids)
            and _among(one.record.task_id, query.task_ids)
            and _among(one.record.reference, query.references)
            and _among(one.status.phase, query.phases)
            and _among(one.record.started_by, query.triggers)
            and (query.created_from is None or one.record.created_at >= query.created_from)
            and (query.created_before is None or one.record.created_at < query.created_before)
        ]


def _among(value: object, wanted: Sequence[object]) -> bool:
    return not wanted or value in wanted


def _follows(value: int | str, identifier: str, query: ExecutionQuery) -> bool:
    if query.after is None:
        return True
    limit, last = query.after
    if value == limit:
        return identifier > last
    if isinstance(value, int) != isinstance(limit, int):
        return False
    return value < limit if query.descending else value > limit  # type: ignore[operator] # of one type
