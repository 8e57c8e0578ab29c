"""The course of an execution as rows of a picture: when each step ran, what it waited for, where time went.

Knows the API's messages of an execution. Must not know HTTP or the engine. Pure. Places along the
time line are thousandths of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from phased.contract.execution import PlanStep, TaskExecution, TaskExecutionPhase, TaskExecutionStatusStep
from phased.contract.phased_v1_timeline import GetTimelineResponse, TimelineAttempt, TimelineStep
from phased.web.rendering import phase_word

WIDE: Final = 1000
MOST_NAMED: Final = 6
"""Steps that are named as where the time went."""
_LEAST: Final = 2
"""So wide is what took no time, so that it is seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of the time line."""

    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Row:
    """One step of the plan."""

    step: PlanStep
    group: int
    status: TaskExecutionStatusStep | None
    times: TimelineStep | None
    bar: Bar | None
    """When it ran."""
    wait: Bar | None
    """From when all that it needs had ended until it began."""
    tries: Sequence[Bar]
    """Its attempts, where there were several."""
    held_by: str
    """The label of the step before whose end its turn did not come; "" in the first group."""
    waited: timedelta | None
    """How long it waited after all that it needs had ended."""
    waits_for: Sequence[str]
    """Labels of what it still needs; of a step that has not started."""
    holds: bool
    """It ended last of its group: later ones waited for it."""
    ended: bool
    """The execution has."""

    @property
    def label(self) -> str:
        """The reference of its task or service."""
        return self.step.label or self.step.id or ""

    @property
    def phase(self) -> TaskExecutionPhase | None:
        """None: it has not started."""
        return self.status.phase if self.status else None

    @property
    def word(self) -> str:
        """Its phase; `skipped` where it will not come any more."""
        return "skipped" if self.ended and self.phase is None else phase_word(self.phase)

    @property
    def took(self) -> timedelta | None:
        """From its start to its end; None before."""
        if not self.times or not self.times.started_at or not self.times.completed_at:
            return None
        return self.times.completed_at - self.times.started_at


@dataclass(frozen=True, slots=True)
class Course:
    """The whole of it."""

    rows: Sequence[Row]
    begin: datetime
    end: datetime
    """Its end, or the daemon's now."""
    holders: Sequence[Row]
    """Of each group the step that ended last: together they are where the time went."""

    @property
    def longest(self) -> Sequence[Row]:
        """Those of the holders that took most of the time, in their order."""
        known = [row for row in self.holders if row.took]
        most = sorted(known, key=lambda row: row.took or timedelta(0), reverse=True)[:MOST_NAMED]
        return [row for row in known if row in most]


def course_of(execution: TaskExecution, timeline: GetTimelineResponse) -> Course:
    """What the API says of an execution, in rows in the order of the plan."""
    plan = execution.spec.plan if execution.spec else ()
    status = {step.id: step for step in (execution.status.steps if execution.status else ())}
    times = {step.id: step for step in timeline.steps}
    begin, end = _span(execution, timeline)
    scale = _Scale(begin, end)
    holders = [_last(group.steps, times) for group in plan]
    labels = plan_labels(execution)
    ended = bool(execution.metadata and execution.metadata.completed_at)
    rows = []
    for number, group in enumerate(plan):
        before = holders[number - 1] if number else None
        for step in group.steps:
            made = _Making(step, number, status.get(step.id), times.get(step.id), scale)
            holds = holders[number] is not None and holders[number] is step
            rows.append(made.row(before, times, status, labels, ended=ended, holds=holds))
    return Course(rows, begin, end, [row for row in rows if row.holds])


def plan_labels(execution: TaskExecution) -> dict[str | None, str]:
    """The label of each step, by id."""
    plan = execution.spec.plan if execution.spec else ()
    return {step.id: step.label or step.id or "" for group in plan for step in group.steps}


def main_label(execution: TaskExecution) -> str:
    """What the execution is of: its plan's last step, which all others are for."""
    plan = execution.spec.plan if execution.spec else ()
    return (plan[-1].steps[-1].label or "") if plan and plan[-1].steps else execution.id


def _span(execution: TaskExecution, timeline: GetTimelineResponse) -> tuple[datetime, datetime]:
    metadata = execution.metadata
    now = timeline.now
    begin = (metadata and (metadata.started_at or metadata.created_at)) or now
    end = (metadata and metadata.completed_at) or now
    if begin is None or end is None:
        raise TypeError("an answer of GetTimeline says when it was made")
    return begin, max(end, begin)


def _last(steps: Sequence[PlanStep], times: Mapping[str | None, TimelineStep]) -> PlanStep | None:
    """The step of a group that ended last, if any has."""
    found: tuple[datetime, PlanStep] | None = None
    for step in steps:
        at = times[step.id].completed_at if step.id in times else None
        if at is not None and (found is None or at > found[0]):
            found = at, step
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    end: datetime

    def bar(self, begin: datetime, end: datetime) -> Bar:
        whole = max((self.end - self.begin).total_seconds(), 0.001)
        x = min(max((begin - self.begin).total_seconds() / whole, 0.0), 1.0)
        to = min(max((end - self.begin).total_seconds() / whole, x), 1.0)
        width = max(round((to - x) * WIDE), _LEAST)
        return Bar(min(round(x * WIDE), WIDE - width), width)


@dataclass(frozen=True, slots=True)
class _Making:
    step: PlanStep
    group: int
    status: TaskExecutionStatusStep | None
    times: TimelineStep | None
    scale: _Scale

    def row(
        self,
        before: PlanStep | None,
        times: Mapping[str | None, TimelineStep],
        status: Mapping[str | None, TaskExecutionStatusStep],
        labels: Mapping[str | None, str],
        *,
        ended: bool,
        holds: bool,
    ) -> Row:
        started = self.times.started_at if self.times else None
        ready = self._ready(times)
        waited = None if started is None or ready is None else max(started - ready, timedelta(0))
        open_needs = [] if started is not None or ended else self._open(status)
        return Row(
            self.step, self.group, self.status, self.times,
            bar=self._bar(),
            wait=self.scale.bar(ready, started) if ready and started and waited else None,
            tries=self._tries(self.times.attempts if self.times else ()),
            held_by=(before.label or "") if before is not None else "",
            waited=waited,
            waits_for=[labels.get(need, need) for need in open_needs],
            holds=holds,
            ended=ended,
        )  # fmt: skip

    def _ready(self, times: Mapping[str | None, TimelineStep]) -> datetime | None:
        """When all that it needs had ended; without needs, when the execution began."""
        ends = [times[need].completed_at for need in self.step.depends_on if need in times]
        known = [end for end in ends if end is not None]
        if len(known) < len(self.step.depends_on):
            return None
        return max(known, default=self.scale.begin)

    def _open(self, status: Mapping[str | None, TaskExecutionStatusStep]) -> list[str]:
        return [
            need
            for need in self.step.depends_on
            if need not in status or status[need].phase is not TaskExecutionPhase.SUCCEEDED
        ]

    def _bar(self) -> Bar | None:
        if self.times is None or self.times.started_at is None:
            return None
        return self.scale.bar(self.times.started_at, self.times.completed_at or self.scale.end)

    def _tries(self, attempts: Sequence[TimelineAttempt]) -> list[Bar]:
        if len(attempts) < 2:
            return []
        return [
            self.scale.bar(one.started_at, one.completed_at or self.scale.end)
            for one in attempts
            if one.started_at is not None
        ]
