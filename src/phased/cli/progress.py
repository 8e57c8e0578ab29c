"""What `phased run` shows while it runs: for people as plain lines or a live tree, for programs as JSON.

Knows records, statuses and where logs lie. Must not know the engine or the store: it is told what changed.
The live tree stands in `live.py`, so that nobody pays for `rich` but a terminal.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from phased.cli.outlet import Hides, Outlet, clean, last_lines
from phased.cli.words import ENDED, counted, outcome, took, word
from phased.contract.execution import TaskExecutionPhase as Phase

if TYPE_CHECKING:
    from phased.core.status import StatusChange, StepStatus
    from phased.ports import Clock, ExecutionRecord, StoredExecution

LogPath = Callable[[str, str], Path]
"""Where the output of (execution id, step id) lies; it need not exist."""
Spelling = Callable[[str], str]
"""Another way to write a JSON value."""

_TAIL_LINES = 20
_NAMED = 6
_INTERVAL = 0.1
"""Seconds between two lines of JSON of one execution (`cli: Verbs that need no daemon`)."""


class Progress(Protocol):
    """Is told what happens; returns quickly and never raises for what it writes to."""

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """These executions are about to run; called once, first."""

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """An execution has a new status; `change` holds the steps that changed."""

    def note(self, text: str) -> None:
        """Something that a person should read now: one line."""

    def waiting(self, text: str) -> None:
        """What a stop waits for at this moment; comes again and again."""

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
        return self.newest.phase in ENDED


class QuietProgress:
    """Shows nothing."""

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """Show nothing."""

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def waiting(self, text: str) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class PlainProgress:
    """One line a change, at the end one an execution and the last lines of what failed. For people.

    A step's short PENDING is left out: RUNNING or its end follows at once.
    """

    def __init__(
        self, stream: TextIO | None, log_path: LogPath, clock: Clock, hides: Hides | None = None
    ) -> None:
        """Write to `stream`; `log_path` says where logs lie, `hides` the secrets in them."""
        self._outlet = Outlet(stream)
        self._log_path = log_path
        self._hides = hides
        self._clock = clock
        self._tracked: dict[str, Tracked] = {}

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """A line each on what will run; with one execution alone, steps need no prefix."""
        self._tracked = {stored.record.id: Tracked.of(stored) for stored in executions}
        for tracked in self._tracked.values():
            groups = tracked.record.spec.plan
            plan = " > ".join(_members([step.label or "" for step in group.steps]) for group in groups)
            self._outlet.write(f"{tracked.record.reference}: {plan} [{tracked.record.id}]\n")
        self._outlet.flush()

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
        self._outlet.write(f"{clean(text)}\n")
        self._outlet.flush()

    waiting = note

    def end(self) -> None:
        """Write how each execution ended, and the end of the log of each step that failed."""
        write_summary(self._outlet, self._tracked.values(), self._log_path, self._clock, self._hides)


class JsonProgress:
    """One TaskExecution a line when it changed, at most ten a second each, and always the last.

    A thread writes: serialising is then paid for what is written only, and a reader that is slow or
    stands still does not hold up the run.
    """

    def __init__(
        self,
        stream: TextIO | None,
        notes: TextIO | None = None,
        *,
        spell: Spelling | None = None,
        hides: Hides | None = None,
    ) -> None:
        """Write to `stream`, notes to `notes` (None: nowhere); `spell` is another way to write a value."""
        self._hides = hides
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
            self._notes.write(f"{clean(text)}\n")
            self._notes.flush()

    waiting = note

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
        from phased.contract.base import to_json  # noqa: PLC0415 - only who reads JSON pays for it
        from phased.engine.view import masked, task_execution  # noqa: PLC0415 - the same

        with self._arrived:
            due = [self._tracked[execution_id] for execution_id in self._due]
            states = [(tracked.record, _whole(tracked)) for tracked in due]
            self._due.clear()
        for record, whole in states:
            status = masked(whole, self._hides.text) if self._hides else whole
            self._outlet.write(self._spell(to_json(task_execution(record, status))) + "\n")
        self._outlet.flush()


def choose(
    output: str, *, quiet: bool, color: bool, log_path: LogPath, clock: Clock, hides: Hides | None = None
) -> Progress:
    """The way to show progress for `-o OUTPUT` (`text`, `json` or `yaml`).

    JSON and YAML go to standard output, what is for people to standard error. `quiet` leaves out what
    is for people; `color` False forbids colour; `hides` hides secrets.
    """
    if output == "json":
        return JsonProgress(sys.stdout, None if quiet else sys.stderr, hides=hides)
    if output == "yaml":
        return JsonProgress(sys.stdout, None if quiet else sys.stderr, spell=_yaml, hides=hides)
    if quiet:
        return QuietProgress()
    if sys.stderr is not None and sys.stderr.isatty():
        from phased.cli.live import LiveProgress  # noqa: PLC0415 - rich is slow to import

        return LiveProgress(sys.stderr, log_path, clock, color=color, hides=hides)
    return PlainProgress(sys.stderr, log_path, clock, hides)


def write_summary(
    outlet: Outlet,
    executions: Iterable[Tracked],
    log_path: LogPath,
    clock: Clock,
    hides: Hides | None = None,
) -> None:
    """The last lines of each step that failed, then one line an execution."""
    executions = list(executions)
    for tracked in executions:
        for step in tracked.steps.values():
            if step.phase is Phase.FAILED:
                lines = last_lines(log_path(tracked.record.id, step.id), _TAIL_LINES, hides)
                _write_failure(outlet, tracked, step, lines)
    for tracked in executions:
        outlet.write(f"{ending(tracked, clock)}\n")
    outlet.flush()


def ending(tracked: Tracked, clock: Clock) -> str:
    """One line on how an execution ended."""
    status = tracked.newest
    lasted = took(status.started_at, status.completed_at or clock.wall())
    joint = "in" if status.phase is Phase.SUCCEEDED else "after"
    text = f"==== {tracked.record.reference} {word(status.phase)}" + (f" {joint} {lasted}" if lasted else "")
    steps = counted((step.phase for step in tracked.steps.values()), len(tracked.labels))
    said = status.failure_message or (status.why if status.phase is Phase.SUCCEEDED else None)
    why = f"; {clean(said)}" if said else ""
    return f"{text} ({steps}){why} [{tracked.record.id}]"


def _write_failure(outlet: Outlet, tracked: Tracked, step: StepStatus, lines: Sequence[str]) -> None:
    label = tracked.labels.get(step.id, step.id)
    outlet.write(
        f"---- {label} {outcome(step)}{'; the end of its output:' if lines else '; it wrote nothing'}\n"
    )
    for line in lines:
        outlet.write(f"    {line}\n")


def _members(labels: Sequence[str]) -> str:
    more = f", and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def _seen(step: StepStatus | None) -> tuple[object, ...] | None:
    """What a line about a step shows, but for its times."""
    return None if step is None else (step.phase, step.attempt, step.failure_message)


def _yaml(text: str) -> str:
    import json  # noqa: PLC0415 - only for `-o yaml`

    from phased.cli.answer import yaml_text  # noqa: PLC0415 - only for `-o yaml`

    return "---\n" + yaml_text(json.loads(text)).removesuffix("\n")


def _whole(tracked: Tracked) -> StatusChange:
    return replace(tracked.newest, steps=tuple(tracked.steps.values()))
