"""The course of an execution: bars in the scale of the whole, who waited for whom, where time went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.execution import (
    Plan,
    PlanStep,
    TaskExecution,
    TaskExecutionMetadata,
    TaskExecutionPhase,
    TaskExecutionSpec,
    TaskExecutionStatus,
    TaskExecutionStatusStep,
)
from phased.contract.phased_v1_timeline import GetTimelineResponse, TimelineAttempt, TimelineStep
from phased.web.course import WIDE, Course, course_of, main_label

BEGIN = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
NAME = "00000000-0000-0000-0000-00000000000a"
Span = tuple[float, float | None]
"""Seconds from the beginning to a step's start, and to its end."""


def course(
    groups: list[list[tuple[str, tuple[str, ...]]]],
    spans: dict[str, Span],
    *,
    now: float,
    ended: bool = False,
    attempts: dict[str, list[Span]] | None = None,
) -> Course:
    """Of a plan given as groups of (label, needs)."""
    plan = tuple(
        Plan.model_construct(
            steps=tuple(PlanStep.model_construct(id=one, label=one, depends_on=needs) for one, needs in group)
        )
        for group in groups
    )
    at = _moment(now)
    metadata = TaskExecutionMetadata.model_construct(
        created_at=BEGIN, started_at=BEGIN, completed_at=at if ended else None
    )
    status = tuple(
        TaskExecutionStatusStep.model_construct(id=one, phase=_phase(end)) for one, (_, end) in spans.items()
    )
    execution = TaskExecution.model_construct(
        id=NAME,
        metadata=metadata,
        spec=TaskExecutionSpec.model_construct(plan=plan),
        status=TaskExecutionStatus.model_construct(steps=status),
    )
    assert main_label(execution) == groups[-1][-1][0]
    steps = tuple(_step(one, span, (attempts or {}).get(one, [])) for one, span in spans.items())
    return course_of(execution, GetTimelineResponse.model_construct(id=NAME, steps=steps, now=at))


def _step(name: str, span: Span, attempts: list[Span]) -> TimelineStep:
    tries = tuple(
        TimelineAttempt.model_construct(number=number, started_at=_moment(begin), completed_at=_moment(end))
        for number, (begin, end) in enumerate(attempts, 1)
    )
    return TimelineStep.model_construct(
        id=name, label=name, started_at=_moment(span[0]), completed_at=_moment(span[1]), attempts=tries
    )


def _phase(end: float | None) -> TaskExecutionPhase:
    return TaskExecutionPhase.RUNNING if end is None else TaskExecutionPhase.SUCCEEDED


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else BEGIN + timedelta(seconds=seconds)


PLAN: list[list[tuple[str, tuple[str, ...]]]] = [
    [("quick", ()), ("slow", ())],
    [("next", ("quick",))],
    [("last", ("next", "slow"))],
]


def test_what_is_ready_early_waits_for_the_slowest_of_the_group_before() -> None:
    """`next` needs `quick` alone, and is held by `slow`."""
    made = course(
        PLAN, {"quick": (0, 1), "slow": (0, 6), "next": (6, 8), "last": (8, 10)}, now=10, ended=True
    )
    rows = {row.label: row for row in made.rows}
    assert rows["next"].held_by == "slow"
    assert rows["next"].waited == timedelta(seconds=5)
    assert rows["next"].wait is not None
    assert (rows["next"].wait.x, rows["next"].wait.width) == (100, 500)
    assert rows["last"].waited == timedelta(0)
    assert rows["last"].wait is None
    assert [row.label for row in made.holders] == ["slow", "next", "last"]


def test_bars_grow_while_a_step_runs() -> None:
    """To the daemon's now; what has not started has none, and says what it waits for."""
    made = course(PLAN, {"quick": (0, 1), "slow": (0, None)}, now=4)
    rows = {row.label: row for row in made.rows}
    assert rows["slow"].bar is not None
    assert rows["slow"].bar.width == WIDE
    assert rows["slow"].took is None
    assert rows["next"].bar is None
    assert rows["next"].waits_for == []
    assert rows["last"].waits_for == ["next", "slow"]
    assert rows["last"].word == "waiting"


def test_what_never_came_is_skipped() -> None:
    """It waits for nothing any more."""
    made = course(PLAN, {"quick": (0, 1), "slow": (0, 2)}, now=2, ended=True)
    assert [row.word for row in made.rows] == ["succeeded", "succeeded", "skipped", "skipped"]
    assert made.rows[-1].waits_for == []


def test_several_attempts_are_told_apart() -> None:
    """One is not."""
    tries: list[Span] = [(0, 1), (3, 5)]
    made = course([[("one", ())]], {"one": (0, 5)}, now=10, ended=True, attempts={"one": tries})
    assert [(bar.x, bar.width) for bar in made.rows[0].tries] == [(0, 100), (300, 200)]
    single = course([[("one", ())]], {"one": (0, 5)}, now=10, ended=True, attempts={"one": [(0, 5)]})
    assert single.rows[0].tries == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 30), st.none() | st.floats(-5, 30)), min_size=1, max_size=8),
    st.floats(0, 20),
)
def test_bars_never_leave_the_picture(spans: list[Span], now: float) -> None:
    """Whatever clocks say: also where they were set back."""
    names = [f"s{number}" for number in range(len(spans))]
    made = course([[(name, ()) for name in names]], dict(zip(names, spans, strict=True)), now=now)
    for row in made.rows:
        assert row.bar is not None
        assert row.bar.x >= 0
        assert row.bar.width >= 1
        assert row.bar.x + row.bar.width <= WIDE
