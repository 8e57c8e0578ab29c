"""Puts a value into a file, or takes it away: what `mounts` does, by itself or as a program for another user.

Standard library only, and nothing of ours: it is run as `python -I -S -c TEXT WHAT PATH` with the rights of
a user who may not be able to read this file. Values come by standard input, never by arguments.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

_LONGEST = 64 * 1024
"""Bytes: a value has at most 10240 characters, so a longer file holds none."""


class Occupied(OSError):
    """Something else is in the file's place."""


def put(path: str, value: bytes, known: tuple[bytes, ...]) -> None:
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


def take_away(path: str, known: tuple[bytes, ...]) -> None:
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


def main(what: str, path: str) -> None:
    """Do it, and write on standard output what went wrong, as a phrase."""
    known = tuple(value.encode() for value in json.load(sys.stdin))
    try:
        if what == "put":
            put(path, known[0], known)
        else:
            take_away(path, known)
    except OSError as error:
        sys.stdout.write(error.strerror or str(error))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
