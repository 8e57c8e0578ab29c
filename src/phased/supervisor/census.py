"""Which processes belong to which run, and signals to them: each identified first (rules 18 and 20).

Knows /proc. Must not know results, logs or connections. Ours is what descends from this process: it is a
subreaper, so whatever a step leaves behind becomes its child. Of which run it is, is told by the leader
it descends from, else by its mark, its environment or its session.
"""

from __future__ import annotations

import contextlib
import os
import signal

from phased.supervisor.cgroups import pids_listed, runs_in_cgroup
from phased.supervisor.spawning import RUN_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LISTS = 5
"""Lists of all processes in one look, at most: something forks and ends all the time."""
_TO_LOOK = 0.1
"""Seconds after which a look does not go on to newcomers: they may come faster than they are looked at."""
_NEWEST = 100
"""Newcomers that are looked at however late it is: of a chain of forks, the newest link is what lives."""
_ROUNDS_TO_STOP = 50
_ROUNDS = 5
"""Looks for newcomers while a signal is sent: a step may fork faster than it is stopped."""
_TO_STOP = 0.2
_TO_SIGNAL = 0.4
"""Seconds after which they are not looked for: who sends a signal has others to serve, and sends it again."""


class Process:
    """One line of /proc/PID/stat, as far as it says who this is."""

    __slots__ = ("group", "name", "parent", "pid", "session", "start", "state")

    def __init__(self, pid: int, stat: bytes) -> None:
        """Raises ValueError and IndexError where it is no such line."""
        end = stat.rindex(b")")
        fields = stat[end + 2 :].split(None, 20)
        self.pid = pid
        self.name = stat[stat.index(b"(") + 1 : end].decode("utf-8", "replace")
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.start = int(fields[19])

    @property
    def living(self) -> bool:
        """A zombie counts as ended (rule 19)."""
        return self.state not in "ZXx"


def look(pid: int) -> Process | None:
    """One process, or None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return Process(pid, file.read())
    except (OSError, ValueError, IndexError):
        return None


def everyone(is_late: Callable[[], bool] = lambda: False) -> dict[int, Process]:
    """All processes that can be seen.

    What ended while the list was read may have had a child that is not on it: then newcomers are looked for,
    so that a chain of forks is not taken for nothing; not when it is late.
    """
    found: dict[int, Process | None] = {}
    for _ in range(_LISTS):
        fresh = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if pid not in found]
        found.update((pid, look(pid)) for pid in fresh)
        if is_late() or all((process := found[pid]) is not None and process.living for pid in fresh):
            break
    return {pid: process for pid, process in found.items() if process is not None}


def children_of(pid: int, thread: int | str = 0) -> list[int]:
    """The children of a process's thread, the first if none is named (proc(5)); none where it is not told."""
    return pids_listed(f"/proc/{pid}/task/{thread or pid}/children")


def offspring_of(pid: int) -> list[int]:
    """The children of all threads of a process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [child for thread in threads for child in children_of(pid, thread)]


def family_of(root: int, clock: Callable[[], float]) -> dict[int, Process]:
    """All processes, with every child that `root` has now among them.

    `root` is this process, a subreaper that reaps none in here: so its children only become more, and what
    a link of a chain of forks left behind is one of them before that link is gone. Thus where no child of
    `root` lives here, none lived at the last look: a census alone can be outrun. Where many chains fork at
    once it ends early, with the newest of them: what is not reaped meanwhile would only make it slower.
    """
    until = clock() + _TO_LOOK
    processes = everyone(lambda: clock() > until)
    for _ in range(_ROUNDS_TO_STOP):
        children = children_of(root)
        fresh = [pid for pid in reversed(children) if pid not in processes]
        for pid in children:
            if pid in processes:
                processes[pid].parent = root
        for number, pid in enumerate(fresh):
            if number >= _NEWEST and clock() > until:
                break
            process = look(pid)
            if process is not None:
                processes[pid] = process
        if not fresh or clock() > until:
            break
    return processes


def elders(ancestor: int, processes: Mapping[int, Process]) -> dict[int, int]:
    """Every descendant of a process, with which of its children it descends from (or is)."""
    found: dict[int, int] = {}
    for pid in processes:
        path: list[int] = []
        at = pid
        while at not in found and at != ancestor and at in processes and at not in path:
            path.append(at)
            at = processes[at].parent
        if at == ancestor and path:
            elder = path[-1]
        elif at in found:
            elder = found[at]
        else:
            continue
        for member in path:
            found[member] = elder
    return found


class Kin:
    """What orphans of one supervisor are told apart by.

    `sessions`: session to run, also of ended leaders, whose number may have been used again: so it is asked
    last. `marks`: mark to run. `pipes`: inode of an output's pipe to run, as long as that pipe is there.
    `knows` says whether a run's id, as found in an environment, is one of ours. `in_cgroups`: whether runs
    have cgroups of their own, which tell most surely.
    """

    def __init__(
        self,
        sessions: Mapping[int, str],
        marks: Mapping[int, str],
        pipes: Mapping[int, str],
        knows: Callable[[str], bool],
        *,
        in_cgroups: bool = False,
    ) -> None:
        """Reads these tables as they are at each question."""
        self._sessions, self._marks, self._pipes, self._knows = sessions, marks, pipes, knows
        self._in_cgroups = in_cgroups

    def run_of(self, orphan: Process) -> str | None:
        """Its run, as far as the process itself shows it."""
        for named in runs_in_cgroup(orphan.pid) if self._in_cgroups else ():
            if self._knows(named):
                return named
        marked = self._marks.get(mark_of(orphan.pid))
        if marked is not None:
            return marked
        shown = run_in_environment(orphan.pid)
        if shown is not None and self._knows(shown):
            return shown
        for inode in pipes_of(orphan.pid) if self._pipes else ():
            if inode in self._pipes:
                return self._pipes[inode]
        return self._sessions.get(orphan.session)


class Census:
    """The processes of the runs of one supervisor (`root`); `leaders`: pid of living leader to run."""

    def __init__(self, root: int, leaders: Mapping[int, str], kin: Kin, clock: Callable[[], float]) -> None:
        """Looks once, now."""
        self._leaders, self._kin, self._root = leaders, kin, root
        self._processes = family_of(root, clock)
        self.members: dict[str, list[Process]] = {}
        """The living processes of each run; under "" those that no evidence gives to one."""
        self._place(elders(root, self._processes))

    def has_newcomers(self, run_id: str) -> bool:
        """Whether a run's processes, or those that came to `root` as orphans, have children not seen here."""
        if not os.path.exists(f"/proc/{self._root}/task/{self._root}/children"):
            return True  # the kernel was built without it, so that nobody can tell
        parents = [self._root, *(process.pid for process in self.members.get(run_id, ()))]
        return any(child not in self._processes for parent in parents for child in offspring_of(parent))

    def _place(self, elder_of: Mapping[int, int]) -> None:
        families: dict[int, list[Process]] = {}
        for pid, elder in elder_of.items():
            families.setdefault(elder, []).append(self._processes[pid])
        for elder, family in families.items():
            living = [process for process in family if process.living]
            if living:
                run_id = self._run_of_family(self._processes[elder], living)
                self.members.setdefault(run_id, []).extend(living)

    def _run_of_family(self, elder: Process, family: list[Process]) -> str:
        """The eldest decides; where nothing is known of it (a zombie, say), any of its descendants."""
        if elder.pid in self._leaders:
            return self._leaders[elder.pid]
        found = (self._kin.run_of(process) for process in [elder, *family])
        return next((run_id for run_id in found if run_id), "")


