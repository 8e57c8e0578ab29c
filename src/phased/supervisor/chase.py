"""Chains of forks, whose links live shorter than a look at all processes takes: killed as they appear.

Knows /proc and the children of this process, a subreaper to which each link comes. Must not know runs.
"""

from __future__ import annotations

import contextlib
import os
import signal

from phased.supervisor.census import children_of, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from phased.supervisor.census import Process

_ROUNDS = 500
_LONGEST = 0.2
"""Lists of the children in one chase, and seconds for them."""
_NEWEST = 16
"""Looks between two lists: what has come last is what still lives."""
_HURRY = -15


def chase(
    leaders: Container[int],
    is_wanted: Callable[[Process], bool],
    reap: Callable[[], None],
    clock: Callable[[], float],
) -> int:
    """Kill the wanted ones of the children that are no leaders, until no new ones come; how many got it.

    `reap` is called between two lists: what was killed may have left a child, and the dead make lists long.
    """
    until = clock() + _LONGEST
    others: set[int] = set()
    killed: set[tuple[int, int]] = set()
    for _ in range(_ROUNDS):
        orphans = [pid for pid in children_of(os.getpid()) if pid not in leaders]
        others.intersection_update(orphans)
        fresh = [pid for pid in orphans if pid not in others]
        for pid in fresh[-_NEWEST:]:
            orphan = look(pid)
            if orphan is not None and orphan.living and is_wanted(orphan):
                os.kill(pid, signal.SIGKILL)  # a child that was not reaped meanwhile cannot be another
                killed.add((pid, orphan.start))
            else:
                others.add(pid)
        if not fresh or clock() > until:
            break
        reap()
    return len(killed)


@contextlib.contextmanager
def in_a_hurry() -> Iterator[None]:
    """Go before all steps, where that is allowed: a loop of forks leaves others little of the processors.

    Not always: whoever reads a pipe before its writer has filled it moves much output in small pieces.
    """
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    _take_priority(min(usual, _HURRY), _HURRY)
    try:
        yield
    finally:
        _take_priority(usual, 0)


def _take_priority(own: int, sessions: int) -> None:
    """Also of the session, if it is ours: kernels may share processors out among these first (sched(7))."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, own)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "wb", buffering=0) as file:
            file.write(b"%d" % sessions)
