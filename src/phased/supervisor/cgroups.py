"""A cgroup of its own for each run, where cgroups of version 2 were delegated: nothing it starts leaves it.

Knows cgroupfs (cgroups(7)). Must not know results, logs or connections. This process goes into a run's cgroup
while it spawns, so nothing of the run is ever outside, and back; it enables no controllers (rule 21).
`cgroup.kill` then ends all of a run at once, however fast it forks. Where nothing was delegated, `directory`
is empty, and nothing here costs anything.
"""

from __future__ import annotations

import contextlib
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from phased.supervisor.steps import Run

AUTOMATIC, OFF = "auto", "off"
_PREFIX = "phased-"
_LONGEST_NAME = 200
_DELEGATED = ("user.delegate", "trusted.delegate")
"""What systemd marks the cgroup of a unit with `Delegate=yes` with, as an extended attribute."""


class Cgroups:
    """Those of one supervisor's runs."""

    __slots__ = ("_at", "_home", "_left", "directory")

    def __init__(self) -> None:
        """None: until `use` finds a place for them."""
        self.directory = ""
        self._home = ""
        """Where this process is, while it does not spawn."""
        self._at = ""
        """The cgroup of a run that this process is in."""
        self._left: set[str] = set()
        """Runs whose cgroup is there."""

    def use(self, where: str) -> None:
        """`auto`: this process's own cgroup, if it was delegated; `off`; or a directory of cgroupfs.

        Only where this process may go in and come back, and where there is `cgroup.kill` (since Linux 5.14).
        """
        if self.directory or where == OFF:
            return
        self._home = own_cgroup()
        found = self._home if where == AUTOMATIC else os.path.abspath(where)
        if not self._home or not os.path.exists(f"{found}/cgroup.kill"):
            return
        if where == AUTOMATIC and not _is_delegated(found):
            return
        with contextlib.suppress(OSError):
            _join(self._home)
            self.directory = found
            for name in os.listdir(found):
                if name.startswith(_PREFIX):  # of one that was killed: what is in use cannot be removed
                    remove(f"{found}/{name}")

    def enter(self, run_id: str) -> None:
        """What is spawned from now on is in this run's cgroup, if that can be."""
        path = path_of(self.directory, run_id)
        if not path:
            return
        try:
            os.mkdir(path)
            _join(path)
        except OSError:
            self.leave()
            with contextlib.suppress(OSError):
                os.rmdir(path)
            return
        self._at = path
        self._left.add(run_id)

    def leave(self) -> None:
        """Go back."""
        if self._at:
            with contextlib.suppress(OSError):
                _join(self._home)
                self._at = ""

    def kill(self, run_id: str) -> int:
        """SIGKILL to all in a run's cgroup, also to what they are forking; how many there were."""
        self.leave()
        path = path_of(self.directory, run_id)
        return kill_all(path) if path and path != self._at and run_id in self._left else 0

    def pids(self, run_id: str) -> list[int]:
        """What is in a run's cgroup itself."""
        return pids_in(path_of(self.directory, run_id)) if run_id in self._left else []

    def remove(self, run_id: str) -> None:
        """Its leader has ended: the cgroup goes with its last process."""
        if run_id in self._left and remove(path_of(self.directory, run_id)):
            self._left.discard(run_id)

    def remove_empty(self, living: Iterable[Run]) -> None:
        """The same for all but the runs that live."""
        if self._left:
            for run_id in self._left - {run.id for run in living}:
                self.remove(run_id)


def path_of(directory: str, run_id: str) -> str:
    """The cgroup of a run below `directory`; empty where there can be none."""
    if not directory or len(run_id) > _LONGEST_NAME or not run_id.replace("-", "").replace(".", "").isalnum():
        return ""
    return f"{directory}/{_PREFIX}{run_id}"


def runs_in_cgroup(pid: int) -> list[str]:
    """What a process's cgroups name as its runs, the uppermost first: a daemon in a step is the step's."""
    names = _cgroup_of(pid).split("/")
    return [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]


def pids_in(path: str) -> list[int]:
    """The processes in a cgroup itself; none where it is not there."""
    return pids_listed(f"{path}/cgroup.procs")


def pids_listed(path: str) -> list[int]:
    """What a file of the kernel's lists, read to its end; none where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = b""
            while more := file.read(1 << 16):
                text += more
    except OSError:
        return []
    return [int(word) for word in text.split()]


def kill_all(path: str) -> int:
    """SIGKILL to all in a cgroup and below it; how many were in it, 0 where it is not there."""
    count = len(pids_in(path))
    with contextlib.suppress(OSError):
        _write(f"{path}/cgroup.kill", b"1")
    return count


def remove(path: str) -> bool:
    """Remove a cgroup with those below it, which steps may have made; False while a process is in one."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EBUSY and pids_in(path):
            return False
    else:
        return True
    for folder in _deepest_first(path):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not os.path.exists(path)


def own_cgroup() -> str:
    """The directory of this process's own cgroup; empty where that cannot be found."""
    path = _cgroup_of(os.getpid())
    for mount_point, root in _mounts():
        if path == root or path.startswith(f"{root.rstrip('/')}/"):
            found = os.path.normpath(f"{mount_point}/{path[len(root) :]}")
            if os.getpid() in pids_in(found):
                return found
    return ""


def _is_delegated(path: str) -> bool:
    """A user can write to what was delegated, root everywhere: there systemd's mark counts."""
    if os.geteuid() != 0:
        return os.access(path, os.W_OK | os.X_OK) and os.access(f"{path}/cgroup.procs", os.W_OK)
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _cgroup_of(pid: int) -> str:
    """The path of a process's cgroup of version 2 in our own namespace; empty where there is none."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", "rb", buffering=0) as file:
        for line in file.read(1 << 16).split(b"\n"):
            if line.startswith(b"0::"):
                return os.fsdecode(line[3:])
    return ""


def _mounts() -> Iterator[tuple[str, str]]:
    """Where cgroups of version 2 are mounted, and which of them, proc_pid_mountinfo(5)."""
    with (
        contextlib.suppress(OSError),
        open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            mount, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                fields = mount.split()
                yield fields[4], fields[3]


def _deepest_first(path: str) -> list[str]:
    return [folder for folder, _, _ in os.walk(path, topdown=False)]


def _join(path: str) -> None:
    _write(f"{path}/cgroup.procs", b"0")


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
