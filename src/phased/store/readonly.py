"""The store for who only reads: a command that shows history while another process writes, or none does.

Knows how SQLite treats its files beside the main one. Must not write: neither the state nor its log is
ever changed, and no file is made. Each call opens the file anew, since a writer may come and go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from phased.core.status import StatusChange
from phased.errors import StoreError
from phased.ports import ExecutionRecord, StoredExecution
from phased.store import queries, schema
from phased.store.failures import translated
from phased.store.migrations import MIGRATIONS

_Answer = TypeVar("_Answer")
_TRIES = 20

_Picture = tuple[int, int, int] | None


class ReadonlyStore:
    """The reading half of `ports.Store`; where there is no state file, there is no history.

    Raises StoreTooNew and StoreUnreadable from any call, as nothing is opened before.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._closed = False

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """Raises StoreError."""
        raise StoreError(
            f"cannot save {len(executions)} executions: the state {self._path} is open for reading only"
        )

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """Raises StoreError."""
        raise StoreError(
            f"cannot save {len(changes)} statuses: the state {self._path} is open for reading only"
        )

    async def get(self, execution_id: str) -> StoredExecution | None:
        """One execution, or None."""
        return self._ask(lambda connection: queries.get(connection, execution_id), None)

    async def find(self, prefix: str) -> list[StoredExecution]:
        """The executions whose id begins with `prefix`, at most ten, newest first."""
        return self._ask(lambda connection: queries.find(connection, prefix), [])

    async def sealed_values(self) -> list[tuple[str, bytes]]:
        """Every value that a secret has or had, encrypted, with the secret's id."""
        return self._ask(queries.sealed_values, [])

    async def list(
        self, *, reference: str | None = None, unfinished: bool = False, limit: int = 100, offset: int = 0
    ) -> list[StoredExecution]:
        """Newest first (by creation, then id)."""
        return self._ask(
            lambda connection: queries.page(
                connection, reference=reference, unfinished=unfinished, limit=limit, offset=offset
            ),
            [],
        )

    async def is_unfinished(self, execution_id: str) -> bool:
        """Whether such an execution is there and has not ended; cheap enough to ask at each change."""
        return self._ask(lambda connection: queries.is_unfinished(connection, execution_id), default=False)

    async def close(self) -> None:
        """Further calls raise StoreError."""
        self._closed = True

    def _ask(self, ask: Callable[[sqlite3.Connection], _Answer], default: _Answer) -> _Answer:
        """Ask again where the file changed under a reading that takes no locks."""
        if self._closed:
            raise StoreError(f"cannot read the state {self._path}: it is closed")
        for _ in range(_TRIES):
            before = self._picture()
            if before is None:
                return default
            locking = self._has_log()
            try:
                answer = self._read(ask, locking=locking)
            except StoreError:
                if self._picture() == before and self._has_log() == locking:
                    raise
                continue
            if locking or (self._picture() == before and not self._has_log()):
                return answer
        raise StoreError(f"cannot read the state {self._path}: it changes all the time; try again")

    def _read(self, ask: Callable[[sqlite3.Connection], _Answer], *, locking: bool) -> _Answer:
        """Without a log there is no writer, and `immutable` keeps SQLite from making one."""
        schema.inspect(self._path)
        parameters = "mode=ro" if locking else "mode=ro&immutable=1"
        with translated(self._path, "read"), closing(schema.connect_to(self._path, parameters)) as connection:
            found = schema.version_of(connection)
            schema.check_version(self._path, found, len(MIGRATIONS))
            if found < len(MIGRATIONS):
                with closing(schema.migrated_copy(connection)) as copy:
                    return ask(copy)
            connection.execute("BEGIN")  # one picture of the state for all that is asked
            return ask(connection)

    def _picture(self) -> _Picture:
        """What changes when somebody writes into the file itself; None where there is no file."""
        with translated(self._path, "read"):
            try:
                facts = self._path.stat()
            except FileNotFoundError:
                return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    def _has_log(self) -> bool:
        try:
            return self._path.with_name(f"{self._path.name}-wal").stat().st_size > 0
        except OSError:
            return False