def run_in_environment(pid: int) -> str | None:
    """The run's id that a process was started with, if it still shows one."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = b"\0" + file.read(1 << 22)
    except OSError:
        return None
    _, found, rest = environment.partition(f"\0{RUN_VARIABLE}=".encode())
    return rest.partition(b"\0")[0].decode("utf-8", "replace") if found else None


def pipes_of(pid: int) -> dict[int, str]:
    """The pipes that a process has as its output or for its errors: inode, and a path to open it by.

    What lost its parents, its session and its variables may still write there, and a pipe is one run's alone.
    """
    found = {}
    for path in (f"/proc/{pid}/fd/1", f"/proc/{pid}/fd/2"):
        with contextlib.suppress(OSError):
            kind, _, inode = os.readlink(path).partition(":")
            if kind == "pipe":
                found[int(inode[1:-1])] = path
    return found


def mark_of(pid: int) -> int:
    """A process's soft RLIMIT_MSGQUEUE, -1 where it cannot be read or is unlimited.

    From /proc, since prlimit(2) fails across users (rule 20).
    """
    try:
        with open(f"/proc/{pid}/limits", "rb", buffering=0) as file:
            _, _, rest = file.read().partition(b"Max msgqueue size")
        return int(rest.split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return -1


def send_signal(process: Process, number: int, parent: int = 0) -> bool:
    """Send a signal to exactly this process; False where it is gone, or is not ours to signal.

    A child of ours (`parent`) that we did not reap cannot have been replaced; of any other, a descriptor is
    taken first and its start time compared then.
    """
    try:
        if parent and process.parent == parent:
            os.kill(process.pid, number)
            return True
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        now = look(process.pid)
        if now is None or now.start != process.start:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def signal_all(
    members: Callable[[], list[Process]], number: int, clock: Callable[[], float], parent: int = 0
) -> int:
    """Send a signal to every process that `members` finds, again for newcomers; how many got it.

    To be killed, all are stopped first, so that none can fork away meanwhile; what is asked to end is
    woken, should it have been stopped. `members` may reap before it looks, since what it tells of is
    signalled before it is asked again. It is asked at least once, and not for long: see `_TO_SIGNAL`.
    """
    begun = clock()
    if number == signal.SIGKILL:
        _each_once(members, signal.SIGSTOP, parent, _ROUNDS_TO_STOP, lambda: clock() - begun > _TO_STOP)
    return _each_once(members, number, parent, _ROUNDS, lambda: clock() - begun > _TO_SIGNAL)


def _each_once(
    members: Callable[[], list[Process]], number: int, parent: int, rounds: int, is_late: Callable[[], bool]
) -> int:
    seen: set[tuple[int, int]] = set()
    got = 0
    for _ in range(rounds):
        fresh = [process for process in members() if (process.pid, process.start) not in seen]
        for process in fresh:
            seen.add((process.pid, process.start))
            got += send_signal(process, number, parent)
            if number == signal.SIGTERM and process.state in "Tt":
                send_signal(process, signal.SIGCONT, parent)
        if not fresh or is_late():
            break
    return got


def identity_of_machine() -> dict[str, str]:
    """What a pid and a start time are unique in: boot, pid namespace, and its first process (rule 18)."""
    first = look(1)
    found = {"init": str(first.start) if first else "", "boot": "", "namespace": ""}
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            found["boot"] = file.read().strip()
        found["namespace"] = os.readlink("/proc/self/ns/pid")
    return found
