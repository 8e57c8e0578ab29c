"""What `phased doctor` looks at: each check is a function that answers with findings and changes nothing.

Knows Linux, systemd's folders and where things lie. Must not know how findings are shown. A check that cannot
look says so; none raises.
"""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from phased.cli.connection import connected
from phased.cli.options import Common
from phased.cli.places import daemon_in_use
from phased.contract.phased_v1 import GetStatusRequest
from phased.errors import PhasedError

_LONGEST_SOCKET: Final = 107
"""Bytes of a unix socket's path (unix(7))."""
_SUPERVISORS: Final = "/users/4294967294/supervisors/999999/socket"
"""The longest that is put behind the state directory's path to make a supervisor's socket."""
_LITTLE: Final = 1 << 30
_TOO_LITTLE: Final = 64 << 20
_FEW_FILES: Final = 1024
_PATIENCE: Final = 20.0
_EARLIEST: Final = 1_704_067_200_000_000
"""2024-01-01 in microseconds: a clock before that was never set."""
_NETWORKED: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"})
"""File systems on which SQLite's write-ahead log does not work between processes, or locks may lie."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    name: str
    state: Literal["ok", "note", "error"]
    detail: str
    advice: str = ""


def examine(common: Common) -> Iterator[Finding]:
    """Every check, in order; without settings only those that need none."""
    try:
        _ = (common.settings.state_directory, common.settings.socket_path)
    except PhasedError as error:
        yield Finding("settings", "error", str(error))
    else:
        yield Finding("settings", "ok", "they can be read")
        for check in _BY_SETTINGS:
            yield from check(common)
    for alone in _ALONE:
        yield from alone()


# ---- by the settings --------------------------------------------------------------------------------


def check_daemon(common: Common) -> Iterator[Finding]:
    """Whether one answers."""
    try:
        address = daemon_in_use(common)
    except PhasedError as error:
        yield Finding("daemon", "error", str(error))
        return
    if address is None:
        yield Finding("daemon", "note", "none runs on this state directory", "start one: phased serve")
        return
    try:
        with connected(common, address) as daemon:
            daemon.client.get_status(GetStatusRequest())
    except PhasedError as error:
        yield Finding("daemon", "note", str(error))
    else:
        yield Finding("daemon", "ok", f"answers at {address}")


def check_socket(common: Common) -> Iterator[Finding]:
    """Whether the socket can be made where it belongs."""
    path = common.settings.socket_path
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET:
        detail = f"{path} is {length} bytes long; the system takes {_LONGEST_SOCKET}"
        yield Finding("socket", "error", detail, "give a shorter one with --socket or PHASED_SOCKET")
        return
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        yield _makeable("socket", path)
        return
    except OSError as error:
        yield Finding("socket", "error", f"{path}: {error.strerror}", "run this as the daemon's user")
        return
    if not stat.S_ISSOCK(mode):
        yield Finding("socket", "error", f"{path} is no socket", "remove it, or use --socket")
    elif not os.access(path, os.R_OK | os.W_OK):
        yield Finding("socket", "error", f"you may not use {path}", "run this as the daemon's user")
    else:
        yield Finding("socket", "ok", f"{path}, mode {stat.S_IMODE(mode):04o}")


def check_state(common: Common) -> Iterator[Finding]:
    """Whether the state directory can be used, and what it lies on."""
    path = common.settings.state_directory
    length = len(os.fsencode(path)) + len(_SUPERVISORS)
    if length > _LONGEST_SOCKET:
        most = _LONGEST_SOCKET - len(_SUPERVISORS)
        yield Finding(
            "state",
            "note",
            f"{path} is long: sockets below it may not fit",
            f"take one of at most {most} bytes with --state-dir",
        )
    if not path.exists():
        yield _makeable("state", path)
    elif not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("state", "error", f"{path} cannot be written by you", "run this as the daemon's user")
    elif os.stat(path).st_uid not in {os.geteuid(), 0}:
        yield Finding("state", "error", f"{path} belongs to another user", "give another with --state-dir")
    else:
        yield Finding("state", "ok", str(path))
    kind = _file_system(_existing(path))
    if kind in _NETWORKED:
        yield Finding(
            "state", "error", f"{path} lies on {kind}, where its database is not safe",
            "give one on a local disk with --state-dir",
        )  # fmt: skip


def check_disk(common: Common) -> Iterator[Finding]:
    """Whether there is space left for state and logs."""
    place = _existing(common.settings.state_directory)
    try:
        facts = os.statvfs(place)
    except OSError as error:
        yield Finding("disk", "note", f"{place}: {error.strerror}")
        return
    free = facts.f_bavail * facts.f_frsize
    detail = f"{free / (1 << 30):.1f} GiB free at {place}"
    if facts.f_files and facts.f_favail < 1000:
        yield Finding("disk", "error", f"{facts.f_favail} files can be made at {place}", "delete some")
    elif free < _TOO_LITTLE:
        yield Finding("disk", "error", detail, "make space: steps are refused when the disk is full")
    elif free < _LITTLE:
        yield Finding("disk", "note", detail, "history.keep_size limits what logs take")
    else:
        yield Finding("disk", "ok", detail)


def check_shell(common: Common) -> Iterator[Finding]:
    """Whether commands can run."""
    chosen = common.settings.run.shell
    if chosen:
        found: str | None = chosen if os.access(chosen, os.X_OK) else shutil.which(chosen)
        if found is None:
            yield Finding(
                "shell", "error", f"{chosen} (run.shell) cannot be run", "mend the setting run.shell"
            )
            return
    else:
        found = shutil.which("bash") or shutil.which("sh")
    if found is None:
        yield Finding("shell", "error", "there is neither bash nor sh", "install one, or set run.shell")
    else:
        yield Finding("shell", "ok", found)


def check_clock(common: Common) -> Iterator[Finding]:
    """Whether times can be right, and follow those of the history."""
    from phased import daemon  # noqa: PLC0415 - the composition root

    now = daemon.system_clock().wall()
    if now < _EARLIEST:
        yield Finding("clock", "error", "it was never set", "set it, or let systemd-timesyncd do it")
        return
    database = daemon.state_directory(common.settings).database
    try:
        newest = database.stat().st_mtime_ns // 1000
    except OSError:
        newest = 0
    if newest > now + 60_000_000:
        detail = f"it is {(newest - now) // 1_000_000} s behind the newest of the history"
        yield Finding("clock", "error", detail, "set it, or let systemd-timesyncd do it")
    elif Path("/run/systemd/system").exists() and not Path("/run/systemd/timesync/synchronized").exists():
        yield Finding("clock", "note", "systemd-timesyncd does not keep it; perhaps another program does")
    else:
        yield Finding("clock", "ok", "later than all of the history")


# ---- of the machine ---------------------------------------------------------------------------------


def check_docker() -> Iterator[Finding]:
    """Whether steps could run in containers."""
    program = shutil.which("docker") or shutil.which("podman")
    if program is None:
        yield Finding("docker", "note", "there is no docker and no podman: steps in containers cannot run")
        return
    said = _ask([program, "version", "--format", "{{.Server.Version}}"])
    if said is None:
        advice = "start it, or join its group; only steps in containers need it"
        yield Finding("docker", "note", f"{program}: its engine does not answer you", advice)
    else:
        yield Finding("docker", "ok", f"{program}, engine {said or 'of unknown version'}")


def check_cgroups() -> Iterator[Finding]:
    """Which cgroups there are: with version 2, where it is delegated, a stop ends a step at once."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        yield Finding("cgroups", "ok", "version 2")
    elif Path("/sys/fs/cgroup/unified/cgroup.controllers").exists():
        yield Finding("cgroups", "ok", "version 1, and 2 beside it")
    elif Path("/sys/fs/cgroup").is_dir() and any(Path("/sys/fs/cgroup").iterdir()):
        yield Finding("cgroups", "ok", "version 1")
    else:
        yield Finding("cgroups", "note", "none are mounted; steps run without")


