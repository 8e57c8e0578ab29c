"""What is asked of the tables; the same for the store that writes and for the one that only reads.

Knows connections and rows. Raises what SQLite raises: whoever calls translates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from phased.ports import StoredExecution
from phased.store.rows import SELECT_EXECUTIONS, SELECT_STEPS, Value, stored_execution

FOUND_AT_MOST = 10
"""How many executions a prefix of an id finds (ports.Store)."""

_PREFIX = frozenset("0123456789abcdef-")
_NEWEST_FIRST = "ORDER BY created_at DESC, id LIMIT ? OFFSET ?"


def get(connection: sqlite3.Connection, execution_id: str) -> StoredExecution | None:
    """One execution by its id."""
    found = _select(connection, "WHERE id = ?", (execution_id,))
    return found[0] if found else None


def find(connection: sqlite3.Connection, prefix: str) -> list[StoredExecution]:
    """By the beginning of the id; nothing where that cannot begin an id."""
    wanted = prefix.lower()
    if not is_prefix(wanted):
        return []
    # `g` follows every character that an id may have.
    where = f"WHERE id >= ? AND id < ? {_NEWEST_FIRST}"
    return _select(connection, where, (wanted, f"{wanted}g", FOUND_AT_MOST, 0))


def page(
    connection: sqlite3.Connection, *, reference: str | None, unfinished: bool, limit: int, offset: int
) -> list[StoredExecution]:
    """Newest first, as ports.Store.list."""
    wheres: list[str] = []
    values: list[Value] = []
    if reference is not None:
        wheres.append("reference = ?")
        values.append(reference)
    if unfinished:
        wheres.append("phase < 3")
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    return _select(connection, f"{where} {_NEWEST_FIRST}", (*values, max(limit, 0), max(offset, 0)))


def is_unfinished(connection: sqlite3.Connection, execution_id: str) -> bool:
    """Whether such an execution is there and has not ended; cheap: neither spec nor steps are read."""
    sql = "SELECT 1 FROM executions JOIN statuses ON execution = number WHERE id = ? AND phase < 3"
    return connection.execute(sql, (execution_id,)).fetchone() is not None


def is_prefix(text: str) -> bool:
    """Whether an id may begin so."""
    return _PREFIX.issuperset(text)


def _select(connection: sqlite3.Connection, tail: str, values: Sequence[Value]) -> list[StoredExecution]:
    rows = connection.execute(f"{SELECT_EXECUTIONS} {tail}", values).fetchall()
    return [stored_execution(row, connection.execute(SELECT_STEPS, (row[0],)).fetchall()) for row in rows]
