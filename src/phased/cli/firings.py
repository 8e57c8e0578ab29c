"""Firings for people, and waiting for one.

Knows messages and the client. Must not know any verb.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import Final

import click

from phased.cli import showing
from phased.cli.connection import Connection
from phased.cli.options import Common
from phased.cli.outlet import clean
from phased.cli.words import took
from phased.client.transport import PATIENCE, PAUSE
from phased.contract.phased_v1_firing import (
    Firing,
    FiringPart,
    FiringResult,
    GetFiringRequest,
    StopFiringRequest,
)
from phased.errors import Unreachable

INTERRUPTED: Final = 130
_ASK_FOR: Final = 20.0
"""Seconds that the daemon may take to answer that nothing has changed."""
HEAD: Final = ("ID", "TRIGGERS", "RESULT", "CREATED", "TOOK", "PARTS", "WHY")


def word(result: FiringResult | None) -> str:
    """For people."""
    return showing.plain(result, "FIRING_RESULT_")


def exit_code(firing: Firing) -> int:
    """Of the whole (`cli: Everywhere`)."""
    codes = {FiringResult.SUCCEEDED: 0, FiringResult.RUNNING: 0, FiringResult.STOPPED: 3}
    return codes.get(firing.result or FiringResult.UNSPECIFIED, 1)


def row(firing: Firing) -> tuple[str, ...]:
    """For a table with HEAD."""
    counts = Counter(word(part.result) for part in firing.parts)
    parts = ", ".join(f"{number} {name}" for name, number in counts.items())
    return (
        firing.id or "",
        "prebuild (whole)" if firing.prebuild else ", ".join(firing.triggers),
        word(firing.result),
        showing.when(firing.created_at),
        _took(firing) or "-",
        parts or "none",
        firing.cause or "",
    )


def _took(firing: Firing) -> str:
    return took(showing.microseconds(firing.created_at), showing.microseconds(firing.completed_at))


def write(firing: Firing) -> None:
    """One firing with its parts."""
    showing.write_facts(
        ("id", firing.id),
        ("triggers", ", ".join(firing.triggers)),
        ("result", word(firing.result)),
        ("created", showing.when(firing.created_at)),
        ("completed", showing.when(firing.completed_at)),
        ("took", _took(firing)),
        ("resumes", firing.resumes),
        ("cause", firing.cause),
    )
    if firing.parts:
        click.echo("")
        rows = [
            (
                part.reference or "",
                part.trigger or "",
                word(part.result) + (" (joined)" if part.joined else ""),
                part.task_execution_id or ("service" if part.service_id else "-"),
                part.cause or "",
            )
            for part in firing.parts
        ]
        showing.write_table(rows, ("REFERENCE", "TRIGGER", "RESULT", "EXECUTION", "WHY"))
    for warning in firing.warnings:
        click.echo(clean(f"warning: {warning}"))


class Notes:
    """What changed since the last look, on standard error."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._shown: dict[tuple[str | None, str | None], FiringResult | None] = {}

    def tell(self, firing: Firing) -> None:
        """Say which parts have ended since."""
        for part in firing.parts:
            key = (part.trigger, part.reference)
            if part.result is not FiringResult.RUNNING and self._shown.get(key) is not part.result:
                self._shown[key] = part.result
                self._common.note(clean(_line(part)))


def _line(part: FiringPart) -> str:
    outcome = "ready" if part.service_id and part.result is FiringResult.SUCCEEDED else word(part.result)
    return f"  {part.reference} {outcome}" + (f": {part.cause}" if part.cause else "")


def wait(
    daemon: Connection, firing: Firing, patience: float | None = None, *, stops: bool = False
) -> tuple[Firing, int]:
    """Wait until a firing has ended; how it stands then, and the exit code. After Ctrl-C it goes on.

    `patience`: seconds to wait at most. `stops`: Ctrl-C stops it, and then its end is waited for.
    """
    waiting = _Waiting(daemon, firing, patience)
    asked = 0
    while True:
        try:
            in_time = waiting.until_ended()
            break
        except KeyboardInterrupt:
            asked += 1
            if not stops:
                daemon.common.note(f"it goes on; to stop it: phased trigger stop {firing.id}")
                return waiting.firing, INTERRUPTED
            daemon.common.note("killing what still runs" if asked > 1 else "stopping; again to kill")
            daemon.client.stop_firing(StopFiringRequest(id=firing.id or "", kill=asked > 1 or None))
    if asked:
        return waiting.firing, INTERRUPTED
    return waiting.firing, exit_code(waiting.firing) if in_time else 1


class _Waiting:
    """Asks again and again, telling what has changed; a daemon that went away may come back."""

    def __init__(self, daemon: Connection, firing: Firing, patience: float | None) -> None:
        from phased.daemon import system_clock  # noqa: PLC0415 - the composition root

        self.firing = firing
        self._daemon = daemon
        self._patience = patience
        self._clock = system_clock()
        self._deadline = None if patience is None else self._clock.boot() + patience
        self._notes = Notes(daemon.common)
        self._lost_since: float | None = None

    def until_ended(self) -> bool:
        """Whether it has ended in time. Raises Unreachable, Refused."""
        while self.firing.result is FiringResult.RUNNING:
            self._notes.tell(self.firing)
            left = _ASK_FOR if self._deadline is None else self._deadline - self._clock.boot()
            if left <= 0:
                way_out = f"it goes on: phased trigger show {self.firing.id}"
                self._daemon.common.note(f"timed out after {self._patience:g} s; {way_out}")
                return False
            self._ask(min(left, _ASK_FOR))
        self._notes.tell(self.firing)
        return True

    def _ask(self, at_most: float) -> None:
        request = GetFiringRequest(id=self.firing.id or "", wait=timedelta(seconds=at_most))
        before = self.firing
        try:
            self.firing = self._daemon.client.get_firing(request).firing or before
            self._lost_since = None
        except Unreachable:
            now = self._clock.boot()
            self._lost_since = now if self._lost_since is None else self._lost_since
            if now - self._lost_since > PATIENCE:
                raise
        if self.firing == before:  # a daemon that is ending does not wait
            time.sleep(PAUSE)
