"""The next version of this program in this process's place: same pid, same sockets, same hold on the state.

Knows descriptors and execve(2). Must not know what is served. Sockets are handed over as a service manager
would (sd_listen_fds(3)), so that clients only wait; the lock goes along, so that nobody comes between.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phased.errors import Unavailable
from phased.settings import environment_after_reload

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

    def run(self) -> None:
        """Become the next version, by the command line of this one. Raises Unavailable where that fails."""
        handed = (*self.sockets, self.lock)
        kept = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for one in handed]
        for place, descriptor in enumerate(kept, _FIRST):
            os.dup2(descriptor, place, inheritable=True)
        count = len(self.sockets)
        environment = environment_after_reload(count, _FIRST + count, owns_path=self.owns_path)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            arguments = [sys.executable, *sys.orig_argv[1:]]
            os.execve(sys.executable, arguments, environment)  # noqa: S606 - no shell is wanted
        except OSError as error:
            raise Unavailable(
                f"cannot reload {sys.executable}: {error.strerror}; start the daemon again: what runs goes on"
            ) from error


def check_next() -> Sequence[str]:
    """A command that shows whether the next version can be loaded at all: it ends with 0 then."""
    return (sys.executable, "-c", "import phased.cli.serve, phased.serving.serve")
