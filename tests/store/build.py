"""Builders of executions and statuses, so that a test shows what matters to it in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid5

from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.execution import Plan, PlanStep, PlanStepTask, TaskExecutionPhase, TaskExecutionSpec
from phased.contract.task import TaskSpec
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.core.status import StatusChange, StepStatus
from phased.ports import ExecutionRecord

Phase = TaskExecutionPhase
_NAMESPACE = UUID("3e0f8f6c-6a2b-4d1c-8c53-6f6f5cf2a001")


def identifier(name: str) -> str:
    """The same id for the same name."""
    return str(uuid5(_NAMESPACE, name))


def record(
    name: str = "one",
    *,
    execution_id: str | None = None,
    reference: str = "build",
    created_at: int = 1_000,
) -> ExecutionRecord:
    """A record that has something in every field."""
    return ExecutionRecord(
        execution_id or identifier(name),
        identifier("environment"),
        identifier(reference),
        reference,
        identifier("firing"),
        "postEnvironmentStart",
        identifier("somebody"),
        "PRINCIPAL_USER",
        created_at,
        spec("compile", "link"),
        ExecutionPolicy(3, 5.0, 6.0, {identifier("link"): StepPolicy(2.5, 3, 1.0, frozenset({75}))}),
        {identifier("secret"): "TOKEN"},
        "8c2c0f0e-4d7e-4f57-9f0d-0c9b4ed2b7f1",
    )


def spec(*steps: str) -> TaskExecutionSpec:
    """One group a step, each with a command and a variable."""
    return TaskExecutionSpec(
        plan=tuple(Plan(steps=(_step(name, steps[:index][-1:]),)) for index, name in enumerate(steps))
    )


def _step(name: str, needs: Sequence[str]) -> PlanStep:
    task = TaskSpec(
        command=f"echo 'ünïcode {name}'\nexit 0", env=(EnvironmentVariableItem(name="A", value="x=y"),)
    )
    return PlanStep(
        id=identifier(name),
        label=name,
        depends_on=tuple(identifier(need) for need in needs),
        task=PlanStepTask(id=identifier(f"task {name}"), spec=task),
    )


def change(
    of: ExecutionRecord, expected: int, version: int, phase: Phase = Phase.RUNNING, *steps: StepStatus
) -> StatusChange:
    """A status with nothing special about it."""
    return StatusChange(of.id, expected, version, phase, steps=steps)


def step(
    name: str, phase: Phase = Phase.RUNNING, *, attempt: int = 1, output: Mapping[str, str] | None = None
) -> StepStatus:
    """The status of a step by its name."""
    return StepStatus(
        identifier(name), phase, run_id=f"{identifier(name)}.{attempt}", attempt=attempt, output=output or {}
    )
