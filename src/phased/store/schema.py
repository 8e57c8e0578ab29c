"""The state file as a whole: made at once, checked before it is touched, brought up to date with a backup.

Knows SQLite's file header and the migrations. Must not know records.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from phased.errors import StoreError, StoreTooNew
from phased.store.failures import translated, unreadable
from phased.store.migrations import MIGRATIONS

APPLICATION_ID: Final = 0x70686173
"""`phas`, in the header of every state file (https://www.sqlite.org/fileformat.html)."""

BUSY_TIMEOUT: Final = 1.0
"""Seconds that a call may wait for another program's lock. It blocks the event loop, so it is short; in
WAL mode readers never hold up the one writer, only another writer (a person with a SQL shell) can."""

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER: Final = 100


def connect_to(path: Path, parameters: str) -> sqlite3.Connection:
    """A connection by URI (https://www.sqlite.org/uri.html) that begins no transactions by itself."""
    uri = f"{path.absolute().as_uri()}?{parameters}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT)


def inspect(path: Path, newest: int = len(MIGRATIONS)) -> None:
    """Look at the file's header, before SQLite does and touching nothing.

    Raises StoreUnreadable where it is none of ours, StoreTooNew where a newer version wrote it.
    """
    with translated(path, "open"), path.open("rb") as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise unreadable(path, "it is empty" if not header else "it is no database")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise unreadable(path, "it is another program's database")
    check_version(path, int.from_bytes(header[60:64], "big"), newest)


def check_version(path: Path, found: int, newest: int) -> None:
    """Raises StoreTooNew where `found` is a version that this program does not know."""
    if found > newest:
        raise StoreTooNew(
            f"cannot open the state {path}: a newer version wrote it (schema {found}, known up to {newest}); "
            "use that version, or another --state-dir"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations it has been through."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Make a new state file under another name and move it into place: a half-made one is never seen.

    Raises StoreUnreadable where the log of a lost file lies there: it would be applied to the new one.
    """
    log = path.with_name(f"{path.name}-wal")
    with translated(path, "create"):
        if log.exists() and log.stat().st_size:
            raise unreadable(path, f"the file is missing, but {log.name} is there")
        new = path.with_name(f"{path.name}.new")
        for leftover in (new, *(new.with_name(f"{new.name}{end}") for end in ("-journal", "-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        touch(new)
        with closing(connect_to(new, "mode=rw")) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # it is synchronised as a whole, below
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            apply(connection, migrations, 0)
            connection.execute("PRAGMA journal_mode = WAL")
        move(new, path)


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring an older state file up to date, one transaction a migration, after a backup beside it.

    Raises StoreTooNew; StoreError where a migration fails: then the file is as the last whole one left it.
    """
    with translated(path, "bring up to date"):
        found = version_of(connection)
        check_version(path, found, len(migrations))
        if found == len(migrations):
            return
        backup = _back_up(connection, path, found)
    try:
        with translated(path, "bring up to date"):
            apply(connection, migrations, found)
    except StoreError as error:
        raise type(error)(f"{error} (a backup of it as it was: {backup})") from error


def migrated_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """An older state, up to date, in memory: to be read where nothing may be written."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    apply(copy, MIGRATIONS, version_of(copy))
    return copy


def apply(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]], found: int) -> None:
    """The migrations from the version `found` on, one transaction each. Raises what SQLite raises."""
    for version, statements in enumerate(migrations[found:], start=found + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the whole state beside itself; an earlier backup is never overwritten."""
    partial = path.with_name(f"{path.name}.backup.partial")
    partial.unlink(missing_ok=True)
    touch(partial)
    connection.execute("VACUUM INTO ?", (str(partial),))
    name = f"{path.name}.v{version}.backup"
    backup, count = path.with_name(name), 1
    while backup.exists():
        backup, count = path.with_name(f"{name}.{count}"), count + 1
    move(partial, backup)
    return backup


def touch(path: Path) -> None:
    """Make an empty file for this user alone. Raises OSError, also where something has that name."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def move(source: Path, target: Path) -> None:
    """Rename, so that after a loss of power there is the whole file or none."""
    _synchronise(source, os.O_RDWR)
    source.replace(target)
    _synchronise(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def _synchronise(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
