"""The next version of this program in this process's place: same pid, same sockets, same hold on the state.

Knows descriptors, signals and execve(2). Must not know what is served. Sockets are handed over as a service
manager would (sd_listen_fds(3)), so that clients only wait; the lock goes along, so that nobody comes
between. Signals wait until the next version can hear them: the mask, and what is pending, survive execve(2),
and handlers do not.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from phased.errors import Unavailable
from phased.settings import environment_after_reload

HEEDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
"""The signals that ask a daemon for something."""
_FIRST: Final = 3
"""The descriptor of the first socket: SD_LISTEN_FDS_START."""
_OUT_OF_THE_WAY: Final = 64


@dataclass(frozen=True, slots=True)
class Handover:
    """What the next version gets; the descriptors are this object's own."""

    sockets: Sequence[int]
    lock: int
    owns_path: bool
    """Whether the unix socket is this daemon's own, so that its end removes it."""
    sequence: Callable[[], int]
    """The number of the last event that was told; to be asked when nothing more is."""
    stops: Collection[signal.Signals]
    """What asked for the end and was not obeyed; it may grow until the next version runs."""

    def run(self) -> None:
        """Become the next version, by the command line of this one. Raises Unavailable where that fails."""
        handed = (*self.sockets, self.lock)
        kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for one in handed]
        for place, descriptor in enumerate(kept, _FIRST):
            os.dup2(descriptor, place, inheritable=True)
        count = len(self.sockets)
        environment = environment_after_reload(
            count, _FIRST + count, self.sequence(), owns_path=self.owns_path
        )
        sys.stdout.flush()
        sys.stderr.flush()
        arguments = [sys.executable, *sys.orig_argv[1:]]
        _hold_back(self.stops)
        try:
            os.execve(sys.executable, arguments, environment)  # noqa: S606 - no shell is wanted
        except OSError as error:
            hear_again()
            raise Unavailable(
                f"cannot reload {sys.executable}: {error.strerror}; start the daemon again: what runs goes on"
            ) from error


def hear_again() -> None:
    """Get what has waited; to be called once there are handlers, and before a child inherits the mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def _hold_back(stops: Collection[signal.Signals]) -> None:
    """Let signals wait for the next version, and with them those that came earlier.

    A terminal's end was seen here: the next version finds no terminal, and would take SIGHUP for a reload.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    for number in tuple(stops):
        again = signal.SIGTERM if number == signal.SIGHUP else number
        signal.pthread_kill(threading.get_ident(), again)  # another thread would take what is sent to all


def check_next() -> Sequence[str]:
    """A command that shows whether the next version can be loaded at all: it ends with 0 then."""
    return (sys.executable, "-c", "import phased.cli.serve, phased.serving.serve")
