"""Starting steps as another user than this process's: only for the supervisor of a daemon that root runs.

Knows uids. Must not know runs. The supervisor's real ids become the user's, while it keeps root's as
effective ones: it goes on to write journals and logs that are root's alone, and what it spawns with
POSIX_SPAWN_RESETIDS takes its real ids for all of its own (posix_spawnattr_setflags(3)), and with that loses
every capability (capabilities(7)).
"""

from __future__ import annotations

import contextlib
import os

FLAG = "--as"
"""Before the argument UID:GID:GROUP,GROUP,..."""


def take_on(text: str) -> None:
    """Have the real ids and the groups that `UID:GID:GROUPS` names. Raises OSError, ValueError."""
    uid, gid, groups = text.split(":")
    os.setgroups([int(group) for group in groups.split(",") if group])
    os.setresgid(int(gid), os.getegid(), os.getegid())
    os.setresuid(int(uid), os.geteuid(), os.geteuid())


def spell(uid: int, gid: int, groups: tuple[int, ...]) -> str:
    """What `take_on` reads."""
    return f"{uid}:{gid}:{','.join(map(str, groups))}"


def differs() -> bool:
    """Whether steps run as another user."""
    return os.getuid() != os.geteuid()


def hand_over(descriptor: int) -> None:
    """Give a file or pipe to the user of the steps, who may have to open it again (/dev/stderr)."""
    if differs():
        with contextlib.suppress(OSError):
            os.fchown(descriptor, os.getuid(), os.getgid())
