"""Builders for plans and machines, so that a test shows its graph in one line."""

from __future__ import annotations

from phased.contract.execution import Plan, PlanStep, PlanStepTask, TaskExecutionSpec
from phased.contract.task import TaskSpec
from phased.core.events import Instant
from phased.core.execution import ExecutionMachine
from phased.core.policy import ExecutionPolicy, StepPolicy

EXECUTION = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"


def at(seconds: float) -> Instant:
    """That many seconds after an arbitrary beginning, on both clocks."""
    return Instant(1_700_000_000_000_000 + int(seconds * 1_000_000), 1000.0 + seconds)


def spec(*groups: str) -> TaskExecutionSpec:
    """`spec("a b", "c", "all!")`: two steps, then one, then one without a command."""
    return TaskExecutionSpec(
        plan=tuple(
            Plan(
                steps=tuple(
                    PlanStep.model_construct(
                        id=name.rstrip("!"),
                        label=name.rstrip("!"),
                        depends_on=(),
                        task=PlanStepTask.model_construct(
                            spec=TaskSpec(command=None if name.endswith("!") else "true")
                        ),
                    )
                    for name in group.split()
                )
            )
            for group in groups
        )
    )


def machine(*groups: str, max_parallel: int = 64, **steps: StepPolicy) -> ExecutionMachine:
    """A machine for such a plan; keyword arguments are the policies of steps."""
    return ExecutionMachine(EXECUTION, spec(*groups), ExecutionPolicy(max_parallel, steps=steps))
