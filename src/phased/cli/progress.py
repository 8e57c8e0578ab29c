"""What `phased run` shows while it runs: for people as plain lines or a live tree, for programs as JSON.

Knows records, statuses and where logs lie. Must not know the engine or the store: it is told what changed.
The live tree stands in `live.py`, so that nobody pays for `rich` but a terminal.
"""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.phases import TERMINAL_PHASES
from phased.core.status import StatusChange, StepStatus

if TYPE_CHECKING:
    from phased.ports import Clock, ExecutionRecord, StoredExecution

LogPath = Callable[[str, str], Path]
"""Where the output of (execution id, step id) lies; it need not exist."""

_TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024
_INTERVAL = 0.1
"""Seconds between two lines of JSON of one execution (`cli: Verbs that need no daemon`)."""

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
)
"""ECMA-48: control sequences, strings (window titles, links) and the two-character escapes."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Progress(Protocol):
    """Is told what happens; returns quickly and never raises for what it writes to."""

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """These executions are about to run; called once, first."""

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """An execution has a new status; `change` holds the steps that changed."""

    def note(self, text: str) -> None:
        """Something that a person should read now: one line."""

    def end(self) -> None:
        """Nothing more will come; what is held back is written."""


@dataclass(slots=True)
class Tracked:
    """An execution as it was last told of."""

    record: ExecutionRecord
    newest: StatusChange
    steps: dict[str, StepStatus] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: StoredExecution) -> Tracked:
        """As the store has it."""
        tracked = cls(stored.record, stored.status)
        tracked.labels = {s.id or "": s.label or "" for group in stored.record.spec.plan for s in group.steps}
        tracked.take(stored.status)
        return tracked

    def take(self, change: StatusChange) -> None:
        """Remember a change. Merging whole statuses here would be quadratic in the steps."""
        self.newest = change
        self.steps.update((step.id, step) for step in change.steps)

    @property
    def ended(self) -> bool:
        """Whether its phase is the last one."""
        return self.newest.phase in TERMINAL_PHASES


class Outlet(io.TextIOBase):
    """A stream that may vanish: once its reader is gone, what is written is dropped.

    A run goes on without a reader, as its history and logs do not depend on one.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` as long as that works."""
        self._stream = stream
        self._lost = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return not self._lost and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, or drop."""
        if not self._lost:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._attempt(lambda: self._stream.write(text.encode("ascii", "replace").decode()))
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, or drop it."""
        if not self._lost:
            self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):
            self._lose()

    def _lose(self) -> None:
        """Point the descriptor at nothing, else Python fails when it flushes the stream at exit.

        Source: the note on SIGPIPE in the documentation of Python's `signal`.
        """
        self._lost = True
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)


class QuietProgress:
    """Shows nothing."""

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """Show nothing."""

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class PlainProgress:
    """One line a change, at the end one an execution and the last lines of what failed. For people.

    A step's short PENDING is left out: RUNNING or its end follows at once.
    """

    def __init__(self, stream: TextIO, log_path: LogPath, clock: Clock) -> None:
        """Write to `stream`; `log_path` says where logs lie."""
        self._outlet = Outlet(stream)
        self._log_path = log_path
        self._clock = clock
        self._tracked: dict[str, Tracked] = {}

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """Remember who they are; with one execution alone, steps need no prefix."""
        self._tracked = {stored.record.id: Tracked.of(stored) for stored in executions}

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """Write a line for each step that is somewhere else now."""
        tracked = self._tracked[execution_id]
        prefix = f"{tracked.record.reference}/" if len(self._tracked) > 1 else ""
        for step in change.steps:
            if _seen(step) != _seen(tracked.steps.get(step.id)) and step.phase is not Phase.PENDING:
                self._outlet.write(f"{prefix}{tracked.labels.get(step.id, step.id)}: {outcome(step)}\n")
        tracked.take(change)
        self._outlet.flush()

    def note(self, text: str) -> None:
        """Write the line."""
        self._outlet.write(f"{text}\n")
        self._outlet.flush()

    def end(self) -> None:
        """Write how each execution ended, and the end of the log of each step that failed."""
        write_summary(self._outlet, self._tracked.values(), self._log_path, self._clock)


class JsonProgress:
    """One TaskExecution a line when it changed, at most ten a second each, and always the last.

    A thread writes: serialising is then paid for what is written only, and a reader that is slow or
    stands still does not hold up the run.
    """

    def __init__(self, stream: TextIO, notes: TextIO | None = None, *, spell: Spelling | None = None) -> None:
        """Write to `stream`, notes to `notes` (None: nowhere); `spell` is another way to write a value."""
        self._outlet = Outlet(stream)
        self._notes = Outlet(notes) if notes else None
        self._spell = spell or str
        self._tracked: dict[str, Tracked] = {}
        self._due: dict[str, None] = {}
        self._arrived = threading.Condition()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write, name="progress", daemon=True)

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """Every execution as it begins is a line."""
        self._tracked = {stored.record.id: Tracked.of(stored) for stored in executions}
        self._due = dict.fromkeys(self._tracked)
        self._writer.start()

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """Have it written, soon."""
        with self._arrived:
            self._tracked[execution_id].take(change)
            self._due[execution_id] = None
            self._arrived.notify()

    def note(self, text: str) -> None:
        """Write the line beside the answer."""
        if self._notes:
            self._notes.write(f"{text}\n")
            self._notes.flush()

    def end(self) -> None:
        """Write what has not been written; waits for the reader."""
        self._ended.set()
        with self._arrived:
            self._arrived.notify()
        if self._writer.ident is not None:
            self._writer.join()

    def _write(self) -> None:
        while not self._ended.is_set():
            with self._arrived:
                self._arrived.wait_for(lambda: self._due or self._ended.is_set())
            self._flush()
            self._ended.wait(_INTERVAL)
        self._flush()

    def _flush(self) -> None:
        from phased.engine.view import task_execution  # noqa: PLC0415 - only who reads JSON pays for it

        with self._arrived:
            due = [self._tracked[execution_id] for execution_id in self._due]
            states = [(t.record, _whole(t)) for t in due]
            self._due.clear()
        for record, status in states:
            self._outlet.write(self._spell(to_json(task_execution(record, status))) + "\n")
        self._outlet.flush()


Spelling = Callable[[str], str]


def choose(output: str, *, quiet: bool, color: bool, log_path: LogPath, clock: Clock) -> Progress:
    """The way to show progress for `-o OUTPUT` (`text`, `json` or `yaml`).

    JSON and YAML go to standard output, what is for people to standard error. `quiet` leaves out what
    is for people; `color` False forbids colour.
    """
    if output == "json":
        return JsonProgress(sys.stdout, None if quiet else sys.stderr)
    if output == "yaml":
        return JsonProgress(sys.stdout, None if quiet else sys.stderr, spell=_yaml)
    if quiet:
        return QuietProgress()
    if sys.stderr.isatty():
        from phased.cli.live import LiveProgress  # noqa: PLC0415 - rich is slow to import

        return LiveProgress(sys.stderr, log_path, clock, color=color)
    return PlainProgress(sys.stderr, log_path, clock)


def _yaml(text: str) -> str:
    import json  # noqa: PLC0415 - only for `-o yaml`

    import yaml  # noqa: PLC0415 - only for `-o yaml`

    dumped = yaml.safe_dump(json.loads(text), explicit_start=True, allow_unicode=True, sort_keys=False)
    return str(dumped).removesuffix("\n")


def _whole(tracked: Tracked) -> StatusChange:
    from dataclasses import replace

    return replace(tracked.newest, steps=tuple(tracked.steps.values()))
