"""How phases, times and outcomes are put into words. Pure.

Knows statuses. Must not know streams or terminals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from phased.contract.execution import TaskExecutionPhase as Phase

if TYPE_CHECKING:
    from phased.core.status import StepStatus

ENDED: Final = (Phase.FAILED, Phase.STOPPED, Phase.SUCCEEDED)
"""The phases that do not change any more, the worst first."""

_WORDS: Final = {
    Phase.UNSPECIFIED: "waiting",
    Phase.PENDING: "pending",
    Phase.RUNNING: "running",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.STOPPED: "stopped",
}


def word(phase: Phase | None) -> str:
    """A phase for people."""
    return _WORDS[phase or Phase.UNSPECIFIED]


def span(microseconds: int) -> str:
    """A duration for people: `0.4 s`, `12.0 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = max(microseconds, 0) / 1_000_000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def took(started_at: int | None, ended_at: int | None) -> str:
    """How long it took, for people; "" where it never started."""
    return span(ended_at - started_at) if started_at is not None and ended_at is not None else ""


def moment(microseconds: int | None) -> str:
    """A moment for people: UTC, to the second."""
    if microseconds is None:
        return ""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def outcome(step: StepStatus) -> str:
    """Where a step stands: `running`, `succeeded in 1.2 s`, `failed after 0.3 s: exit code 3`."""
    text = word(step.phase)
    if step.phase is Phase.RUNNING and step.attempt > 1:
        text += f" (attempt {step.attempt})"
    lasted = took(step.started_at, step.completed_at)
    if lasted and step.phase in ENDED:
        text += f" {'in' if step.phase is Phase.SUCCEEDED else 'after'} {lasted}"
    return f"{text}: {step.failure_message}" if step.failure_message else text


def counted(phases: Iterable[Phase], planned: int) -> str:
    """How many steps ended how: `3 succeeded, 1 failed, 2 never started`."""
    count = Counter(phases)
    parts = [
        f"{count[phase]} {word(phase)}"
        for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED)
        if count[phase]
    ]
    never = planned - count.total()
    if never:
        parts.append(f"{never} never started")
    return ", ".join(parts) or "no steps"
