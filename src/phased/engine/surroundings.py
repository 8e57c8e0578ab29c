"""What a step finds around itself: the variables that it has beside the base environment.

The order and the names: `semantics: Tasks and executions`, "Environment of a step".
"""

from __future__ import annotations

from phased.engine.outputs import OUTPUT_SUFFIX, variables_of
from phased.engine.registry import LiveExecution


def variables(live: LiveExecution, step_id: str, log: str) -> dict[str, str]:
    """What this step has beside the base environment; later entries win."""
    step = live.steps[step_id]
    task = step.task.spec if step.task else None
    found: dict[str, str] = {}
    for item in (task.env if task else ()) or ():
        if item.name and item.value is not None:
            found[item.name] = item.value
    for need in step.depends_on or ():
        found.update(variables_of(live, need))
    record = live.record
    found["PHASED_ENVIRONMENT_ID"] = found["GITPOD_ENVIRONMENT_ID"] = record.environment_id
    found["PHASED_EXECUTION_ID"] = record.id
    found["PHASED_STEP_ID"] = step_id
    found["PHASED_TASK"] = step.label or ""
    found["PHASED_OUTPUT"] = log + OUTPUT_SUFFIX
    return found


def missing_secret(live: LiveExecution, step_id: str) -> str | None:
    """The cause to fail with where a step mounts a secret; there is no store of secrets yet."""
    task = live.steps[step_id].task
    for item in (task.spec.env if task and task.spec else ()) or ():
        reference = item.value_from.secret_ref if item.value_from else None
        if reference is not None:
            name = live.record.secrets.get(reference.id or "", "")
            return (
                f"the secret {name} ({reference.id}) is missing"
                if name
                else f"the secret {reference.id} is missing"
            )
    return None