def check_linger() -> Iterator[Finding]:
    """Whether a user's service outlives the user's last session."""
    from phased.settings import user_configuration  # noqa: PLC0415 - rarely needed

    base = user_configuration()
    if base is None or not (base / "systemd" / "user" / "phased.service").exists():
        yield Finding("linger", "ok", "no user service is installed that would need it")
        return
    import pwd  # noqa: PLC0415 - rarely needed

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    if Path("/var/lib/systemd/linger", name).exists():
        yield Finding("linger", "ok", f"services of {name} start with the machine")
    else:
        detail = f"services of {name} end with the last session"
        yield Finding("linger", "note", detail, "to keep them: loginctl enable-linger")


def check_limits() -> Iterator[Finding]:
    """Whether there are enough descriptors, and pidfds (pidfd_open(2), Linux 5.3)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft} open files, at most {'unlimited' if hard == resource.RLIM_INFINITY else hard}"
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        yield Finding("limits", "note", detail, f"ulimit -n {_FEW_FILES}, or LimitNOFILE= in the unit")
    else:
        yield Finding("limits", "ok", detail)
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        advice = "Linux 5.3 or newer has them"
        yield Finding("kernel", "error", f"Linux {os.uname().release} has no pidfds here", advice)
    else:
        yield Finding("kernel", "ok", f"Linux {os.uname().release}")


def _ask(command: Sequence[str]) -> str | None:
    """What a command prints, None where it fails or is silent for too long."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _existing(path: Path) -> Path:
    """The nearest folder above, or the path itself, that is there."""
    return next((one for one in [path, *path.parents] if one.exists()), Path("/"))


def _makeable(name: str, path: Path) -> Finding:
    above = _existing(path.parent)
    if os.access(above, os.W_OK | os.X_OK):
        return Finding(name, "ok", f"{path} will be made")
    option = "--socket" if name == "socket" else "--state-dir"
    advice = f"run this as the daemon's user, or give another with {option}"
    return Finding(name, "error", f"{path} cannot be made: you may not write into {above}", advice)


def _file_system(path: Path) -> str:
    """The kind of file system that a path lies on; "" where that cannot be told (proc_pid_mountinfo(5))."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split(" ")[4]
        if len(mount) >= len(best) and path.resolve().is_relative_to(mount):
            best, kind = mount, right.split(" ")[0]
    return kind


_BY_SETTINGS: Final[tuple[Callable[[Common], Iterator[Finding]], ...]] = (
    check_daemon,
    check_socket,
    check_state,
    check_disk,
    check_shell,
    check_clock,
)
_ALONE: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (
    check_limits,
    check_docker,
    check_cgroups,
    check_linger,
)
