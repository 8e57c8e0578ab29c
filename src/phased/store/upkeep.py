"""Looking after a state file: is it whole, a copy of it, an earlier one in its place.

Knows files and SQLite's own checks. Must not know records. Nothing is ever lost by it: what stands in the
way of another file is moved aside, under a name that is told. `mending` saves what a damaged one still has.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from phased.errors import StoreError, StoreUnreadable
from phased.store import schema
from phased.store.failures import FOREIGN, translated
from phased.store.migrations import MIGRATIONS

SHOWN_AT_MOST: Final = 100
"""Problems of one file that are told; a damaged one may have millions."""


def check(path: Path) -> list[str]:
    """What is wrong with a state file, as phrases; [] where it is whole. Others may be using it.

    Reads all of it. Raises StoreUnreadable where it is none of ours at all, StoreTooNew, StoreError.
    """
    schema.inspect(path)
    try:
        with reading(path) as connection, translated(path, "check"):
            schema.check_version(path, schema.version_of(connection), len(MIGRATIONS))
            return _problems(connection)
    except StoreUnreadable as error:
        return [_reason(error)]


def _problems(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(f"PRAGMA integrity_check({SHOWN_AT_MOST})").fetchall()
    if rows == [("ok",)]:
        orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(SHOWN_AT_MOST)
        return [f"{table} {number} belongs to nothing in {parent}" for table, number, parent, _ in orphans]
    return [line for (text,) in rows for line in str(text).splitlines()]


def backup(path: Path, target: Path) -> None:
    """Copy the state, as it is at one moment, into a new file; others may go on writing to it.

    Raises StoreError where something has that name, or where the state is damaged; then there is no copy.
    """
    schema.inspect(path)
    if target.exists() or target.is_symlink():
        raise StoreError(f"cannot back up the state to {target}: something is there; give another name")
    if not target.parent.is_dir():
        raise StoreError(f"cannot back up the state to {target}: there is no such folder; make it first")
    partial = target.with_name(f"{target.name}.partial")
    with reading(path) as connection:
        try:
            with translated(path, "back up"):
                partial.unlink(missing_ok=True)
                schema.touch(partial)
                connection.execute("VACUUM INTO ?", (str(partial),))
                schema.move(partial, target)
        except StoreError:
            partial.unlink(missing_ok=True)
            raise


def restore(path: Path, source: Path) -> Path | None:
    """Put a copy of `source` in the state's place; where the former state is now, None where there was none.

    To be called by who holds the state directory. At every moment there is a state file, the former or the
    new one. Raises StoreUnreadable where `source` is damaged or none of ours, StoreTooNew, StoreError.
    """
    problems = check(source)
    if problems:
        raise StoreUnreadable(f"cannot restore the state from {source}: {problems[0]}; give another backup")
    new = path.with_name(f"{path.name}.new")
    with translated(path, "restore"):
        new.unlink(missing_ok=True)
    backup(source, new)
    return put_in_place(path, new, "replaced")


def put_in_place(path: Path, new: Path, word: str) -> Path | None:
    """Let `new` become the state file; the former one is kept beside it, `word` in its name, and returned."""
    with translated(path, "replace"):
        if not path.exists():
            _drop_log(path, _free_name(path, "lost"))
            schema.move(new, path)
            return None
        former = _free_name(path, word)
        _finish_log(path)
        os.link(path, former)
        _drop_log(path, former)
        schema.move(new, path)
        return former


def _finish_log(path: Path) -> None:
    """Let SQLite copy its log into the file, so that the former state is one file, where it still can."""
    try:
        schema.inspect(path)  # a log beside what is no database would be deleted
        with closing(schema.connect_to(path, "mode=rw")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (*FOREIGN, StoreError):
        return  # it is damaged; its log stays beside it, under its name


def _drop_log(path: Path, former: Path) -> None:
    """A log must never meet a file that it was not written for."""
    for end in ("-wal", "-shm"):
        log = path.with_name(f"{path.name}{end}")
        if log.exists():
            log.replace(former.with_name(f"{former.name}{end}"))


def _free_name(path: Path, word: str) -> Path:
    count = 1
    while (name := path.with_name(f"{path.name}.{word}-{count}")).exists():
        count += 1
    return name


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing; of a file with a log it sees that, too. Raises StoreError."""
    log = path.with_name(f"{path.name}-wal")
    immutable = "" if log.exists() and log.stat().st_size else "&immutable=1"
    with translated(path, "open"):
        connection = schema.connect_to(path, f"mode=ro{immutable}")
    with closing(connection):
        yield connection


def copy_aside(path: Path) -> Path:
    """A copy of a damaged state with its log, byte for byte, to work on. Raises StoreError."""
    copy = path.with_name(f"{path.name}.damaged")
    with translated(path, "copy"):
        for end in ("", "-wal"):
            source, target = (one.with_name(f"{one.name}{end}") for one in (path, copy))
            target.unlink(missing_ok=True)
            if source.exists():
                schema.touch(target)
                shutil.copyfile(source, target)
    return copy


def backups_of(path: Path) -> list[Path]:
    """Backups and former states beside a state file, newest first."""
    found = [
        one
        for one in path.parent.glob(f"{path.name}.*")
        if ".backup" in one.name or ".replaced-" in one.name
        if not one.name.endswith(("-wal", "-shm", ".partial"))
    ]
    return sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)


def _reason(error: StoreError) -> str:
    """Without what cannot be done, which the caller says."""
    return str(error).partition(": ")[2] or str(error)
