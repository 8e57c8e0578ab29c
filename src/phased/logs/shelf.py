"""The folders of logs as retention sees them: what each takes, and its removal. Implements ports.LogShelf.

Knows folders and files on one disk. Must not know executions. The work is done in threads: a disk may be
slow, and there may be many folders.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

_PUNCH_AND_KEEP_SIZE: Final = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, linux/falloc.h
_SECTOR: Final = 512
"""Bytes of what st_blocks counts (stat(2))."""
_BLOCK: Final = 4096

_T = TypeVar("_T")


class Shelf:
    """All folders below `STATE/runs`."""

    def __init__(self, root: Path) -> None:
        """Reads nothing yet."""
        self._root = root

    async def names(self) -> list[str]:
        """Every folder."""
        return await _in_thread(lambda: sorted(_names(self._root)))

    async def measure(self, names: Sequence[str]) -> dict[str, int]:
        """The bytes on disk of each of these folders."""
        return await _in_thread(
            lambda: {name: sum(size for _, _, size in _files(self._root / name)) for name in names}
        )

    async def touched(self, name: str) -> int:
        """When something was last put into a folder or taken out of it; 0 where it is not there."""
        try:
            return (self._root / name).stat().st_mtime_ns // 1000
        except OSError:
            return 0

    async def remove(self, names: Sequence[str]) -> None:
        """Delete folders with all that is in them; what cannot be deleted stays."""

        def remove() -> None:
            for name in names:
                shutil.rmtree(self._root / name, ignore_errors=True)

        await _in_thread(remove)

    async def remove_sessions(self, name: str, kept: frozenset[str], before: int | None) -> None:
        """Delete the files of a folder, or the older ones; not those whose name before its dot is kept."""

        def remove() -> None:
            for path, changed, _ in _files(self._root / name):
                if path.name.partition(".")[0] not in kept and (before is None or changed < before):
                    path.unlink(missing_ok=True)

        await _in_thread(remove)

    async def shorten(self, name: str, by: int) -> int:
        """Drop the oldest bytes of a folder's longest log; how many, at most `by` (rounded)."""
        return await _in_thread(lambda: _shorten(self._root / name, by))


def _names(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _files(folder: Path) -> list[tuple[Path, int, int]]:
    """Path, time of the last change in microseconds, and bytes on disk of each file."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    found.append((Path(entry.path), facts.st_mtime_ns // 1000, facts.st_blocks * _SECTOR))
    except OSError:
        pass  # somebody deleted it meanwhile
    return found


def _shorten(folder: Path, by: int) -> int:
    """As what writes a log does beyond its budget: its size and every offset stay (fallocate(2))."""
    logs = [one for one in _files(folder) if one[0].name.endswith(".log")]
    if not logs:
        return 0
    path, _, before = max(logs, key=lambda one: one[2])
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        size = os.fstat(descriptor).st_size
        first = os.lseek(descriptor, 0, os.SEEK_DATA) if size else 0
        end = min(first + by, size) // _BLOCK * _BLOCK
        if end > 0:
            libc = ctypes.CDLL(None, use_errno=True)
            libc.fallocate(descriptor, _PUNCH_AND_KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(end))
        return max(before - os.fstat(descriptor).st_blocks * _SECTOR, 0)
    except OSError:
        return 0  # nothing of it is left, or the file system has no holes
    finally:
        os.close(descriptor)


async def _in_thread(work: Callable[[], _T]) -> _T:
    from anyio.to_thread import run_sync  # noqa: PLC0415 - heavy, and a foreground run needs it not

    return await run_sync(work)
