"""Secrets as files: put into their places before a step starts, for the step's user alone.

Knows paths and users. Must not know records. A file is written only where none is, or where one with a value
of the same secret is: what a user has there is never touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from phased.access import placing
from phased.access.vault import MountedFile
from phased.errors import FailedPrecondition

_PATIENCE: Final = 30.0
"""Seconds that the other user's process may take."""


@dataclass(frozen=True, slots=True)
class FileOwner:
    """Whose a file is to be."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def put(file: MountedFile, owner: FileOwner | None = None) -> None:
    """Have a secret's value in its file, mode 0600. `owner` is another user than this process's.

    Raises FailedPrecondition where something else is in its place, or it cannot be written.
    """
    known = tuple(value.encode() for value in (file.value, *file.former))
    try:
        if owner is None or owner.uid == os.geteuid():
            placing.put(file.path, known[0], known)
        else:
            _put_as(owner, file.path, known)
    except OSError as error:
        raise _cannot(file, error.strerror or str(error)) from error


def take_away(file: MountedFile, owner: FileOwner | None = None) -> None:
    """Remove the file of a secret that is deleted, if it holds a value of it. Errors are none of ours."""
    known = tuple(value.encode() for value in (file.value, *file.former))
    with suppress(OSError, subprocess.SubprocessError):
        if owner is None or owner.uid == os.geteuid():
            placing.take_away(file.path, known)
        else:
            _ask(owner, "take_away", file.path, known)


def _cannot(file: MountedFile, reason: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"cannot mount the secret {file.name} ({file.secret_id}) at {file.path}: {reason}; "
        "move that away, or give the secret another filePath"
    )


def _put_as(owner: FileOwner, path: str, known: tuple[bytes, ...]) -> None:
    reason = _ask(owner, "put", path, known)
    if reason:
        raise OSError(0, reason)


def _ask(owner: FileOwner, what: str, path: str, known: tuple[bytes, ...]) -> str:
    """Have it done with another user's rights; what went wrong, as a phrase, or nothing."""
    with open(placing.__file__, "rb") as program:
        text = program.read().decode()
    command = [sys.executable, "-I", "-S", "-c", text, what, path]
    done = subprocess.run(
        command, input=json.dumps([value.decode() for value in known]).encode(), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, check=False, cwd="/", env={}, timeout=_PATIENCE,
        user=owner.uid, group=owner.gid, extra_groups=list(owner.groups),
    )  # fmt: skip
    reason = done.stdout.decode("utf-8", "replace").strip()
    return reason or ("" if done.returncode == 0 else "it cannot be written")
