"""Executions that have ended, as retention sees them: ports.HistoryStore over the store's own connection.

Knows the tables of executions. Must not know logs, nor why something is forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from phased.ports import PastExecution
from phased.store.failures import translated

_ENDED: Final = (
    "SELECT number, id, created_at FROM executions JOIN statuses ON execution = number"
    " WHERE {} AND phase >= 3 AND firing_id NOT IN (SELECT firing_id FROM executions WHERE number IN"
    " (SELECT execution FROM statuses INDEXED BY statuses_unfinished WHERE phase < 3))"
    " AND firing_id NOT IN (SELECT id FROM firings WHERE completed_at IS NULL)"
    " AND firing_id NOT IN (SELECT firing_id FROM services)"
    " ORDER BY created_at, id DESC LIMIT ?"
)
"""The order is that of executions_by_creation, backwards."""

_AT_ONCE: Final = 500
"""Variables of one statement."""


class SqliteHistory:
    """Implements `ports.HistoryStore`; made by SqliteStore."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`transaction` is all or nothing."""
        self._connection = connection
        self._path = path
        self._transaction = transaction

    async def surplus(self, *, keep: int | None, before: int | None, limit: int) -> list[PastExecution]:
        """Those that are not among the newest `keep`, and those that ended before this time; oldest first."""
        with translated(self._path, "read"):
            found: dict[str, PastExecution] = {}
            if keep is not None and (last := self._newest(keep)) is not None:
                created_at, execution_id = last
                where = "(created_at < ? OR (created_at = ? AND id > ?))"
                found |= self._ended(where, (created_at, created_at, execution_id), limit)
            if before is not None:
                found |= self._ended("created_at < ? AND completed_at < ?", (before, before), limit)
        return sorted(found.values(), key=lambda one: one.created_at)[:limit]

    def _newest(self, keep: int) -> tuple[int, str] | None:
        """Where the newest `keep` end: the last of them, or what every execution stands behind."""
        if keep <= 0:
            return 2**62, ""
        sql = "SELECT created_at, id FROM executions ORDER BY created_at DESC, id LIMIT 1 OFFSET ?"
        row = self._connection.execute(sql, (keep - 1,)).fetchone()
        return None if row is None else (row[0], row[1])

    def _ended(self, where: str, values: Sequence[Any], limit: int) -> dict[str, PastExecution]:
        rows = self._connection.execute(_ENDED.format(where), (*values, limit)).fetchall()
        return {row[1]: PastExecution(row[1], row[2], self._steps(row[0])) for row in rows}

    def _steps(self, number: int) -> frozenset[str]:
        rows = self._connection.execute("SELECT id, run_id FROM steps WHERE execution = ?", (number,))
        return frozenset(one.partition(".")[0] for row in rows.fetchall() for one in row if one)

    async def remove(self, execution_ids: Sequence[str]) -> None:
        """Forget these, with their statuses and steps; those that have not ended stay."""
        sql = (
            "DELETE FROM executions WHERE id = ?"
            " AND EXISTS (SELECT 1 FROM statuses WHERE execution = number AND phase >= 3)"
        )
        with self._transaction():
            self._connection.executemany(sql, [(one,) for one in execution_ids])

    async def known(self, execution_ids: Sequence[str]) -> set[str]:
        """Which of these there are."""
        found: set[str] = set()
        with translated(self._path, "read"):
            for begin in range(0, len(execution_ids), _AT_ONCE):
                some = execution_ids[begin : begin + _AT_ONCE]
                sql = f"SELECT id FROM executions WHERE id IN (?{', ?' * (len(some) - 1)})"  # noqa: S608 - only marks
                found |= {row[0] for row in self._connection.execute(sql, some)}
        return found

    async def oldest(self) -> int | None:
        """When the oldest execution or service was created; None where there is none."""
        sql = (
            "SELECT min(at) FROM (SELECT min(created_at) AS at FROM executions"
            " UNION ALL SELECT min(created_at) FROM services)"
        )
        with translated(self._path, "read"):
            found = self._connection.execute(sql).fetchone()[0]
        return None if found is None else int(found)
