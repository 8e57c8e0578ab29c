"""What SQLite and the file system raise, as errors of this program: one table, one door.

Knows the codes of SQLite. Must not know tables or records.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final

from phased.errors import StoreError, StoreFull, StoreUnreadable

FOREIGN: Final = (sqlite3.Error, sqlite3.Warning, OSError, OverflowError, ValueError)
"""All that the adapters may meet; ValueError is text or JSON that cannot be written or read."""

_RESTORE = (
    "take a backup (`phased store restore FILE`), save what can be read (`phased store repair`), or move it "
    "away to begin anew; it was left as it is"
)

_KINDS: Final[Mapping[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_BUSY: (StoreError, "another program has locked it; end that program and try again"),
    sqlite3.SQLITE_LOCKED: (StoreError, "another program has locked it; end that program and try again"),
    sqlite3.SQLITE_CORRUPT: (StoreUnreadable, f"it is damaged; {_RESTORE}"),
    sqlite3.SQLITE_NOTADB: (StoreUnreadable, f"it is no database; {_RESTORE}"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreUnreadable,
        "it cannot be opened; see that it is a file and that you may read it",
    ),
    sqlite3.SQLITE_PERM: (StoreUnreadable, "it may not be read; mend its permissions"),
    sqlite3.SQLITE_READONLY: (
        StoreError,
        "it may not be written; mend its permissions, or those of its folder",
    ),
    sqlite3.SQLITE_FULL: (StoreFull, "the disk is full; make room"),
}
"""By primary result code (https://www.sqlite.org/rescode.html); all others are StoreError as they come."""


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Raise what is foreign as StoreError or one of its kinds; `doing` is a verb: read, write, open."""
    try:
        yield
    except FOREIGN as error:
        raise store_error(error, path, doing) from error


def store_error(error: BaseException, path: Path, doing: str) -> StoreError:
    """The error of this program that a foreign one is."""
    kind, advice = _classify(error, path)
    return kind(f"cannot {doing} the state {path}: {advice}")


def unreadable(path: Path, reason: str) -> StoreUnreadable:
    """A state file that is not, or not fully, one of ours."""
    return StoreUnreadable(f"cannot open the state {path}: {reason}; {_RESTORE}")


def _classify(error: BaseException, path: Path) -> tuple[type[StoreError], str]:
    if isinstance(error, OSError):
        if error.errno in {ENOSPC, EDQUOT}:
            return _KINDS[sqlite3.SQLITE_FULL]
        unreadable_kinds = PermissionError | IsADirectoryError | NotADirectoryError
        kind = StoreUnreadable if isinstance(error, unreadable_kinds) else StoreError
        return kind, f"{error.strerror or error}; see that the folder exists and is yours"
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary == sqlite3.SQLITE_IOERR and _no_room(path):
        return _KINDS[sqlite3.SQLITE_FULL]
    if primary is not None and primary in _KINDS:
        return _KINDS[primary]
    return StoreError, f"{error}; try again, and look at the disk if it stays"


def _no_room(path: Path) -> bool:
    """Whether an error of input or output is one of space: growing the shared memory file says no more."""
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail == 0 or (room.f_files > 0 and room.f_favail == 0)
