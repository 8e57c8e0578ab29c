"""An execution as the API shows it."""

from __future__ import annotations

from phased.contract.base import to_dict
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.specs import Catalog
from phased.core.status import StatusChange, StepStatus
from phased.engine.view import merge, task_execution
from phased.ports import ExecutionRecord
from tests.engine.build import catalog

EXECUTION = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"
SUBJECT = "3d0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a22"


def record(tasks: Catalog, reference: str) -> ExecutionRecord:
    """A record of an execution of that task."""
    planned = tasks.plan(reference, EXECUTION)
    return ExecutionRecord(
        EXECUTION, tasks.environment, planned.task_id, reference, "f", "manual", SUBJECT, "PRINCIPAL_USER",
        1_700_000_000_000_001, planned.spec,
    )  # fmt: skip


def test_steps_stand_in_the_order_of_the_plan_and_the_rest_is_absent() -> None:
    """What has not started has no status; times keep their microseconds."""
    of = record(catalog("a", "b", "c: a b"), "c")
    ids = [step.id or "" for group in of.spec.plan for step in group.steps]
    steps = (
        StepStatus(ids[1], Phase.FAILED, "exit code 3", output={"K": "v"}),
        StepStatus(ids[0], Phase.RUNNING),
    )
    status = StatusChange(
        EXECUTION, 4, 5, Phase.RUNNING, "step b failed: exit code 3", 1_700_000_000_000_002, steps=steps
    )
    shown = to_dict(task_execution(of, status))
    assert [step["id"] for step in shown["status"]["steps"]] == ids[:2]
    assert shown["status"]["steps"][1]["output"] == {"K": "v"}
    assert shown["status"]["statusVersion"] == "0000000000000005"
    assert shown["status"]["failureMessage"] == "step b failed: exit code 3"
    assert shown["metadata"]["createdAt"] == "2023-11-14T22:13:20.000001Z"
    assert shown["metadata"]["startedAt"] == "2023-11-14T22:13:20.000002Z"
    assert "completedAt" not in shown["metadata"]
    assert "desiredPhase" not in shown["spec"]


def test_a_requested_stop_shows_in_the_spec() -> None:
    """As the phase that is wanted."""
    of = record(catalog("a"), "a")
    shown = to_dict(task_execution(of, StatusChange(EXECUTION, 0, 1, Phase.RUNNING, stop_requested=True)))
    assert shown["spec"]["desiredPhase"] == "TASK_EXECUTION_PHASE_STOPPED"


def test_two_changes_merge_to_one() -> None:
    """From where the first began to where the second leads."""
    first = StatusChange(
        "x", 1, 2, Phase.RUNNING, steps=(StepStatus("a", Phase.PENDING), StepStatus("b", Phase.PENDING))
    )
    second = StatusChange("x", 2, 3, Phase.FAILED, "why", steps=(StepStatus("a", Phase.FAILED, "why"),))
    merged = merge(first, second)
    assert (merged.expected_version, merged.version, merged.phase) == (1, 3, Phase.FAILED)
    assert [(step.id, step.phase) for step in merged.steps] == [("a", Phase.FAILED), ("b", Phase.PENDING)]
