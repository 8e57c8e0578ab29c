"""From definitions to plans: ids that stay, policies, secrets, and what a trigger starts."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from phased.contract.definitions import (
    Definitions,
    EnvironmentEntry,
    Retries,
    ServiceDefinition,
    TaskDefinition,
)
from phased.core.policy import StepPolicy
from phased.core.specs import Catalog, automation_id, environment_id, plan_executions
from phased.errors import UnknownReference

ENVIRONMENT = environment_id("/work")
EXECUTION = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"


def task(reference: str, *needs: str, **values: object) -> TaskDefinition:
    """A task that runs `true`."""
    given = {"reference": reference, "name": reference, "command": "true", "depends_on": needs}
    return TaskDefinition.model_validate(given | values)


def catalog(*tasks: TaskDefinition, services: tuple[ServiceDefinition, ...] = ()) -> Catalog:
    """What one environment defines."""
    return Catalog(ENVIRONMENT, Definitions(tasks=tasks, services=services))


def labels(plan: object) -> list[list[str]]:
    """The plan by references."""
    return [[step.label for step in group.steps] for group in plan]  # type: ignore[attr-defined]


def test_a_plan_is_a_function_of_what_is_defined() -> None:
    """Planning twice gives the same ids; other executions have other ones."""
    defined = catalog(task("a"), task("b", "a"), task("other"))
    once, again = (defined.plan("b", EXECUTION) for _ in range(2))
    assert once == again
    assert labels(once.spec.plan) == [["a"], ["b"]]
    steps = [step for group in once.spec.plan for step in group.steps]
    assert steps[1].depends_on == (steps[0].id,)
    assert all(str(UUID(step.id)) == step.id for step in steps)
    assert once.task_id == automation_id(ENVIRONMENT, "b") == steps[1].task.id  # type: ignore[union-attr]
    shown = plan_executions(defined, ["b"])
    assert shown == plan_executions(defined, ["b", "b"])
    assert shown[0].spec.plan[0].steps[0].id != steps[0].id


def test_only_steps_that_say_something_have_a_policy() -> None:
    """Timeouts and retries in seconds; what settings say comes with it."""
    retries = Retries(limit=3, backoff=timedelta(seconds=5), exit_codes=(75,))
    planned = catalog(task("a"), task("b", "a", timeout=timedelta(minutes=10), retries=retries)).plan(
        "b", EXECUTION
    )
    policy = planned.policy(max_parallel=2, stop_timeout=3.0)
    assert list(policy.steps.values()) == [StepPolicy(600.0, 3, 5.0, frozenset({75}))]
    assert (policy.max_parallel, policy.stop_timeout, policy.kill_timeout) == (2, 3.0, 10.0)


def test_secrets_are_named_by_id() -> None:
    """The spec has the id alone; the name stands beside it."""
    entry = EnvironmentEntry(name="TOKEN", secret="deploy")
    planned = catalog(task("a", env=(entry,))).plan("a", EXECUTION)
    ((secret_id, name),) = planned.secrets.items()
    assert name == "deploy"
    spec = planned.spec.plan[0].steps[0].task
    assert spec is not None
    assert spec.spec is not None
    source = spec.spec.env[0].value_from
    assert source is not None
    assert source.secret_ref is not None
    assert source.secret_ref.id == secret_id


def test_a_service_is_a_step_of_its_own() -> None:
    """Named by its id; it has no task."""
    service = ServiceDefinition(reference="db", name="db", start="serve")
    planned = catalog(task("a", "db"), services=(service,)).plan("a", EXECUTION)
    step = planned.spec.plan[0].steps[0]
    assert (step.label, step.service_id, step.task) == ("db", automation_id(ENVIRONMENT, "db"), None)


def test_a_trigger_starts_what_names_it() -> None:
    """Tasks and services, in the order of definition; `plan` without words means every task."""
    service = ServiceDefinition(reference="db", name="db", start="serve", triggered_by=("prebuild",))
    defined = catalog(task("a"), task("b", triggered_by=("prebuild", "manual")), services=(service,))
    assert defined.triggered("prebuild") == (["b"], ["db"])
    assert [planned.reference for planned in plan_executions(defined, trigger="prebuild")] == ["b"]
    assert [planned.reference for planned in plan_executions(defined)] == ["a", "b"]
    with pytest.raises(UnknownReference, match="did you mean"):
        plan_executions(catalog(task("build")), ["biuld"])
