"""Environments, tasks and questions to the history in the tables; ports.DefinitionStore over SQLite.

Knows the tables of migrations 1 to 5. Every change is made durable against a loss of power: it is what a
user said. Transactions and connection are those of the store that it is a part of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from phased.contract.base import from_json, to_json
from phased.contract.definitions import TaskDefinition
from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.environment_spec import EnvironmentSpec
from phased.core.environment import EnvironmentRecord, ExecutionQuery, LastRun, TaskRecord
from phased.ports import StoredExecution
from phased.store import queries
from phased.store.failures import translated
from phased.store.rows import PHASES, Value

_ENVIRONMENT: Final = (
    "id", "name", "workspace", "scratch", "phase", "desired", "created_at", "creator_id",
    "creator_principal", "spec", "spec_version", "status_version", "rest",
)  # fmt: skip
_REST: Final = (
    "annotations", "context_url", "session_id", "failures", "warnings", "has_content", "automations_file",
    "automations_failure", "last_started_at", "started_boot", "active_at", "active_source",
)  # fmt: skip
_TASK: Final = (
    "id", "environment_id", "reference", "definition", "created_at", "updated_at", "creator_id",
    "creator_principal", "spec_version",
)  # fmt: skip


def _upsert(table: str, columns: Sequence[str]) -> str:
    new = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES (?{', ?' * (len(columns) - 1)})"  # noqa: S608 - names from above
        f" ON CONFLICT (id) DO UPDATE SET {new}"
    )


_SAVE_ENVIRONMENT: Final = _upsert("environments", _ENVIRONMENT)
_SAVE_TASK: Final = _upsert("tasks", _TASK)
_SELECT_ENVIRONMENTS: Final = f"SELECT {', '.join(_ENVIRONMENT)} FROM environments ORDER BY number"  # noqa: S608 - as above
_SELECT_TASKS: Final = f"SELECT {', '.join(_TASK)} FROM tasks"  # noqa: S608 - as above


class SqliteDefinitions:
    """Implements `ports.DefinitionStore`; made by SqliteStore."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`transaction` is all or nothing, and durable."""
        self._connection = connection
        self._path = path
        self._transaction = transaction

    async def save_environments(self, records: Sequence[EnvironmentRecord]) -> None:
        """Save environments; all or none."""
        with self._transaction():
            self._connection.executemany(_SAVE_ENVIRONMENT, [_environment_row(record) for record in records])

    async def list_environments(self) -> list[EnvironmentRecord]:
        """All, in the order in which they were first saved."""
        with translated(self._path, "read"):
            return [_environment(row) for row in self._connection.execute(_SELECT_ENVIRONMENTS).fetchall()]

    async def remove_environment(self, environment_id: str) -> list[str]:
        """Forget an environment and all that belongs to it; the ids of its executions and services."""
        given = (environment_id,)
        with self._transaction():
            found: list[str] = []
            for table in ("executions", "services"):
                rows = self._connection.execute(f"SELECT id FROM {table} WHERE environment_id = ?", given)  # noqa: S608 - one of two names
                found += [row[0] for row in rows.fetchall()]
            for table in ("executions", "services", "tasks", "firings"):
                self._connection.execute(f"DELETE FROM {table} WHERE environment_id = ?", given)  # noqa: S608 - one of four names
            self._connection.execute("DELETE FROM environments WHERE id = ?", given)
        return found

    async def save_tasks(self, records: Sequence[TaskRecord], *, remove: Sequence[str] = ()) -> None:
        """Forget tasks, and save others; all or none."""
        with self._transaction():
            self._connection.executemany("DELETE FROM tasks WHERE id = ?", [(one,) for one in remove])
            self._connection.executemany(_SAVE_TASK, [_task_row(record) for record in records])

    async def list_tasks(self, environment_id: str | None = None) -> list[TaskRecord]:
        """The tasks of an environment, or all, oldest first."""
        where, values = (
            ("", ()) if environment_id is None else ("WHERE environment_id = ?", (environment_id,))
        )
        with translated(self._path, "read"):
            rows = self._connection.execute(f"{_SELECT_TASKS} {where} ORDER BY created_at, id", values)
            return [_task(row) for row in rows.fetchall()]

    async def select(self, query: ExecutionQuery, limit: int) -> list[StoredExecution]:
        """The executions that are asked for."""
        with translated(self._path, "read"):
            return queries.select(self._connection, query, PHASES.index, limit)

    async def last_runs(self, task_ids: Sequence[str]) -> list[LastRun]:
        """The newest execution of each of these tasks that has any."""
        with translated(self._path, "read"):
            return queries.last_runs(self._connection, task_ids, PHASES)

    async def count(self, query: ExecutionQuery, at_most: int) -> int:
        """How many there are, at most so many."""
        with translated(self._path, "read"):
            return queries.count(self._connection, query, PHASES.index, at_most)


def _environment_row(record: EnvironmentRecord) -> tuple[Value, ...]:
    rest = {name: getattr(record, name) for name in _REST}
    return (
        record.id, record.name, record.workspace, int(record.scratch), record.phase.value,
        record.desired.value, record.created_at, record.creator_id, record.creator_principal,
        to_json(record.spec), record.spec_version, record.status_version,
        json.dumps(rest | {"annotations": dict(record.annotations)}),
    )  # fmt: skip


def _environment(row: Sequence[Any]) -> EnvironmentRecord:
    """Fields of `rest` that an older version did not know have their defaults."""
    environment_id, name, workspace, scratch, phase, desired, created, creator, principal = row[:9]
    spec, spec_version, status_version, rest = row[9:]
    known = {key: value for key, value in json.loads(rest).items() if key in _REST}
    for several in ("failures", "warnings"):
        known[several] = tuple(known.get(several, ()))
    return EnvironmentRecord(
        environment_id, name, workspace, bool(scratch), EnvironmentPhase(phase), EnvironmentPhase(desired),
        created, creator, principal, from_json(EnvironmentSpec, spec), spec_version, status_version, **known,
    )  # fmt: skip


def _task_row(record: TaskRecord) -> tuple[Value, ...]:
    return (
        record.id, record.environment_id, record.reference, record.definition.model_dump_json(),
        record.created_at, record.updated_at, record.creator_id, record.creator_principal,
        record.spec_version,
    )  # fmt: skip


def _task(row: Sequence[Any]) -> TaskRecord:
    task_id, environment, _, definition, created, updated, creator, principal, spec_version = row
    made = TaskDefinition.model_validate_json(definition)
    return TaskRecord(task_id, environment, made, created, updated, creator, principal, spec_version)
