"""What a step finds around itself: the variables that it has beside the base environment.

The order and the names: `semantics: Tasks and executions`, "Environment of a step".
"""

from __future__ import annotations

from phased.engine.outputs import OUTPUT_SUFFIX, variables_of
from phased.engine.registry import LiveExecution
from phased.ports import StepAccess


def variables(live: LiveExecution, step_id: str, log: str, access: StepAccess) -> dict[str, str]:
    """What this step has beside the variables of its environment; later entries win.

    Raises PhasedError where a secret cannot be had; `missing_secret` is asked first.
    """
    step = live.steps[step_id]
    task = step.task.spec if step.task else None
    where = live.record.environment_id, live.record.started_by
    found = dict(access.mounted(*where))
    for item in (task.env if task else ()) or ():
        reference = item.value_from.secret_ref.id if item.value_from else None
        value = item.value if reference is None else access.secret(where[0], reference, where[1])
        if item.name and value is not None:
            found[item.name] = value
    for need in step.depends_on or ():
        found.update(variables_of(live, need))
    record = live.record
    found["PHASED_ENVIRONMENT_ID"] = found["GITPOD_ENVIRONMENT_ID"] = record.environment_id
    found["PHASED_EXECUTION_ID"] = record.id
    found["PHASED_STEP_ID"] = step_id
    found["PHASED_TASK"] = step.label or ""
    found["PHASED_OUTPUT"] = log + OUTPUT_SUFFIX
    found.update(access.way_back(record.environment_id, record.started_by))
    return found


def missing_secret(live: LiveExecution, step_id: str, access: StepAccess) -> str | None:
    """The cause to fail with where a step names a secret that is missing. Raises PhasedError."""
    task = live.steps[step_id].task
    record = live.record
    for item in (task.spec.env if task and task.spec else ()) or ():
        wanted = item.value_from.secret_ref.id if item.value_from else None
        if wanted is not None and access.secret(record.environment_id, wanted, record.started_by) is None:
            return cause_of_missing(wanted, record.secrets.get(wanted, ""))
    return None


def cause_of_missing(secret_id: str, name: str = "") -> str:
    """A missing secret in a failure's message, with its id (`semantics: End states carry their cause`)."""
    return f"the secret {name} ({secret_id}) is missing" if name else f"the secret {secret_id} is missing"
