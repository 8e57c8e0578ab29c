"""What is asked of the tables; the same for the store that writes and for the one that only reads.

Knows connections and rows. Raises what SQLite raises: whoever calls translates.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from phased.contract.execution import TaskExecutionPhase
from phased.core.environment import LastRun
from phased.ports import StoredExecution
from phased.store.rows import SELECT_EXECUTIONS, SELECT_STEPS, Value, stored_execution

if TYPE_CHECKING:
    from phased.core.environment import ExecutionQuery

NumberOf = Callable[[TaskExecutionPhase], int]
"""The number under which a phase is stored."""

_SORTED_BY: Final[Mapping[str, str]] = {
    "id": "id",
    "createdAt": "created_at",
    "startedAt": "coalesce(started_at, 0)",
    "completedAt": "coalesce(completed_at, 0)",
    "taskId": "task_id",
    "startedBy": "started_by",
    "phase": "phase",
    "statusVersion": "version",
}
"""What is sorted by, for each of core.environment.SORT_KEYS."""

FOUND_AT_MOST = 10
"""How many executions a prefix of an id finds (ports.Store)."""

_PREFIX = frozenset("0123456789abcdef-")
_UNFINISHED = (
    "number IN (SELECT execution FROM statuses INDEXED BY statuses_unfinished WHERE phase < 3) AND phase < 3"
)
"""By its own index: else SQLite goes through the whole history in the order of `_NEWEST_FIRST`."""
_CLEARING = (
    "number IN (SELECT execution FROM statuses INDEXED BY statuses_clearing WHERE clearing_until NOT NULL)"
)
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
        wheres.append(_UNFINISHED)
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    return _select(connection, f"{where} {_NEWEST_FIRST}", (*values, max(limit, 0), max(offset, 0)))


def of_firings(connection: sqlite3.Connection, firing_ids: Sequence[str]) -> list[StoredExecution]:
    """As ports.Store.of_firings."""
    found: list[StoredExecution] = []
    for firing_id in dict.fromkeys(firing_ids):
        found += _select(connection, "WHERE firing_id = ?", (firing_id,))
    return sorted(found, key=lambda one: (one.record.created_at, one.record.id))


def clearing(connection: sqlite3.Connection) -> list[StoredExecution]:
    """As ports.Store.clearing."""
    return _select(connection, f"WHERE {_CLEARING} AND phase >= 3", ())


def select(
    connection: sqlite3.Connection, query: ExecutionQuery, number_of: NumberOf, limit: int
) -> list[StoredExecution]:
    """As ports.DefinitionStore.select."""
    wheres, values = _conditions(query, number_of)
    key = _SORTED_BY[query.sort]
    if query.after is not None:
        beyond = "<" if query.descending else ">"
        wheres.append(f"({key} {beyond} ? OR ({key} = ? AND id > ?))")
        values += [query.after[0], *query.after]
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    order = f"ORDER BY {key}{' DESC' if query.descending else ''}, id LIMIT ?"
    return _select(connection, f"{where} {order}", (*values, limit))


def last_runs(
    connection: sqlite3.Connection, task_ids: Sequence[str], phases: Sequence[TaskExecutionPhase]
) -> list[LastRun]:
    """As ports.DefinitionStore.last_runs; `phases` by the numbers under which they are stored."""
    sql = (
        "SELECT task_id, id, phase, created_at, started_at, completed_at, failure_message, started_by FROM"
        " executions JOIN statuses ON execution = number WHERE task_id = ?"
        " ORDER BY created_at DESC, id LIMIT 1"
    )
    rows = (connection.execute(sql, (task_id,)).fetchone() for task_id in task_ids)
    return [LastRun(row[0], row[1], phases[row[2]], *row[3:]) for row in rows if row is not None]


def count(connection: sqlite3.Connection, query: ExecutionQuery, number_of: NumberOf, at_most: int) -> int:
    """As ports.DefinitionStore.count."""
    wheres, values = _conditions(query, number_of)
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    inner = f"SELECT 1 FROM executions JOIN statuses ON execution = number {where} LIMIT ?"  # noqa: S608 - names from here
    row = connection.execute(f"SELECT count(*) FROM ({inner})", (*values, at_most)).fetchone()  # noqa: S608 - as above
    return int(row[0])


def _conditions(query: ExecutionQuery, number_of: NumberOf) -> tuple[list[str], list[Value]]:
    narrowed: Mapping[str, Sequence[Value]] = {
        "environment_id": query.environment_ids,
        "task_id": query.task_ids,
        "reference": query.references,
        "phase": [number_of(phase) for phase in query.phases],
        "started_by": query.triggers,
    }
    given = {column: wanted for column, wanted in narrowed.items() if wanted}
    wheres = [f"{column} IN (?{', ?' * (len(wanted) - 1)})" for column, wanted in given.items()]
    values: list[Value] = [value for wanted in given.values() for value in wanted]
    for condition, moment in (
        ("created_at >= ?", query.created_from),
        ("created_at < ?", query.created_before),
    ):
        if moment is not None:
            wheres.append(condition)
            values.append(moment)
    return wheres, values


def is_unfinished(connection: sqlite3.Connection, execution_id: str) -> bool:
    """Whether such an execution is there and has not ended; cheap: neither spec nor steps are read."""
    sql = "SELECT 1 FROM executions JOIN statuses ON execution = number WHERE id = ? AND phase < 3"
    return connection.execute(sql, (execution_id,)).fetchone() is not None


def sealed_values(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    """Every value that a secret has or had, encrypted, with the secret's id."""
    sql = "SELECT id, sealed FROM secrets UNION ALL SELECT secret_id, sealed FROM former_values"
    return [(str(row[0]), bytes(row[1])) for row in connection.execute(sql)]


def is_prefix(text: str) -> bool:
    """Whether an id may begin so."""
    return _PREFIX.issuperset(text)


def _select(connection: sqlite3.Connection, tail: str, values: Sequence[Value]) -> list[StoredExecution]:
    rows = connection.execute(f"{SELECT_EXECUTIONS} {tail}", values).fetchall()
    return [stored_execution(row, connection.execute(SELECT_STEPS, (row[0],)).fetchall()) for row in rows]
