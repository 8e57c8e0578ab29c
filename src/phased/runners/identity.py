"""As whom steps run, and whose step a process is.

Knows users and /proc. Must not know runs' meaning or who may do what. A daemon that root runs never runs
steps as root by accident: they run as the workspace's owner, with that user's groups, home and login
environment, unless the setting run.user names another (rule 17).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phased.errors import PermissionDenied, RunnerError, SettingsError
from phased.supervisor.census import look

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT: Final = ("LANG", "LANGUAGE", "TZ")
"""Of the daemon's environment, what is the machine's and not root's; and what begins with LC_."""
_DEEPEST: Final = 1000
PASSABLE: Final = 0o711
"""Of a folder: others may pass through it to what is theirs, and not look around."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user as whom steps run."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    shell: str

    def environment(self, daemons: Mapping[str, str]) -> dict[str, str]:
        """The variables that a login begins with (login(1)), and the machine's language and zone."""
        kept = {name: value for name, value in daemons.items() if name in _KEPT or name.startswith("LC_")}
        own = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell, "PATH": _PATH}
        return {**kept, **own}


def person(uid: int) -> Person:
    """A user by number; one that the system does not list has no name, and / as home."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Person(uid, uid, (uid,), str(uid), "/", "/bin/sh")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Person(uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir or "/", entry.pw_shell or "/bin/sh")


def user_of_steps(setting: str) -> int | None:
    """The uid that the setting run.user names; None where it is empty. Raises SettingsError."""
    if not setting:
        return None
    if setting.isascii() and setting.isdigit():
        return int(setting)
    try:
        return pwd.getpwnam(setting).pw_uid
    except KeyError:
        raise SettingsError(
            f"cannot run steps as {setting!r} (run.user): there is no such user on this machine"
        ) from None


def runs_as(directory: str, named: int | None) -> Person | None:
    """As whom steps in a directory run; None: as this process. Only root can run them as another.

    Raises RunnerError, as a phrase, where the directory's owner cannot be told.
    """
    if os.geteuid() != 0:
        return None
    try:
        uid = os.stat(directory).st_uid if named is None else named
    except (OSError, ValueError) as error:
        what = "no such directory" if isinstance(error, FileNotFoundError) else str(error)
        raise RunnerError(f"{what}: {directory}") from error
    return None if uid == 0 else person(uid)


def give_away(path: Path, who: Person) -> None:
    """Give a folder and all in it to a user, following no link. Raises RunnerError."""
    try:
        os.chmod(path.parent, PASSABLE)
        os.chown(path, who.uid, who.gid, follow_symlinks=False)
        for _, folders, files, folder in os.fwalk(path):
            for name in [*folders, *files]:
                os.chown(name, who.uid, who.gid, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raise RunnerError(
            f"cannot give {path} to {who.name}: {error.strerror}; look at it by hand"
        ) from error


def environment_of_step(
    pid: int, is_ours: Callable[[str], bool], supervisors: Collection[int] = ()
) -> str | None:
    """The environment whose step a process is, or comes from: its id; None for a process that is no step.

    `is_ours` says whether an environment's id is this daemon's: steps of other daemons are none of ours.
    The uppermost of a process's forebears that shows one decides: what it was started with, it cannot have
    chosen. Raises PermissionDenied for what comes from a supervisor of ours and shows nothing.
    """
    found: str | None = None
    for _ in range(_DEEPEST):
        shown = _shown(pid)
        if shown is not None and is_ours(shown):
            found = shown
        process = look(pid)
        if process is None or process.parent <= 1:
            return found
        if process.parent in supervisors:
            if found is None:
                raise PermissionDenied(
                    "cannot serve this process: it comes from a step, and does not show which; keep the "
                    "variables that begin with PHASED_"
                )
            return found
        pid = process.parent
    return found


def _shown(pid: int) -> str | None:
    """The environment's id that a process was started with, if it is a step's (it shows a run, too)."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            entries = file.read(1 << 22).split(b"\0")
    except OSError:
        return None
    values = dict(entry.split(b"=", 1) for entry in entries if entry.startswith(b"PHASED_") and b"=" in entry)
    if b"PHASED_RUN_ID" not in values:
        return None
    shown = values.get(b"PHASED_ENVIRONMENT_ID")
    return None if shown is None else shown.decode("utf-8", "replace")
