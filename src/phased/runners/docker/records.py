"""Which runs are containers: a small file for each, from before it is asked for until it is removed.

Knows one folder. Must not know the engine. A new daemon learns here, without asking any engine, whether there
is something to take over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

FOLDER: Final = "containers"
_PART: Final = ".part"
_NOTE: Final = ".cid"


@dataclass(frozen=True, slots=True)
class Record:
    """One run that is a container."""

    run_id: str
    image: str
    directory: str
    log: str
    client: int = 0
    """How many clients were attached before the newest."""
    began: int = 0
    """The length of its log, in bytes, when it was asked for."""
    makers: int = 0
    """How many of those were sent to make it once more, since none had."""

    @property
    def client_id(self) -> str:
        """The id under which the newest client runs."""
        return client_id(self.run_id, self.client)

    @property
    def was_made(self) -> bool:
        """Whether there was a container, so that the newest client went on with it."""
        return self.client > self.makers

    def next_client(self) -> Record:
        """The same with one more client."""
        return replace(self, client=self.client + 1)

    def next_maker(self) -> Record:
        """The same with one more client, that is to make it."""
        return replace(self, client=self.client + 1, makers=self.makers + 1)


def note_of(state_directory: Path, run_id: str) -> Path:
    """Where a client writes the container's id, after it is made and before it is started."""
    return state_directory / FOLDER / f"{run_id}{_NOTE}"


def client_id(run_id: str, number: int) -> str:
    """The id under which a client of a run runs; the first has the run's own."""
    return f"{run_id}~{number}" if number else run_id


def run_of(client: str) -> str:
    """The run that a client belongs to."""
    return client.partition("~")[0]


class Records:
    """All of a state directory."""

    def __init__(self, state_directory: Path) -> None:
        """Nothing is touched."""
        self._folder = state_directory / FOLDER

    def all(self) -> Iterator[Record]:
        """Every record; what cannot be read is none."""
        for path in sorted(self._folder.glob("*.json")):
            with suppress(OSError, ValueError, TypeError):
                yield Record(**json.loads(path.read_text(encoding="utf-8")))

    def put(self, record: Record) -> None:
        """Keep a new or changed one, whole or not at all. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(record.run_id)
        part = path.with_suffix(_PART)
        part.write_text(json.dumps(asdict(record)), encoding="utf-8")
        os.replace(part, path)

    def remove(self, run_id: str) -> None:
        """Forget one."""
        self._path(run_id).unlink(missing_ok=True)
        self.drop_note(run_id)

    def has_note(self, run_id: str) -> bool:
        """Whether its client has noted the container's id; also where that cannot be told."""
        try:
            return note_of(self._folder.parent, run_id).stat().st_size > 0
        except OSError as error:
            return not isinstance(error, FileNotFoundError)

    def drop_note(self, run_id: str) -> None:
        """A client refuses to begin where there is one. What cannot be removed, it complains of."""
        with suppress(OSError):
            note_of(self._folder.parent, run_id).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"


def are_there(state_directory: Path) -> bool:
    """Whether there is a record."""
    with suppress(OSError):
        return any(name.endswith(".json") for name in os.listdir(state_directory / FOLDER))
    return False
