"""Firings for people, and waiting for one.

Knows messages and the client. Must not know any verb.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final

import click

from phased.cli import showing
from phased.cli.connection import Connection
from phased.cli.options import Common
from phased.cli.outlet import clean
from phased.cli.words import took
from phased.contract.phased_v1_firing import (
    Firing,
    FiringPart,
    FiringResult,
    GetFiringRequest,
    StopFiringRequest,
)

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
    from phased.daemon import system_clock  # noqa: PLC0415 - the composition root

    clock = system_clock()
    notes, asked = Notes(daemon.common), 0
    deadline = None if patience is None else clock.boot() + patience
    while firing.result is FiringResult.RUNNING:
        notes.tell(firing)
        left = _ASK_FOR if deadline is None else min(_ASK_FOR, deadline - clock.boot())
        if left <= 0:
            daemon.common.note(f"timed out after {patience:g} s; it goes on: phased trigger show {firing.id}")
            return firing, 1
        try:
            request = GetFiringRequest(id=firing.id or "", wait=timedelta(seconds=left))
            firing = daemon.client.get_firing(request).firing or firing
        except KeyboardInterrupt:
            asked += 1
            if not stops:
                daemon.common.note(f"it goes on; to stop it: phased trigger stop {firing.id}")
                return firing, INTERRUPTED
            daemon.common.note("killing what still runs" if asked > 1 else "stopping; again to kill")
            daemon.client.stop_firing(StopFiringRequest(id=firing.id or "", kill=asked > 1 or None))
    notes.tell(firing)
    return firing, INTERRUPTED if asked else exit_code(firing)
