"""Secrets as files: put into their places before a step starts, for the step's user alone.

Knows paths and users. Must not know records. A file is written only where none is, or where one with a value
of the same secret is: what a user has there is never touched.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from phased.access.vault import MountedFile
from phased.errors import FailedPrecondition

_LONGEST: Final = 64 * 1024
"""Bytes: a value has at most 10240 characters, so a longer file holds none."""


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
        with _rights_of(owner):
            _put(file.path, known[0], known)
    except OSError as error:
        raise FailedPrecondition(
            f"cannot mount the secret {file.name} ({file.secret_id}) at {file.path}: "
            f"{error.strerror or error}; move that away, or give the secret another filePath"
        ) from error


def take_away(file: MountedFile, owner: FileOwner | None = None) -> None:
    """Remove the file of a secret that is deleted, if it holds a value of it. Errors are none of ours."""
    known = tuple(value.encode() for value in (file.value, *file.former))
    with suppress(OSError), _rights_of(owner):
        _take_away(file.path, known)


@contextmanager
def _rights_of(owner: FileOwner | None) -> Iterator[None]:
    """Within, this thread touches files with another user's rights (setfsuid(2)); only root can.

    Not setuid: that would concern every thread. Other threads lose root's groups meanwhile, which root does
    not need. Raises OSError.
    """
    if owner is None or owner.uid == os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    groups, own = os.getgroups(), (os.geteuid(), os.getegid())
    os.setgroups(owner.groups)
    try:
        libc.setfsgid(owner.gid)
        libc.setfsuid(owner.uid)
        if (libc.setfsuid(-1), libc.setfsgid(-1)) != (owner.uid, owner.gid):
            raise OSError(0, "the user's rights cannot be taken on")
        yield
    finally:
        libc.setfsuid(own[0])
        libc.setfsgid(own[1])
        os.setgroups(groups)


class Occupied(OSError):
    """Something else is in the file's place."""


def _put(path: str, value: bytes, known: tuple[bytes, ...]) -> None:
    """Whole or not at all, so that no step finds half a value."""
    found = _content(path)
    if found == value:
        return
    if found is not None and found not in known:
        raise Occupied(0, "another file is there")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    part = f"{path}.phased-{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as opened:
            opened.write(value)
        if found is None:
            os.link(part, path)  # never over what somebody has just put there
        else:
            os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _take_away(path: str, known: tuple[bytes, ...]) -> None:
    """Remove a file that holds one of these values. Raises OSError."""
    if _content(path) in known:
        os.unlink(path)


def _content(path: str) -> bytes | None:
    """What a regular file holds; None where there is none. Raises OSError."""
    try:
        if not os.path.isfile(path) or os.path.islink(path):
            if os.path.lexists(path):
                raise Occupied(0, "another file is there")
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as opened:
        return opened.read(_LONGEST)
