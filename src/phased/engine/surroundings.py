"""What a step finds around itself: its variables, and where its outputs go.

The order and the names: `semantics: Tasks and executions`, "Environment of a step" and "Outputs".
"""

from __future__ import annotations

import re

from phased.contract.execution import PlanStep
from phased.engine.registry import LiveExecution

OUTPUT_SUFFIX = ".output"
"""A step's output file stands beside its log under this suffix; the step creates it, if at all."""

_MAX_KEY, _MAX_VALUE = 128, 4096


def variables(live: LiveExecution, step_id: str, log: str) -> dict[str, str]:
    """What this step has beside the base environment; later entries win."""
    step = live.steps[step_id]
    task = step.task.spec if step.task else None
    found: dict[str, str] = {}
    for item in task.env if task else ():
        if item.name and item.value is not None:
            found[item.name] = item.value
    for need in step.depends_on:
        found.update(_outputs(live, live.steps[need]))
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
            name = live.planned.secrets.get(reference.id or "", "")
            return f"the secret {name or reference.id} ({reference.id}) is missing"
    return None


def outputs_of(log: str) -> dict[str, str]:
    """The outputs that a step left in its file: KEY=VALUE lines, the last of a key wins.

    What is no such line, or is longer than the contract allows, is left out.
    """
    try:
        with open(log + OUTPUT_SUFFIX, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot path
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value for key, value in pairs if 1 <= len(key) <= _MAX_KEY and len(value) <= _MAX_VALUE}


def _outputs(live: LiveExecution, need: PlanStep) -> dict[str, str]:
    label = _upper(need.label or "")
    output = live.machine.steps[need.id or ""].output
    return {f"PHASED_OUTPUT_{label}_{_upper(key)}": value for key, value in output.items()}


def _upper(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()
