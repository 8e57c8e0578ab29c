"""From a step's pipe into its log. Knows descriptors; must not know runs or connections.

A pipe, and not the file itself: scripts that reopen /dev/stderr would truncate a file (rule 10). The step
gets the pipe opened for both directions, so that it never gets SIGPIPE, whoever died (rule 11), and a
successor can open it again through /proc/PID/fd/1.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import termios

from phased.supervisor.identity import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from phased.supervisor.actions import Actions

_AT_ONCE = 1 << 20
_PAGE = 1 << 12
_PIPE = 1 << 16
_LARGE_PIPE = 1 << 20
_TRY_AGAIN = 1.0
"""Seconds between two tries to write to a log that could not be written to."""
_CANNOT_SPLICE = (errno.EINVAL, errno.ENOSYS, errno.EPERM)


def new_pipe() -> int:
    """The reading end of a pipe that nobody can write to yet. Raises OSError."""
    read, write = os.pipe()
    os.close(write)
    return read


def steps_end(pipe: int) -> int:
    """The end for the step, open for both directions. Raises OSError."""
    hand_over(pipe)
    return os.open(f"/proc/self/fd/{pipe}", os.O_RDWR | os.O_CLOEXEC)


class Output:
    """One step's output on its way. It owns both descriptors; `ended` after its end."""

    __slots__ = (
        "_actions",
        "_budget",
        "_copying",
        "_dropped",
        "_failed_at",
        "_gap",
        "_grown",
        "_log",
        "_lost",
        "_position",
        "ended",
        "note",
        "pipe",
    )

    def __init__(self, pipe: int, log: int, position: int, actions: Actions, budget: int = 0) -> None:
        """`position` is where the log ends now, `budget` the bytes of it that are kept, 0 all."""
        self.pipe = pipe
        self.ended = False
        self.note: str | None = None
        """What went wrong with the log, for people; stays once it did."""
        self._log = log
        self._position = position
        self._actions = actions
        self._budget = budget
        self._dropped = 0
        """So many of its first bytes were given back to the disk."""
        self._grown = self._copying = self._gap = False
        self._lost = 0
        self._failed_at = 0.0

    def pump(self) -> None:
        """Move what there is, at most about 1 MiB, so that others get their turn."""
        self._move(_AT_ONCE)

    def drain(self) -> None:
        """Move what is in the pipe now, and no more: children may write for ever (rule 12)."""
        left = self._waiting()
        while left > 0:
            moved = self._move(left)
            if not moved:
                return
            left -= moved
        self._move(_PAGE)  # sees the end, where this was all

    def _waiting(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self.pipe, termios.FIONREAD, count)
        return count[0]

    def _move(self, most: int) -> int:
        if self.ended:
            return 0
        if self._gap and not self._mend():
            return self._discard(most)
        if self._position:
            self._follow_truncation()
        try:
            moved = self._copy(most) if self._copying else self._actions.splice(self.pipe, self._log, most)
        except BlockingIOError:
            return 0
        except OSError as error:
            return self._failed(error, most)
        self._position += moved
        if self._budget and self._position - self._dropped > self._budget:
            self._drop_oldest()
        if moved == 0:
            self.ended = True
        elif moved >= _PIPE and not self._grown:
            self._grow()
        return moved

    def _grow(self) -> None:
        """Only the pipe of a step that fills it: there is a limit for each user (rule 10)."""
        self._grown = True
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, _LARGE_PIPE)

    def _follow_truncation(self) -> None:
        """Where somebody truncated the log, go on at its new end, not behind a hole."""
        size = os.fstat(self._log).st_size
        if size < self._position:
            self._position = os.lseek(self._log, size, os.SEEK_SET)
            self._dropped = min(self._dropped, size)

    def _drop_oldest(self) -> None:
        """Keep the log within its budget, with some room, as it grows in small pieces: whole blocks only.

        A block that is dropped in part would read as zeros, and nobody could tell that it is missing.
        """
        block = max(os.fstat(self._log).st_blksize, _PAGE)
        end = (self._position - self._budget + self._budget // 8) // block * block
        if end <= self._dropped:
            return
        try:
            self._actions.punch(self._log, end)
        except OSError as error:
            self._budget = 0
            self.note = f"its log is kept whole: no part of it can be dropped: {error.strerror}"
            return
        self._dropped = end

    def _copy(self, most: int) -> int:
        """For file systems that cannot splice."""
        os.set_blocking(self.pipe, False)
        data = os.read(self.pipe, min(most, _PIPE))
        written = 0
        while written < len(data):
            try:
                written += os.write(self._log, data[written:])
            except OSError:
                self._lost += len(data) - written
                self._position += written
                raise
        return written

    def _failed(self, error: OSError, most: int) -> int:
        if error.errno in _CANNOT_SPLICE and not self._copying:
            self._copying = True
            return self._move(most)
        self._gap = True
        self.note = f"output was lost: {error.strerror}"
        self._failed_at = self._actions.boot()
        return self._discard(most)

    def _discard(self, most: int) -> int:
        """Keep draining: the step must not hang (rule 15)."""
        os.set_blocking(self.pipe, False)
        try:
            gone = len(os.read(self.pipe, min(most, _LARGE_PIPE)))
        except BlockingIOError:
            return 0
        self._lost += gone
        self.ended = gone == 0
        return gone

    def _mend(self) -> bool:
        """Mark the gap and go on, where the log can be written to again."""
        now = self._actions.boot()
        if now - self._failed_at < _TRY_AGAIN:
            return False
        self._failed_at = now
        return self._mark_gap()

    def _mark_gap(self) -> bool:
        if not self._lost:
            self._gap = False
            return True
        mark = f"\n[phased: {self._lost} bytes of output are missing here; {self.note}]\n".encode()
        try:
            written = os.write(self._log, mark)
        except OSError:
            return False
        self._position += written
        if written < len(mark):
            return False
        self._lost, self._gap = 0, False
        return True

    def close(self) -> None:
        """Let go of both descriptors."""
        if self._gap:
            self._mark_gap()
        os.close(self.pipe)
        os.close(self._log)
