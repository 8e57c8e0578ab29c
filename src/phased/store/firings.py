"""Firings of triggers in the tables; ports.FiringStore over SQLite.

Knows the table of migration 5. Every change is made durable against a loss of power: a firing is on record
before its first effect. Transactions and connection are those of the store that it is a part of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from phased.core.firing import FiringPart, FiringRecord, Result
from phased.store.failures import translated
from phased.store.rows import Value

KEPT: Final = 1000
"""Firings that are kept of an environment."""
_COLUMNS: Final = (
    "id", "environment_id", "triggers", "created_at", "completed_at", "result", "rest",
)  # fmt: skip
_REST: Final = ("creator_id", "creator_principal", "is_prebuild", "resumes", "cause")
_PART: Final = ("reference", "is_service", "trigger", "required", "execution_id", "joined", "cause")
_SAVE: Final = (
    f"INSERT INTO firings ({', '.join(_COLUMNS)}) VALUES (?{', ?' * (len(_COLUMNS) - 1)})"  # noqa: S608 - names from above
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM firings"  # noqa: S608 - as above
_TRIM: Final = (
    "DELETE FROM firings WHERE environment_id = ? AND completed_at IS NOT NULL AND number <= "
    "(SELECT max(number) FROM firings) - ? AND number NOT IN "
    "(SELECT number FROM firings WHERE environment_id = ? ORDER BY number DESC LIMIT ?)"
)


class SqliteFirings:
    """Implements `ports.FiringStore`; made by SqliteStore."""

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

    async def save_firing(self, record: FiringRecord) -> None:
        """Save a new firing, or a known one."""
        environment = record.environment_id
        with self._transaction():
            self._connection.execute(_SAVE, _row(record))
            self._connection.execute(_TRIM, (environment, KEPT, environment, KEPT))

    async def get_firing(self, firing_id: str) -> FiringRecord | None:
        """One firing, or None."""
        with translated(self._path, "read"):
            row = self._connection.execute(f"{_SELECT} WHERE id = ?", (firing_id,)).fetchone()
            return None if row is None else _record(row)

    async def list_firings(
        self, environment_id: str | None = None, *, unfinished: bool = False
    ) -> list[FiringRecord]:
        """Newest first."""
        wanted = ["completed_at IS NULL"] if unfinished else []
        values: tuple[Value, ...] = ()
        if environment_id is not None:
            wanted.append("environment_id = ?")
            values = (environment_id,)
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        with translated(self._path, "read"):
            rows = self._connection.execute(f"{_SELECT}{where} ORDER BY number DESC", values)
            return [_record(row) for row in rows.fetchall()]


def _row(record: FiringRecord) -> tuple[Value, ...]:
    rest = {name: getattr(record, name) for name in _REST}
    rest["parts"] = [
        {**{name: getattr(part, name) for name in _PART}, "result": part.result.value}
        for part in record.parts
    ]
    return (
        record.id, record.environment_id, json.dumps(record.triggers), record.created_at,
        record.completed_at, record.result.value, json.dumps(rest),
    )  # fmt: skip


def _record(row: Sequence[Any]) -> FiringRecord:
    """Fields that an older version did not know have their defaults."""
    firing_id, environment, triggers, created, completed, result, text = row
    rest = json.loads(text)
    parts = tuple(
        FiringPart(result=Result(part["result"]), **{name: part[name] for name in _PART if name in part})
        for part in rest["parts"]
    )
    known = {name: rest[name] for name in _REST if name in rest}
    return FiringRecord(
        firing_id, environment, tuple(json.loads(triggers)), created, parts=parts, result=Result(result),
        completed_at=completed, **known,
    )  # fmt: skip
