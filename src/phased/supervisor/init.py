"""Process 1 of a container: starts the daemon, and again when it crashed; reaps all, forwards signals.

    python -I -S .../phased/supervisor/init.py COMMAND ARGUMENT...

If process 1 ends, the kernel ends all the rest (rule 24), so this stays as small as it can be: standard
library only, one thread, run as a plain file. Must not know what the daemon does. Steps that lost their
supervisor, and supervisors that lost their daemon, become its children and live on; the next daemon finds
them.
"""

import os
import signal
import sys
import time

_ASKS_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_FORWARDED = (*_ASKS_TO_END, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_HEARD = (*_FORWARDED, signal.SIGCHLD)
_PATIENCE = 9.0
"""Seconds from the first request to end to the end of all: `docker stop` kills after ten."""
_DAEMONS_LIMIT, _DAEMONS_SHARE = "PHASED_DAEMON_STOP_TIMEOUT", "7s"
"""Of these, what the daemon takes for work that it stops, unless it is told otherwise."""
_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a crashed daemon is started again; after `_CALM` seconds of life counted from the first."""
_CALM = 60.0
_HOPELESS = (2, 4)
"""Exit codes of a daemon that cannot start (settings; another one there), now or later."""
_LONG = 3600.0


def main(command: list[str]) -> int:
    """Be process 1; its exit code is the daemon's own, or 128 and the signal that ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    crashes = 0
    while True:
        began = time.monotonic()
        status, asked = _live(_start(command))
        if asked or status in (0, *_HOPELESS):
            return status
        crashes = 0 if time.monotonic() - began > _CALM else crashes
        pause = _PAUSES[min(crashes, len(_PAUSES) - 1)]
        crashes += 1
        _say(f"the daemon ended with {status}; it is started again in {pause:g} s, what runs goes on")
        if _is_asked_to_end_within(pause):
            return status


def _start(command: list[str]) -> int:
    environment = {_DAEMONS_LIMIT: _DAEMONS_SHARE, **os.environ}
    return os.posix_spawn(command[0], command, environment, setsigmask=())


def _live(daemon: int) -> tuple[int, bool]:
    """Until the daemon has ended: its exit code, and whether it was asked to end."""
    deadline = None
    while True:
        left = _LONG if deadline is None else deadline - time.monotonic()
        if left <= 0:
            _say("the daemon does not end in time; all is killed")
            return 128 + signal.SIGKILL, True
        found = signal.sigtimedwait(_HEARD, left)
        if found is not None and found.si_signo in _FORWARDED:
            os.kill(daemon, found.si_signo)  # not reaped yet, so the number is still its own
            if found.si_signo in _ASKS_TO_END and deadline is None:
                deadline = time.monotonic() + _PATIENCE
        status = _reap(daemon)
        if status is not None:
            return status, deadline is not None


def _is_asked_to_end_within(seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        found = signal.sigtimedwait(_HEARD, left)
        if found is not None and found.si_signo in _ASKS_TO_END:
            return True
        _reap(0)
    return False


def _reap(daemon: int) -> int | None:
    """Reap all that has ended; the daemon's exit code if that is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == daemon:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _say(text: str) -> None:
    os.write(2, f"phased: {text}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
