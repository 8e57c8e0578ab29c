"""The native service's course of an execution: times of steps, their attempts, and versions of its status.

Knows its messages, the saved status and the stream of changes in memory. Must not know HTTP. What the stream
has forgotten (or an earlier daemon told) is not invented: then there are fewer versions and attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from signal import Signals
from typing import Final

from phased.api.calls import Call
from phased.api.handlers.executions import find_execution
from phased.contract import phased_v1_timeline as m
from phased.contract.execution import TaskExecutionPhase
from phased.core.phases import TERMINAL, State
from phased.core.status import StatusChange, StepStatus
from phased.core.versions import spell
from phased.engine.definitions.messages import time_of

MOST_VERSIONS: Final = 1000
"""Versions in one answer; the newest."""

_BEFORE: Final = frozenset({State.WAITING.value, State.STARTING.value})
_PAUSED: Final = frozenset({State.RETRYING.value, *(state.value for state in TERMINAL)})


@dataclass(slots=True)
class _Attempts:
    """When each attempt of one step was seen to begin and to end; microseconds since the epoch."""

    begun: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)

    def see(self, step: StepStatus, at: int) -> None:
        if step.state not in _BEFORE:
            self.begun.setdefault(step.attempt, at)
        if step.state in _PAUSED:
            self.ended.setdefault(step.attempt, at)


async def get_timeline(call: Call, request: m.GetTimelineRequest) -> m.GetTimelineResponse:
    """When each step of an execution ran, and what changed when."""
    stored = await find_execution(call, request.id)
    record = stored.record
    changes = [
        event.change for event in call.house.stream.about(record.id) if isinstance(event.change, StatusChange)
    ]
    planned = [step for group in record.spec.plan for step in group.steps]
    labels = {step.id or "": step.label or "" for step in planned}
    attempts = _attempts(changes)
    started = {step.id: step for step in stored.status.steps}
    return m.GetTimelineResponse.model_construct(
        id=record.id,
        steps=tuple(
            _step(started[step_id], label, attempts.get(step_id))
            for step_id, label in labels.items()
            if step_id in started
        ),
        versions=tuple(_version(change, labels) for change in changes[-MOST_VERSIONS:]),
        complete=(0 < len(changes) <= MOST_VERSIONS and not changes[0].expected_version) or None,
        now=time_of(call.house.clock.wall()),
    )


def _attempts(changes: Sequence[StatusChange]) -> dict[str, _Attempts]:
    """By step. A version is the moment at which it was made."""
    seen: dict[str, _Attempts] = {}
    for change in changes:
        for step in change.steps:
            seen.setdefault(step.id, _Attempts()).see(step, change.version)
    return seen


def _step(step: StepStatus, label: str, attempts: _Attempts | None) -> m.TimelineStep:
    known = attempts or _Attempts()
    return m.TimelineStep.model_construct(
        id=step.id,
        label=label or None,
        phase=step.phase,
        state=step.state or None,
        attempt=step.attempt,
        started_at=time_of(step.started_at),
        completed_at=time_of(step.completed_at),
        exit_code=step.exit_code,
        exit_signal=None if step.exit_signal is None else _name(step.exit_signal),
        attempts=tuple(
            m.TimelineAttempt.model_construct(
                number=number, started_at=time_of(begun), completed_at=time_of(known.ended.get(number))
            )
            for number, begun in known.begun.items()
        ),
    )


def _version(change: StatusChange, labels: Mapping[str, str]) -> m.TimelineVersion:
    return m.TimelineVersion.model_construct(
        status_version=spell(change.version),
        time=time_of(change.version),
        phase=change.phase,
        failure_message=change.failure_message,
        why=change.why,
        changes=tuple(
            m.TimelineChange.model_construct(
                step_id=step.id,
                label=labels.get(step.id) or None,
                phase=step.phase if step.phase is not TaskExecutionPhase.UNSPECIFIED else None,
                state=step.state or None,
                attempt=step.attempt,
            )
            for step in change.steps
        ),
    )


def _name(signal: int) -> str:
    try:
        return Signals(signal).name
    except ValueError:
        return str(signal)
