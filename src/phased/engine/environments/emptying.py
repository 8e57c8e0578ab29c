"""Ends everything that runs in an environment: executions, services, and what commands left behind.

Knows the engine and the history. Must not know records of environments.
"""

from __future__ import annotations

from typing import Final

from phased.core.environment import ExecutionQuery
from phased.core.service_phases import RESTING
from phased.engine.engine import Engine
from phased.engine.registry import LiveExecution
from phased.ports import DefinitionStore, StoredExecution

_AT_ONCE: Final = 200
"""Executions that are read at once where the history is searched for who left a process."""


class Emptying:
    """Whatever ends an environment."""

    def __init__(self, engine: Engine, store: DefinitionStore) -> None:
        """Ends nothing yet."""
        self._engine = engine
        self._store = store

    async def empty(self, environment_id: str, by: str, *, force: bool) -> tuple[str, ...]:
        """End all of it; returns when no process of it is left, with what could not be ended, as phrases.

        `force`: without waiting for anything to end by itself. Raises StoreError where ends are not saved.
        """
        while lives := self._lives(environment_id):
            self._engine.stop(lives, by)
            self._stop_services(environment_id, by)
            if force:
                self.kill(environment_id, by)
            for live in lives:
                await live.done.wait()
        self._stop_services(environment_id, by)
        if force:
            self.kill(environment_id, by)
        for service in self._engine.services.of(environment_id):
            await self._engine.services.until_rest(service)
        await self._engine.settled()
        return await self._end_leftovers(environment_id)

    def kill(self, environment_id: str, by: str) -> None:
        """Do not wait any longer for what is ending."""
        self._engine.kill(self._lives(environment_id), by)
        for live in self._engine.services.of(environment_id):
            if live.progress.state not in RESTING:
                self._engine.services.kill(live, by)

    async def delete_services(self, environment_id: str, by: str) -> list[str]:
        """Forget the services of an environment that has come to rest; their ids, once that is saved."""
        services = self._engine.services
        lives = services.of(environment_id)
        for live in lives:
            services.delete(live, by, force=True)
        for live in lives:
            await services.until_rest(live)
        await services.settled()
        return [live.id for live in lives]

    def _lives(self, environment_id: str) -> list[LiveExecution]:
        return [
            live
            for live in self._engine.lives
            if live.record.environment_id == environment_id and not live.done.is_set()
        ]

    def _stop_services(self, environment_id: str, by: str) -> None:
        for live in self._engine.services.of(environment_id):
            self._engine.services.stop(live, by)

    async def _end_leftovers(self, environment_id: str) -> tuple[str, ...]:
        """End what commands that ended left running; the history says whose it is."""
        left = {run_id.partition(".")[0] for run_id in await self._engine.leftovers()}
        mine: set[str] = set()
        query = ExecutionQuery(environment_ids=(environment_id,))
        while left - mine and (found := await self._store.select(query, _AT_ONCE)):
            mine |= left & {step.id for one in found for step in one.status.steps}
            query = ExecutionQuery(environment_ids=(environment_id,), after=_place(found[-1]))
        if not mine:
            return ()
        cause = await self._engine.end_leftovers(lambda run_id: run_id.partition(".")[0] in mine)
        return (cause,) if cause else ()


def _place(one: StoredExecution) -> tuple[int | str, str]:
    return one.record.created_at, one.record.id
