"""The files of one supervisor: its directory, lock, journal and socket, below `STATE/supervisors/`.

Knows paths and locks. Must not know what a journal says. Every generation has its own (rule 7), named by
a number that grows. Only a lock that can be taken proves that a supervisor is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket

_LONGEST_SOCKET_PATH = 107  # sun_path less its end, unix(7)


LOCK, LISTENER, FIRST = 3, 4, 5
"""The descriptors that a supervisor is started with: held lock, listening socket, first connection."""


class Generation:
    """Where one supervisor keeps what it has."""

    __slots__ = ("directory", "number")

    def __init__(self, root: str, number: int) -> None:
        """`root` is the folder of all supervisors of a state directory."""
        self.number = number
        self.directory = f"{root}/{number}"

    @property
    def lock(self) -> str:
        """Held by the supervisor as long as it lives."""
        return f"{self.directory}/lock"

    @property
    def journal(self) -> str:
        """What happened to its runs."""
        return f"{self.directory}/journal"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.directory}/socket"

    @property
    def errors(self) -> str:
        """Its standard error: empty, unless it has a bug."""
        return f"{self.directory}/errors"

    def take_lock(self) -> int | None:
        """The lock's descriptor, or None where a supervisor holds it. Raises OSError."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def listen(self) -> socket.socket:
        """Its listening socket, mode 0600. Raises OSError, also where the path is too long."""
        length = len(os.fsencode(self.address))
        if length > _LONGEST_SOCKET_PATH:
            raise OSError(
                0, f"the path of its socket has {length} bytes, the system allows {_LONGEST_SOCKET_PATH}"
            )
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self.address)
            os.chmod(self.address, 0o600)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        return listener

    def connect(self) -> socket.socket | None:
        """A connection, or None where nobody listens (any more, or yet)."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(1)  # a full backlog of a stopped supervisor would hold us
        try:
            connection.connect(self.address)
        except OSError:
            connection.close()
            return None
        return connection

    def remove(self) -> None:
        """Delete everything; whoever does must hold the lock, or know that it is free."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self.directory):
                os.unlink(f"{self.directory}/{name}")
            os.rmdir(self.directory)


def generations(root: str) -> list[Generation]:
    """All that have a directory, oldest first."""
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return []
    return [Generation(root, number) for number in sorted(int(name) for name in names if name.isdecimal())]


def create_generation(root: str, least: int = 1) -> Generation:
    """The next one, with a directory of its own; its number is at least `least`. Raises OSError."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    number = max([least - 1, *(generation.number for generation in generations(root))]) + 1
    generation = Generation(root, number)
    os.mkdir(generation.directory, 0o700)
    return generation
