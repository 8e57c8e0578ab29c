"""A connection to a real database of which one statement, or each from one on, fails as on a bad disk.

A ROLLBACK never does: in WAL mode it only forgets.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phased.store import schema
from phased.store.migrations import MIGRATIONS
from phased.store.sqlite import SqliteStore

MESSAGES = {
    sqlite3.SQLITE_BUSY: "database is locked",
    sqlite3.SQLITE_FULL: "database or disk is full",
    sqlite3.SQLITE_IOERR: "disk I/O error",
}
"""The words of SQLite for each of these codes (sqlite3_errstr)."""


@dataclass
class Fault:
    """Which statement fails, and with what; `count` is how many there were."""

    code: int = sqlite3.SQLITE_FULL
    nth: int = 0
    """Counted from 1; 0: none."""
    lasting: bool = False
    """Every one from the nth on fails, until `heal`."""
    count: int = 0
    failed: int = 0

    def heal(self) -> None:
        """The disk works again."""
        self.nth, self.lasting = 0, False

    def meet(self, statement: str) -> None:
        """Let a statement pass, or raise what SQLite would."""
        if statement.startswith(("SELECT", "ROLLBACK")):
            return
        self.count += 1
        if not self.nth:
            return
        if self.count == self.nth or (self.lasting and self.count > self.nth):
            self.failed += 1
            error = sqlite3.OperationalError(MESSAGES[self.code])
            error.sqlite_errorcode = self.code
            raise error


class FailingConnection(sqlite3.Connection):
    """Asks its fault before each statement that is no question."""

    fault: Fault

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self.fault.meet(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> sqlite3.Cursor:
        self.fault.meet(sql)
        return super().executemany(sql, parameters)


def failing_store(fault: Fault, path: Path | None = None) -> SqliteStore:
    """A store over a state file that exists, or over a new one in memory; until it is open nothing fails."""
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, factory=FailingConnection)
    connection.fault = Fault()
    if path is None:
        schema.apply(connection, MIGRATIONS, 0)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.fault = fault
    return SqliteStore(connection, path or Path("in memory"), "normal")
