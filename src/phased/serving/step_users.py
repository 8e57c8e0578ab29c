"""As whom steps run, and so whose files and sockets are, where root runs the daemon (rule 17).

Knows users of this machine and who created an environment. Must not know executions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from phased.access.callers import Access
from phased.access.mounts import FileOwner
from phased.runners.identity import give_away, runs_as
from phased.runners.surroundings import steps_environment
from phased.settings import base_environment

if TYPE_CHECKING:
    pass


class StepUsers:
    """As whom steps run, and so whose their files are, where root runs the daemon (rule 17)."""

    def __init__(self, workspace: Path, named: int | None, access: Access) -> None:
        """`named` is the setting run.user, `workspace` that of the daemon's own environment."""
        self._workspace = workspace
        self._named = named
        self._access = access
        self.workspace_of: Callable[[str], str] = lambda _: str(workspace)

    def owner_of_files(self, environment_id: str) -> FileOwner | None:
        """Whose the files of an environment's secrets are."""
        who = runs_as(self.workspace_of(environment_id), self._named)
        return None if who is None else FileOwner(who.uid, who.gid, who.groups)

    def hand_over(self, creator_id: str, path: Path) -> None:
        """A scratch workspace is its creator's; root's is the owner's of the daemon's own workspace."""
        people = self._access.people
        creator = next((uid for uid in people.roles if people.installation.user_id(uid) == creator_id), 0)
        who = runs_as(str(self._workspace), self._named if self._named is not None else creator or None)
        if who is not None:
            give_away(path, who)

    def base_environment(self, workspace: str) -> dict[str, str]:
        """What every command in a directory starts with. Raises RunnerError."""
        who = runs_as(workspace, self._named)
        base = base_environment()
        return steps_environment(base if who is None else who.environment(base))

    def own(self, socket_path: Path) -> None:
        """Steps call the daemon back: its socket is their user's (root needs no right to use it)."""
        who = runs_as(str(self._workspace), self._named)
        if who is not None:
            os.chown(socket_path, who.uid, who.gid)
