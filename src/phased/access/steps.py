"""What steps get: secrets as variables and files, and a token for their own environment.

Implements `ports.StepAccess`. Knows the vault, callers' tokens and files. Must not know executions or runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from phased.access.callers import Access
from phased.access.mounts import FileOwner, put, take_away
from phased.access.vault import MountedFile, Vault


class StepSecrets:
    """For the steps of one daemon, or of a foreground run (then without `access`: there is no way back)."""

    def __init__(
        self,
        vault: Vault,
        access: Access | None = None,
        socket: str = "",
        owner_of_files: Callable[[str], FileOwner | None] = lambda _: None,
    ) -> None:
        """`socket` is the daemon's; `owner_of_files` says whose the files of an environment are to be."""
        self._vault = vault
        self._access = access
        self._socket = socket
        self._owner_of_files = owner_of_files
        self._put: dict[str, tuple[MountedFile, FileOwner | None, tuple[int, int, int]]] = {}
        vault.on_delete = self._deleted

    def mounted(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:
        """The variables that secrets are mounted as. Raises KeyUnusable, FailedPrecondition for a file."""
        for file in self._vault.files(environment_id, started_by):
            self._put_once(file, environment_id)
        return self._vault.variables(environment_id, started_by)

    def secret(self, environment_id: str, secret_id: str, started_by: str = "") -> str | None:
        """The value of a secret that a step names. Raises KeyUnusable."""
        return self._vault.reference(environment_id, secret_id, started_by)

    def way_back(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:
        """The daemon's socket and a token. Raises KeyUnusable."""
        if self._access is None:
            return {}
        token = self._access.step_token(environment_id, started_by)
        return {"PHASED_SOCKET": self._socket, "PHASED_TOKEN": token}

    def _put_once(self, file: MountedFile, environment_id: str) -> None:
        """Files are looked at for each step, and written only where they changed."""
        done = self._put.get(file.path)
        owner = self._owner_of_files(environment_id)
        if done == (file, owner, _signature(file.path)):
            return
        put(file, owner)
        self._put[file.path] = (file, owner, _signature(file.path))

    def _deleted(self, secret_id: str) -> None:
        """A secret is gone, and so are the files that it was put into."""
        for path, (file, owner, _) in list(self._put.items()):
            if file.secret_id == secret_id:
                del self._put[path]
                take_away(file, owner)


def _signature(path: str) -> tuple[int, int, int]:
    try:
        facts = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    return (facts.st_ino, facts.st_mtime_ns, facts.st_size)
