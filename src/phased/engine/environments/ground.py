"""What environments stand on: the folder of scratch workspaces and of logs, and the reading of a file.

Knows paths. Must not know records or the engine. Removes nothing but a folder that its own rule names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import anyio

from phased.contract.definitions import Definitions
from phased.core.environment import EnvironmentRecord
from phased.errors import FileUnreadable, InvalidFile, PhasedError

_PART: Final = ".part-"
_TOLD_AT_MOST: Final = 5
"""Errors of a file that are told with its environment."""

ReadFile = Callable[[Path, str], tuple[str, Definitions] | None]
"""The automations file of a workspace: its path there, and what it defines; `path` "": found by convention.

None where there is none. Raises InvalidFile, FileUnreadable.
"""


def _no_file(workspace: Path, path: str) -> tuple[str, Definitions] | None:  # noqa: ARG001 - the shape of ReadFile
    return None


async def _nothing_else(environment_id: str) -> None:
    """Nobody keeps anything of it."""


def _keep(creator_id: str, path: Path) -> None:
    """Steps run as this process's user."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where scratch workspaces and logs lie; how a file is read; what git finds around itself."""

    workspaces: Path
    log_folder: Callable[[str], Path]
    """The folder of the logs of an execution or a service, by its id."""
    read_file: ReadFile = _no_file
    git_environment: Mapping[str, str] = field(default_factory=dict)
    forget: Callable[[str], Awaitable[None]] = _nothing_else
    """Forgets what others keep of an environment that is deleted, by its id: its secrets."""
    hand_over: Callable[[str, Path], None] = _keep
    """Gives a scratch workspace that was filled to the user as whom its steps run; by its creator's id."""

    def workspace(self, environment_id: str) -> Path:
        """The scratch workspace of an environment."""
        return self.workspaces / str(UUID(environment_id))

    async def make_empty(self, environment_id: str) -> Path:
        """An empty folder to be filled, for this user alone; `move_in` makes it the scratch workspace.

        It has a name of its own: a git whose daemon was killed may still write into the one before.
        Raises FileUnreadable.
        """
        await self.remove_workspace(environment_id)
        path = self.workspaces / f"{self.workspace(environment_id).name}{_PART}{uuid4().hex[:8]}"
        try:
            self.workspaces.mkdir(mode=0o700, exist_ok=True)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise FileUnreadable(f"cannot make the workspace {path}: {error.strerror}") from error
        return path

    def move_in(self, environment_id: str, filled: Path) -> None:
        """What was filled is the scratch workspace from now on. Raises FileUnreadable."""
        path = self.workspace(environment_id)
        try:
            filled.rename(path)
        except OSError as error:
            raise FileUnreadable(f"cannot make the workspace {path}: {error.strerror}") from error

    async def remove_workspace(self, environment_id: str) -> None:
        """Remove a scratch workspace and parts of it, as far as they are there. Raises FileUnreadable."""
        path = self.workspace(environment_id)
        parts = list(self.workspaces.glob(f"{path.name}{_PART}*"))
        await anyio.to_thread.run_sync(_remove_all, [path, *parts])

    async def remove_logs(self, ids: Sequence[str]) -> None:
        """Remove the logs of executions and services, as far as they are there. Raises FileUnreadable."""
        await anyio.to_thread.run_sync(_remove_all, [self.log_folder(one) for one in ids])


async def read_file(record: EnvironmentRecord, read: ReadFile) -> tuple[Definitions | None, str, str]:
    """What an environment's automations file defines, which one it is, and what is wrong with it."""
    asked = record.spec.automations_file
    path = (asked.automations_file_path if asked else None) or ""
    try:
        found = await anyio.to_thread.run_sync(read, Path(record.workspace), path)
    except InvalidFile as error:
        lines: list[Any] = list(error.diagnostics[:_TOLD_AT_MOST])
        places = [f"{one.line}:{one.column}: {one.message}" for one in lines]
        return None, path or error.file, "; ".join([str(error), *places])
    except PhasedError as error:
        return None, path, str(error)
    return (None, "", "") if found is None else (found[1], found[0], "")


def _remove_all(paths: Sequence[Path]) -> None:
    for path in paths:
        _remove(path)


def _remove(path: Path) -> None:
    """The whole tree, without following a link; folders that may not be written (a module cache) as well."""
    try:
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path, onerror=_try_harder)
    except OSError as error:
        raise FileUnreadable(f"cannot remove {path}: {error.strerror}; remove it by hand") from error


def _try_harder(act: Callable[..., Any], name: str, found: tuple[Any, BaseException, Any]) -> None:
    """Root is not kept out by modes; to change them by path would trust a tree that is somebody else's."""
    if os.geteuid() == 0:
        raise found[1]
    if not os.path.lexists(name):
        return
    for path in (os.path.dirname(name), name):
        with suppress(OSError):
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    if act in {os.open, os.scandir, os.lstat}:
        shutil.rmtree(name)
    else:
        act(name)
