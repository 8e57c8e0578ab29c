"""The store on disk: ports.Store over one SQLite file in WAL mode, by one writer.

Knows transactions and what is remembered of open executions. Must not know the engine or where the file
comes from. Calls go straight to SQLite from the event loop: each is one short transaction, and a thread
for each would cost more than the call itself. `synchronous` NORMAL keeps every commit through a crash of
the process; a loss of power may take the last ones. FULL keeps those too, for one fsync a commit.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from phased.core.phases import TERMINAL_PHASES
from phased.core.status import StatusChange
from phased.errors import StaleVersion
from phased.ports import ExecutionRecord, ServiceRecord, StoredExecution
from phased.store import queries, rows, schema, services
from phased.store.failures import translated
from phased.store.migrations import MIGRATIONS
from phased.store.readonly import ReadonlyStore

if TYPE_CHECKING:
    from phased.store.access import SqliteAccess
    from phased.store.definitions import SqliteDefinitions
    from phased.store.firings import SqliteFirings
    from phased.store.history import SqliteHistory

Synchronous = Literal["normal", "full"]

_CHECKPOINT_PAGES = 4000
"""Pages of 4 KiB in the write-ahead log before they are copied into the file, which costs two fsyncs."""
_LOG_KEPT = 16 * 1024 * 1024
"""Bytes that the log may keep on disk after a checkpoint."""


@dataclass(slots=True)
class _Open:
    """Where the rows of an unfinished execution lie."""

    number: int
    phase: object = None
    """The phase that is saved, once that is known."""
    positions: dict[str, int] = field(default_factory=dict)
    """Of its steps, by step id: the order in which they were first saved."""


class SqliteStore:
    """Implements `ports.Store`. Make one with `open`; only one at a time may write to a file."""

    def __init__(self, connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
        """Use `open`."""
        self._connection = connection
        self._path = path
        self._synchronous = synchronous
        self._file: os.stat_result | None = None
        self._open: dict[str, _Open] = {}
        self._definitions: SqliteDefinitions | None = None
        self._access: SqliteAccess | None = None
        self._firings: SqliteFirings | None = None

    @property
    def definitions(self) -> SqliteDefinitions:
        """Environments and tasks in the same file; a foreground run never asks for them."""
        if self._definitions is None:
            from phased.store.definitions import SqliteDefinitions  # noqa: PLC0415 - as said above

            self._definitions = SqliteDefinitions(
                self._connection, self._path, lambda: self._transaction(durable=True)
            )
        return self._definitions

    @property
    def access(self) -> SqliteAccess:
        """Secrets and tokens, in the same file."""
        if self._access is None:
            from phased.store.access import SqliteAccess  # noqa: PLC0415 - as said above

            self._access = SqliteAccess(self._connection, self._path, lambda: self._transaction(durable=True))
        return self._access

    @property
    def firings(self) -> SqliteFirings:
        """Firings of triggers, in the same file."""
        if self._firings is None:
            from phased.store.firings import SqliteFirings  # noqa: PLC0415 - as said above

            self._firings = SqliteFirings(
                self._connection, self._path, lambda: self._transaction(durable=True)
            )
        return self._firings

    @property
    def history(self) -> SqliteHistory:
        """What retention asks and does."""
        from phased.store.history import SqliteHistory  # noqa: PLC0415 - as said above

        return SqliteHistory(self._connection, self._path, self._transaction)

    @classmethod
    def open(cls, path: Path, *, synchronous: Synchronous = "normal") -> SqliteStore:
        """Open the state file, brought up to date, or make it where there is none; its folder must exist.

        Raises StoreUnreadable, StoreTooNew (the file is left as it is), StoreFull, StoreError.
        """
        if path.exists() or path.is_symlink():
            schema.inspect(path)
        else:
            schema.create(path)
        with translated(path, "open"):
            connection = schema.connect_to(path, "mode=rw")
        try:
            with translated(path, "open"):
                connection.execute(
                    "SELECT count(*) FROM sqlite_master"
                ).fetchone()  # a truncated file fails here
                schema.check_version(path, schema.version_of(connection), len(MIGRATIONS))
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
                connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")
                connection.execute(f"PRAGMA synchronous = {synchronous}")
                connection.execute("PRAGMA foreign_keys = ON")
            schema.migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        store = cls(connection, path, synchronous)
        with translated(path, "open"):
            store._file = os.stat(path)
        return store

    @staticmethod
    def open_readonly(path: Path) -> ReadonlyStore:
        """The history for one who may not or must not write; see ReadonlyStore."""
        return ReadonlyStore(path)

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """Save new executions with their first status; all or none."""
        with self._transaction():
            for record, status in executions:
                cursor = self._connection.execute(rows.INSERT_EXECUTION, rows.execution_row(record))
                number = int(cursor.lastrowid or 0)
                self._connection.execute(rows.INSERT_STATUS, (*rows.status_row(status), number))
                self._open[record.id] = _Open(number)
            self._save_steps([status for _, status in executions])

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """Save new statuses, several of one execution in order; all or none. Raises StaleVersion."""
        if not changes:
            return
        with self._transaction():
            for change in changes:
                self._update(change)
            self._save_steps(changes)
        for change in changes:
            if change.phase in TERMINAL_PHASES:
                self._open.pop(change.execution_id, None)

    async def get(self, execution_id: str) -> StoredExecution | None:
        """One execution, or None."""
        with translated(self._path, "read"):
            return queries.get(self._connection, execution_id)

    async def find(self, prefix: str) -> list[StoredExecution]:
        """The executions whose id begins with `prefix`, at most ten, newest first."""
        with translated(self._path, "read"):
            return queries.find(self._connection, prefix)

    async def of_firings(self, firing_ids: Sequence[str]) -> list[StoredExecution]:
        """The executions of these firings, oldest first."""
        with translated(self._path, "read"):
            return queries.of_firings(self._connection, firing_ids)

    async def clearing(self) -> list[StoredExecution]:
        """The executions that have ended, and what they left behind is being ended."""
        with translated(self._path, "read"):
            return queries.clearing(self._connection)

    async def save_services(self, records: Sequence[ServiceRecord], *, durable: bool = False) -> None:
        """Save services, new ones and known ones; all or none. Raises StaleVersion."""
        with self._transaction(durable=durable):
            services.save(self._connection, records)

    async def list_services(self, environment_id: str | None = None) -> list[ServiceRecord]:
        """The services of an environment, or all, in the order in which they were first saved."""
        with translated(self._path, "read"):
            return services.listed(self._connection, environment_id)

    async def remove_services(self, service_ids: Sequence[str]) -> None:
        """Forget services."""
        with self._transaction(durable=True):
            services.remove(self._connection, service_ids)

    async def list(
        self, *, reference: str | None = None, unfinished: bool = False, limit: int = 100, offset: int = 0
    ) -> list[StoredExecution]:
        """Newest first (by creation, then id)."""
        with translated(self._path, "read"):
            return queries.page(
                self._connection, reference=reference, unfinished=unfinished, limit=limit, offset=offset
            )

    def lost(self) -> str | None:
        """Why what is saved is not found by whoever opens the file next, if so: it is not there any more.

        SQLite holds the file, so that no other one has its number meanwhile.
        """
        try:
            if self._file is None or os.path.samestat(self._file, os.stat(self._path)):
                return None
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            return None  # it cannot be seen; whether it can be written is another matter
        return (
            f"the file {self._path} was removed or replaced; put it back, or stop what runs and start the "
            "daemon again"
        )

    async def close(self) -> None:
        """Release the file; what is in the log goes into it. Further calls raise StoreError."""
        with translated(self._path, "close"):
            self._connection.close()

    def _update(self, change: StatusChange) -> None:
        known = self._known(change)
        version, phase, *others = rows.status_row(change)
        same = known.phase == phase
        values = (version, *(() if same else (phase,)), *others, known.number, change.expected_version)
        statement = rows.UPDATE_STATUS_ONLY if same else rows.UPDATE_STATUS
        known.phase = phase
        if self._connection.execute(statement, values).rowcount != 1:
            found = self._connection.execute(
                "SELECT version FROM statuses WHERE execution = ?", (known.number,)
            ).fetchone()
            raise StaleVersion(change.execution_id, change.expected_version, found[0] if found else None)

    def _known(self, change: StatusChange) -> _Open:
        known = self._open.get(change.execution_id)
        if known is None:
            row = self._connection.execute(
                "SELECT number FROM executions WHERE id = ?", (change.execution_id,)
            ).fetchone()
            if row is None:
                raise StaleVersion(change.execution_id, change.expected_version, None)
            steps = self._connection.execute("SELECT id, position FROM steps WHERE execution = ?", row)
            known = self._open[change.execution_id] = _Open(row[0], positions=dict(steps.fetchall()))
        return known

    def _save_steps(self, changes: Sequence[StatusChange]) -> None:
        """One row for each step that changed, however often it did."""
        newest: dict[tuple[int, int], rows.Row] = {}
        for change in changes:
            if change.steps:
                known = self._known(change)
                for step in change.steps:
                    position = known.positions.setdefault(step.id, len(known.positions))
                    newest[known.number, position] = rows.step_row(step)
        if newest:
            self._connection.executemany(rows.UPSERT_STEP, [(*key, *row) for key, row in newest.items()])

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[None]:
        """All or nothing. `durable`: it survives a loss of power, too, whatever `synchronous` says."""
        raised = durable and self._synchronous != "full"
        with translated(self._path, "write"):
            if raised:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            finally:
                if raised:
                    self._relax()

    def _relax(self) -> None:
        """Back to what settings say. Where that fails more is synchronised than need be; the call is done."""
        with suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _roll_back(self) -> None:
        """Undo; also what is remembered of rows, since some of them may be gone."""
        self._open.clear()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has done it already; the error that led here says more
