"""What the API shows of an execution: a TaskExecution made from its record and its status.

Knows the contract and the records. Must not know stores, runs or who reads. Pure, and called only where
somebody reads: serialising at every change would cost as much as half of the steps themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from phased.contract.execution import (
    TaskExecution,
    TaskExecutionMetadata,
    TaskExecutionPhase,
    TaskExecutionSpec,
    TaskExecutionStatus,
    TaskExecutionStatusStep,
)
from phased.contract.subject import Principal, Subject
from phased.core.status import StatusChange, StepStatus
from phased.core.versions import spell
from phased.ports import ExecutionRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def merge(status: StatusChange, change: StatusChange) -> StatusChange:
    """Both as one: the newer fields, every step of either; it leads from where `status` began.

    `change` must be the newer of the two. Steps stand in the order in which they first came.
    """
    steps = {step.id: step for step in status.steps}
    steps.update((step.id, step) for step in change.steps)
    return replace(change, expected_version=status.expected_version, steps=tuple(steps.values()))


def masked(status: StatusChange, hide: Callable[[str], str]) -> StatusChange:
    """A status whose outputs `hide` went over: a step may have set one to the value of a secret."""
    if not any(step.output for step in status.steps):
        return status
    steps = tuple(
        replace(step, output={key: hide(value) for key, value in step.output.items()})
        for step in status.steps
    )
    return replace(status, steps=steps)


def task_execution(record: ExecutionRecord, status: StatusChange) -> TaskExecution:
    """An execution as the API shows it; `status` holds every step that has started, in any order.

    Steps come in the order of the plan. `logUrl` is absent: only an API knows its own address.
    """
    return TaskExecution.model_construct(
        id=record.id,
        metadata=_metadata(record, status),
        spec=_spec(record, status),
        status=TaskExecutionStatus.model_construct(
            status_version=spell(status.version),
            phase=status.phase,
            failure_message=status.failure_message,
            steps=_steps(record, status),
        ),
    )


def _metadata(record: ExecutionRecord, status: StatusChange) -> TaskExecutionMetadata:
    creator = Subject.model_construct(id=record.creator_id, principal=Principal(record.creator_principal))
    return TaskExecutionMetadata.model_construct(
        task_id=record.task_id,
        environment_id=record.environment_id,
        created_at=_time(record.created_at),
        creator=creator,
        started_by=record.started_by,
        started_at=_time(status.started_at),
        completed_at=_time(status.completed_at),
    )


def _spec(record: ExecutionRecord, status: StatusChange) -> TaskExecutionSpec:
    if not status.stop_requested:
        return record.spec
    return record.spec.model_copy(update={"desired_phase": TaskExecutionPhase.STOPPED})


def _steps(record: ExecutionRecord, status: StatusChange) -> tuple[TaskExecutionStatusStep, ...]:
    started = {step.id: step for step in status.steps}
    planned = (step.id for group in record.spec.plan for step in group.steps)
    return tuple(_step(started[step_id]) for step_id in planned if step_id in started)


def _step(step: StepStatus) -> TaskExecutionStatusStep:
    return TaskExecutionStatusStep.model_construct(
        id=step.id, phase=step.phase, failure_message=step.failure_message, output=dict(step.output)
    )


def _time(microseconds: int | None) -> datetime | None:
    # Integer arithmetic: a float of seconds would lose the last digit.
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
