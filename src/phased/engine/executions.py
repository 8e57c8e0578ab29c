"""Executions over all environments: started by a task's id, listed in pages, found, stopped.

Knows the engine, the history and the definitions. Must not know SQLite or messages. What is shown of an
execution is what is saved of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from phased.core.environment import SORT_KEYS, ExecutionQuery, LastRun
from phased.engine.definitions.automations import Automations
from phased.engine.engine import Engine, Origin
from phased.engine.environments.environments import Environments
from phased.engine.paging import COUNTED_AT_MOST, Key, Page, PageRequest, key_of, token_of
from phased.errors import InvalidArgument, NotFound
from phased.ports import DefinitionStore, Store, StoredExecution

_ALL: Final = 1_000_000
"""More than can live at a time."""


class Executions:
    """All executions of a daemon."""

    def __init__(
        self,
        store: Store,
        history: DefinitionStore,
        engine: Engine,
        automations: Automations,
        environments: Environments,
    ) -> None:
        """Reads nothing yet."""
        self._store = store
        self._history = history
        self._engine = engine
        self._automations = automations
        self._environments = environments

    async def start(self, task_id: str, origin: Origin) -> StoredExecution:
        """A new execution of a task, begun and saved; it is not waited for.

        Raises NotFound, FailedPrecondition (its environment is not at work), PlanError, Unsupported,
        StoreError.
        """
        task = self._automations.task(task_id)
        (started,) = await self.fire(task.environment_id, [task.reference], origin)
        return started

    async def fire(
        self, environment_id: str, references: Sequence[str], origin: Origin
    ) -> list[StoredExecution]:
        """One execution for each of these tasks, as one firing: what several need runs once.

        Raises as `start`.
        """
        record = self._environments.check_at_work(environment_id)
        catalog = self._automations.catalog(environment_id)
        lives = await self._engine.fire(catalog, references, origin, workspace=Path(record.workspace))
        started = [live.stored() for live in lives]
        self._engine.begin(lives)
        return started

    async def get(self, execution_id: str) -> StoredExecution:
        """One execution as it is saved. Raises NotFound, StoreError."""
        found = await self._store.get(execution_id)
        if found is None:
            raise NotFound(f"cannot find an execution {execution_id!r}; `phased executions` shows them")
        return found

    async def alive(self, environment_ids: Iterable[str]) -> list[StoredExecution]:
        """Those in these environments that have not ended, as they are saved, oldest first."""
        environments = frozenset(environment_ids)
        found = await self._store.list(unfinished=True, limit=_ALL) if self._engine.lives else []
        return [one for one in reversed(found) if one.record.environment_id in environments]

    async def page(
        self, query: ExecutionQuery, request: PageRequest, *, counted: bool = False
    ) -> Page[StoredExecution]:
        """A page of those that are asked for; `counted`: with how many there are on all pages.

        Raises InvalidArgument for an unknown sort key or a token of another list, StoreError.
        """
        if query.sort not in SORT_KEYS:
            raise InvalidArgument(
                f"cannot sort executions by {query.sort[:100]!r}; there are: {', '.join(SORT_KEYS)}"
            )
        order = f"{query.sort}:{'desc' if query.descending else 'asc'}"
        after = key_of(request.token, order)
        found = await self._history.select(replace(query, after=after), request.limit + 1)
        chosen = tuple(found[: request.limit])
        more = len(found) > len(chosen)
        token = token_of(order, _key(chosen[-1], query.sort)) if more else ""
        if not counted:
            return Page(chosen, token)
        count = await self._history.count(query, COUNTED_AT_MOST + 1)
        return Page(chosen, token, min(count, COUNTED_AT_MOST), count <= COUNTED_AT_MOST)

    async def last_runs(self, task_ids: Sequence[str]) -> Mapping[str, LastRun]:
        """The newest execution of each of these tasks that has any, by the task's id. Raises StoreError."""
        return {one.task_id: one for one in await self._history.last_runs(task_ids)}

    async def stop(self, execution_id: str, by: str) -> None:
        """Ask an execution to stop; saved when this returns, its end is not waited for.

        Of one that has ended, what it left behind is ended. Raises NotFound, StoreError.
        """
        live = self._engine.live(execution_id)
        if live is None:
            live = self._engine.ended(await self.get(execution_id))
            if not await self._engine.left_by(live):
                return
        self._engine.stop([live], by)
        await self._engine.settled()


def _key(one: StoredExecution, sort: str) -> Key:
    """What an execution is sorted by; the same as the store's."""
    status, record = one.status, one.record
    values: dict[str, int | str] = {
        "id": record.id,
        "createdAt": record.created_at,
        "startedAt": status.started_at or 0,
        "completedAt": status.completed_at or 0,
        "taskId": record.task_id,
        "startedBy": record.started_by,
        "phase": status.phase.number,
        "statusVersion": status.version,
    }
    return values[sort], record.id
