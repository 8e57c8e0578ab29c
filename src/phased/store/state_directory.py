"""The layout of a state directory, and who holds it.

    state.db                       the store
    runs/<execution>/<step>.log    one log a step
    supervisors/                   journals, locks and sockets of the supervisors
    web-address                    where the page was served last
    lock                           held by the one that works here; names its pid and socket

Knows paths and the lock. Must not know what the files hold. Nothing but an id ever becomes a path.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from phased.errors import FileUnreadable, NotFound, StateDirectoryHeld

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:\.[0-9]{1,9})?")
"""A UUID as this program writes it, or one with a number: an attempt."""

_TRIES: Final = 500
_PAUSE: Final = 0.01
"""Seconds between tries to get the lock from those who only look: `holder` shares it for a moment."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on a state directory, as far as its lock file says; None where it does not, or not yet."""

    pid: int | None
    socket: str | None


class Hold:
    """The right to work on a state directory, until `release`. A context manager."""

    def __init__(self, descriptor: int) -> None:
        """Use `StateDirectory.hold`."""
        self._descriptor = descriptor

    def name_socket(self, socket: str | None) -> None:
        """Say where this process can be talked to."""
        text = json.dumps({"pid": os.getpid(), "socket": socket}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def hand_over(self) -> int:
        """Leave the right to whoever gets this descriptor; the file goes on naming this process."""
        descriptor, self._descriptor = self._descriptor, -1
        return descriptor

    def release(self) -> None:
        """Let others in. The file stays: who removed it could remove a lock that another has taken."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Held already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release."""
        self.release()


class StateDirectory:
    """One state directory. Making the object touches nothing."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist."""
        self.path = path.absolute()
        self.database = self.path / "state.db"
        self.runs = self.path / "runs"
        self.supervisors = self.path / "supervisors"
        self.lock = self.path / "lock"

    def create(self) -> None:
        """Make the folders that are missing, for this user alone (0700). Raises FileUnreadable."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.runs, self.supervisors):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def hold(self, socket: str | None = None, *, inherited: int | None = None) -> Hold:
        """Become the one that works here; `socket` is where others can reach this process.

        `inherited`: the descriptor of an earlier version's hold, if it is one. The folder must exist.
        Raises StateDirectoryHeld, naming the pid, where another does; FileUnreadable.
        """
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        if inherited is not None and _is_same(inherited, descriptor):
            os.close(descriptor)
            os.set_inheritable(inherited, False)
            descriptor = inherited
        try:
            self._take(descriptor)
            hold = Hold(descriptor)
            hold.name_socket(socket)
        except OSError as error:
            os.close(descriptor)
            raise self._unusable(error) from error
        except StateDirectoryHeld:
            os.close(descriptor)
            raise
        return hold

    def holder(self) -> Holder | None:
        """Who works here now, None where nobody does. Raises FileUnreadable."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            return None if _locked(descriptor, fcntl.LOCK_SH) else _read_holder(descriptor)
        finally:
            os.close(descriptor)

    def log_path(self, execution_id: str, step_id: str) -> Path:
        """Where the output of a step lies; it need not exist. Raises NotFound for what is no id."""
        return self.runs.joinpath(_checked(execution_id), f"{_checked(step_id)}.log")

    def execution_path(self, execution_id: str) -> Path:
        """The folder of an execution's logs. Raises NotFound for what is no id."""
        return self.runs / _checked(execution_id)

    def _take(self, descriptor: int) -> None:
        for _ in range(_TRIES):
            if _locked(descriptor, fcntl.LOCK_EX):
                return
            if not _locked(descriptor, fcntl.LOCK_SH):
                break  # somebody has it alone, and does not only look
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(_PAUSE)
        raise StateDirectoryHeld(str(self.path), _read_holder(descriptor).pid)

    def _unusable(self, error: OSError) -> FileUnreadable:
        reason = error.strerror or str(error)
        return FileUnreadable(
            f"cannot use the state directory {self.path}: {reason}; give another --state-dir"
        )


def _is_same(one: int, other: int) -> bool:
    """Whether two descriptors are of one file."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def _locked(descriptor: int, mode: int) -> bool:
    """Whether the lock could be had at once, in this mode (flock(2))."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _checked(identifier: str) -> str:
    if _ID.fullmatch(identifier) is None:
        raise NotFound(f"cannot find {identifier!r}: it is no id; `phased executions` shows them")
    return identifier


def _read_holder(descriptor: int) -> Holder:
    """What a lock file says; it may be half written, or written by another version."""
    try:
        found = json.loads(os.pread(descriptor, 64 * 1024, 0))
        pid, socket = found.get("pid"), found.get("socket")
    except (ValueError, AttributeError, OSError):
        return Holder(None, None)
    return Holder(pid if isinstance(pid, int) else None, socket if isinstance(socket, str) else None)
