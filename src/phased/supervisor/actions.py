"""Everything the supervisor does to the outside, each as one method, so that the order can be tested.

A test's own entry wraps this object and kills the process between any two of its actions. It is also the
supervisor's one source of time.
"""

from __future__ import annotations

import os
import socket
import stat
import time

from phased.supervisor.identity import differs
from phased.supervisor.system import punch

_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SPLICE_NONBLOCK = 2  # SPLICE_F_NONBLOCK, linux/splice.h
SCM_RIGHTS = socket.SCM_RIGHTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Actions:
    """The real ones."""

    def __init__(self) -> None:
        """Steps have this process's ids, or its real ones where those differ."""
        self._as_another = differs()

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    def boot(self) -> float:
        """Seconds of the boot clock."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def open_log(self, path: str) -> tuple[int, int]:
        """A log to append to, and its size; created with mode 0600.

        O_NOFOLLOW and O_NONBLOCK: neither a symbolic link nor a FIFO in its place leads or holds us
        (rule 13). Raises OSError, also where it is no regular file.
        """
        descriptor = os.open(path, _LOG_FLAGS, 0o600)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError(0, "it is no regular file")
        if found.st_size:
            os.lseek(descriptor, 0, os.SEEK_END)
        return descriptor, found.st_size

    def append(self, descriptor: int, data: bytes) -> int:
        """Write to the journal; how much was written."""
        return os.write(descriptor, data)

    def spawn(
        self,
        argv: list[str],
        environment: dict[str, str],
        output: int,
        to_default: Iterable[int],
    ) -> int:
        """Start a command in a session of its own; its pid. `to_default` are signals."""
        spawn = os.posix_spawn if "/" in argv[0] else os.posix_spawnp
        return spawn(
            argv[0],
            argv,
            environment,
            file_actions=((os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)),
            setsid=True,
            setsigmask=(),
            setsigdef=to_default,
            resetids=self._as_another,
        )

    def reap(self) -> tuple[int, int]:
        """One child that ended, and its wait status; (0, 0) where none did. Raises ChildProcessError."""
        return os.waitpid(-1, os.WNOHANG)

    def splice(self, pipe: int, log: int, count: int) -> int:
        """Move output without copying it through here; 0 at its end. Raises BlockingIOError, OSError."""
        return os.splice(pipe, log, count, flags=_SPLICE_NONBLOCK)

    def punch(self, log: int, count: int) -> None:
        """Give back the blocks of a log's first bytes. Raises OSError, also where there are no holes."""
        punch(log, 0, count)

    def send(self, connection: socket.socket, data: bytes, descriptors: bytes) -> int:
        """Send what fits, with descriptors (as ints in an array's bytes) on its first byte."""
        if descriptors:
            return connection.sendmsg([data], [(socket.SOL_SOCKET, SCM_RIGHTS, descriptors)])
        return connection.send(data)
