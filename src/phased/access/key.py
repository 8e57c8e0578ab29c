"""The one key of an installation: what secrets are encrypted and tickets are signed with.

Knows the key's file. Must not know what is encrypted. It is never in the database: a copy of that alone tells
nothing. It comes from a systemd credential (systemd.exec(5), LoadCredential=), else from a file of mode 0600
in the state directory, which is made at its first use.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from phased.errors import KeyUnusable

CREDENTIAL: Final = "phased.key"
"""The name of the credential, and of the file."""
_BYTES: Final = 32
_FEWEST: Final = 16
_MOST: Final = 4096


class Key:
    """Where the key lies; it is read, or made, when it is first needed."""

    def __init__(self, state_directory: Path, credentials_directory: Path | None = None) -> None:
        """Nothing is touched. A credential of the right name stands above the file."""
        self._credential = credentials_directory / CREDENTIAL if credentials_directory else None
        self._file = state_directory / CREDENTIAL
        self._root: bytes | None = None

    def __repr__(self) -> str:
        """Where it lies, not what it is."""
        return f"Key({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The credential where there is one, else the file."""
        return self._credential if self._credential and self._credential.exists() else self._file

    @property
    def exists(self) -> bool:
        """Whether there is one: nothing was signed or encrypted before."""
        return self._root is not None or self.path.exists()

    def derive(self, purpose: str, *, may_make: bool = True) -> bytes:
        """32 bytes for one purpose; two purposes share nothing (HKDF-Expand, RFC 5869, one block).

        Without a key one is made, unless there must be one already. Raises KeyUnusable.
        """
        if self._root is None:
            self._root = self._read(may_make=may_make)
        return hmac.digest(self._root, f"phased {purpose}".encode() + b"\x01", "sha256")

    def _read(self, *, may_make: bool) -> bytes:
        path = self.path
        try:
            if path == self._file and may_make and not path.exists():
                _make(path)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                self._check(path, os.fstat(descriptor))
                text = file.read(_MOST + 1).strip()
        except FileNotFoundError as error:
            raise KeyUnusable(
                f"cannot read secrets: their key {path} is missing; put it back from a backup, "
                "or delete the secrets and set them again"
            ) from error
        except OSError as error:
            raise KeyUnusable(f"cannot read the key {path}: {error.strerror}; mend that") from error
        if not _FEWEST <= len(text) <= _MOST:
            raise KeyUnusable(
                f"cannot use the key {path}: it has {len(text)} bytes, it takes {_FEWEST} to {_MOST}"
            )
        return hmac.digest(b"phased key", text, "sha256")

    def _check(self, path: Path, facts: os.stat_result) -> None:
        """Raises KeyUnusable where others could know it."""
        if not stat.S_ISREG(facts.st_mode):
            raise KeyUnusable(
                f"cannot use the key {path}: it is no regular file; remove what is in its place"
            )
        if path == self._file and facts.st_mode & 0o077:
            raise KeyUnusable(f"cannot use the key {path}: others may read it; run `chmod 600 {path}`")


def _make(path: Path) -> None:
    """Whole or not at all, and never over another; on disk before anything is encrypted with it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        part.unlink()
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_hex(_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
