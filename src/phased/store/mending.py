"""A new state file of all that a damaged one still gives.

Knows how SQLite's tables can be read around what is damaged in them. Must not know records: rows are copied
as they are, and only what belongs together. The damaged file is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from phased.errors import StoreUnreadable
from phased.store import schema, upkeep
from phased.store.failures import translated
from phased.store.migrations import MIGRATIONS

_FAILURES: Final = 2000
"""Places of one table that may be damaged before the rest of it is given up."""

_OWNED: Final = ("statuses", "steps")
"""Their rows belong to an execution."""

_Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of it."""

    former: Path | None
    """Where the damaged file is now; None: nothing was damaged."""
    problems: Sequence[str] = ()
    saved: Mapping[str, int] = field(default_factory=dict)
    """Rows by table."""
    torn: int = 0
    """Executions that could not be kept, since a part of each is lost."""


def repair(path: Path) -> Repaired:
    """Put what can be read of a damaged state in its place. To be called by who holds the state directory.

    Raises StoreUnreadable where nothing can be read of it, naming the backups that there are; StoreTooNew,
    StoreFull, StoreError.
    """
    problems = upkeep.check(path)
    if not problems:
        return Repaired(None)
    copy = upkeep.copy_aside(path)
    new = path.with_name(f"{path.name}.new")
    try:
        with translated(copy, "repair"), closing(schema.connect_to(copy, "mode=rw")) as damaged:
            version = _version(path, damaged)
            new.unlink(missing_ok=True)
            schema.create(new, MIGRATIONS[:version])
            with closing(schema.connect_to(new, "mode=rw")) as mended:
                saved, torn = _copy(damaged, mended)
                mended.execute("PRAGMA journal_mode = DELETE")
        return Repaired(upkeep.put_in_place(path, new, "damaged"), problems, saved, torn)
    finally:
        for end in ("", "-wal", "-shm"):
            copy.with_name(f"{copy.name}{end}").unlink(missing_ok=True)


def _version(path: Path, damaged: sqlite3.Connection) -> int:
    """Of its schema. Raises StoreUnreadable where not even that can be read."""
    try:
        damaged.execute("SELECT count(*) FROM sqlite_master").fetchone()
        version = schema.version_of(damaged)
    except sqlite3.DatabaseError as error:
        backups = ", ".join(str(one) for one in upkeep.backups_of(path)) or "there are none beside it"
        raise StoreUnreadable(
            f"cannot repair the state {path}: its list of tables is damaged ({error}); restore a backup with "
            f"`phased store restore FILE`: {backups}"
        ) from error
    schema.check_version(path, version, len(MIGRATIONS))
    return version


def _copy(damaged: sqlite3.Connection, mended: sqlite3.Connection) -> tuple[dict[str, int], int]:
    """All tables; how many rows of each, and how many executions were torn."""
    names = mended.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = [str(name) for (name,) in names if not str(name).startswith("sqlite_")]
    mended.execute("BEGIN")
    for table in sorted(tables, key=_OWNED.__contains__):
        columns = [row[1] for row in mended.execute(f"PRAGMA table_info({table})")]
        insert = f"INSERT OR IGNORE INTO {table} VALUES (?{', ?' * (len(columns) - 1)})"  # noqa: S608 - our own names
        mended.executemany(
            insert, _steps(damaged, mended, columns) if table == "steps" else _rows(damaged, table, columns)
        )
    torn = 0
    if "executions" in tables:
        torn = mended.execute(
            "DELETE FROM executions WHERE number NOT IN (SELECT execution FROM statuses)"
        ).rowcount
        for table in _OWNED:
            mended.execute(f"DELETE FROM {table} WHERE execution NOT IN (SELECT number FROM executions)")  # noqa: S608 - our own names
    mended.execute("COMMIT")
    return {
        table: int(mended.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - our own names
        for table in tables
    }, torn


def _steps(damaged: sqlite3.Connection, mended: sqlite3.Connection, columns: Sequence[str]) -> Iterator[_Row]:
    """Those of each execution that was saved: the table has no row numbers to go by."""
    select = f"SELECT {', '.join(columns)} FROM steps WHERE execution = ? ORDER BY position"  # noqa: S608 - our own names
    numbers = mended.execute("SELECT number FROM executions").fetchall()
    for number in numbers:
        yield from _until_damage(damaged, select, number)[0]


def _rows(damaged: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[_Row]:
    """By row number, from both ends of what is left, and then from both sides of its middle."""
    select = (
        f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED"  # noqa: S608 - our own names
        " WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    )
    ranges = [(-(2**62), 2**62)]
    failures = 0
    while ranges and failures < _FAILURES:
        low, high = ranges.pop()
        found, whole = _until_damage(damaged, select, (low, high))
        yield from (row[1:] for row in found)
        if whole:
            continue
        failures += 1
        low = found[-1][0] + 1 if found else low
        found, _ = _until_damage(damaged, f"{select} DESC", (low, high))
        yield from (row[1:] for row in found)
        high = found[-1][0] - 1 if found else high
        if low < high:
            middle = (low + high) // 2
            ranges += [(low, middle), (middle + 1, high)]


def _until_damage(damaged: sqlite3.Connection, select: str, values: Sequence[int]) -> tuple[list[_Row], bool]:
    """The rows that come before something is damaged, and whether these are all."""
    found: list[_Row] = []
    try:
        for row in damaged.execute(select, values):
            found.append(row)  # noqa: PERF402 - what came before an error is kept
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return found, False
    return found, True
