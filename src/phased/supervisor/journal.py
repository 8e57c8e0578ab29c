"""The journal: what happened to each run, append only, one record a line, each with its checksum.

Knows records and disks. Must not know sockets or processes. Records are lists:

    [n, "born", at, {pid, start, boot, namespace, init, protocol}]     [n, "epoch", at, epoch]
    [n, "starting", at, run, log, inode of the pipe]
    [n, "started", at, run, pid, boot clock before, and after, mark, inode of its pipe]
    [n, "identity", at, run, pid, start time]     [n, "refused", at, run, reason]
    [n, "exited", at, run, wait status, note]     [n, "acknowledged", at, [run, ...]]
    [n, "closed", at, run]             [n, "ended", at]
    [n, "cgroup", at, directory of the cgroups of runs]

`n` counts from 0 (rule 6), `at` is microseconds since the epoch. Nothing is synchronised to the disk: what
a journal is for is the death of a process, and after the death of the machine no run lives (rule 5).
"""

from __future__ import annotations

import errno
import os
from json import dumps, loads
from json.encoder import encode_basestring_ascii as _quote
from zlib import crc32

from phased.supervisor import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from phased.supervisor.actions import Actions

_RESERVE = 1 << 16
_ROOM_TO_START = 1 << 13
"""Bytes that must be reserved and free before a run is started: room for the ends of those that run."""


class Journal:
    """One supervisor's journal. `record` remembers, `write` writes all of it with one call."""

    __slots__ = ("_actions", "_descriptor", "_pending", "_reserved", "_size", "_torn", "full", "number")

    def __init__(self, path: str, actions: Actions) -> None:
        """A new file. Raises OSError, also where it exists."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._actions = actions
        self._pending: list[str] = []
        self._size = self._reserved = 0
        self._torn = False
        self.number = 0
        """Of the next record."""
        self.full: str | None = None
        """Why nothing can be written, while that is so."""

    def record(self, what: str, at: int, *facts: object) -> None:
        """Remember for the next `write`."""
        body = f"[{','.join(map(_spell, (self.number, what, at, *facts)))}]"
        self._pending.append(f"{crc32(body.encode()):08x} {body}\n")
        self.number += 1

    def has_room(self) -> bool:
        """Whether a run may be started: its end must find room, also on a disk that fills (rule 14)."""
        if self.full is not None:
            self.write()
        if self._reserved - self._size < _ROOM_TO_START:
            self._reserve()
        return self.full is None and self._reserved - self._size >= _ROOM_TO_START

    def _reserve(self) -> None:
        """So that appends still work on a full disk."""
        try:
            system.reserve(self._descriptor, self._size, _RESERVE)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                return
        self._reserved = self._size + _RESERVE

    def write(self) -> None:
        """Write what is remembered, at once and whole; what does not fit stays for the next time."""
        if not self._pending:
            return
        data = ("\n" if self._torn else "").encode() + "".join(self._pending).encode()
        try:
            written = self._actions.append(self._descriptor, data)
        except OSError as error:
            self.full = error.strerror or str(error)
            return
        if written < len(data):
            self._undo()
            return
        self._pending.clear()
        self._size += written
        self.full, self._torn = None, False

    def _undo(self) -> None:
        """A short write is not an exception: back to where the first of these records began."""
        self.full = os.strerror(errno.ENOSPC)
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._torn = True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def _spell(fact: object) -> str:
    """One fact in JSON: `dumps` takes several times as long for these, four times a step."""
    if isinstance(fact, str):
        return _quote(fact)
    return repr(fact) if type(fact) in (int, float) else dumps(fact, separators=(",", ":"))


def read_journal(path: str) -> Iterator[list[Any]]:
    """Its whole records, oldest first; what is damaged or partial is left out. None where it is missing."""
    try:
        with open(path, "rb") as file:
            for line in file:
                body = line[9:-1]
                if line[-1:] == b"\n" and line[:9] == b"%08x " % crc32(body):
                    yield loads(body)
    except FileNotFoundError:
        return
