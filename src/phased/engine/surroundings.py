"""What a step, or a service's command, finds around itself: every variable beside the base, and its origin.

Knows records and the port of secrets. Must not know runs. One function builds it for whoever starts a step,
and for who asks where a variable comes from. The order and the names: `semantics: Tasks and executions`,
"Environment of a step".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from phased.contract.definitions import EnvironmentEntry
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.core.specs import secret_id
from phased.engine.outputs import OUTPUT_SUFFIX, variables_of
from phased.engine.registry import LiveExecution
from phased.engine.services.live import LiveService
from phased.ports import StepAccess

_HIDDEN: Final = "PHASED_TOKEN"


@dataclass(frozen=True, slots=True)
class Entry:
    """A variable as it is defined: a literal, or the id of a secret and its name, if that is known."""

    name: str
    value: str = ""
    secret: str = ""
    secret_name: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one command's variables are made of."""

    environment_id: str
    started_by: str
    entries: tuple[Entry, ...]
    """`env` of its definition, in order."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The environment's own variables."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Of the steps that it depends on, as variables."""
    own: Mapping[str, str] = field(default_factory=dict)
    """What says which command it is."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable and where it comes from."""

    name: str
    value: str = field(repr=False)
    origin: str
    """A phrase: `the environment`, `env of build`."""
    secret: str = ""
    """Its value is a secret, of this name; it is not to be shown."""


def layers(around: Surroundings, access: StepAccess) -> Iterator[Variable]:
    """Every variable, weaker ones first: of two with one name the later counts.

    Raises PhasedError where a secret cannot be had; those that are missing are left out.
    """
    where = around.environment_id, around.started_by
    for name, value in around.given.items():
        yield Variable(name, value, "the environment")
    for name, value in access.mounted(*where).items():
        yield Variable(name, value, "a secret that is mounted", name)
    for entry in around.entries:
        if not entry.secret:
            yield Variable(entry.name, entry.value, "env of its definition")
        elif (found := access.secret(where[0], entry.secret, where[1])) is not None:
            known = entry.secret_name or entry.secret
            yield Variable(entry.name, found, "env of its definition", known)
    for name, value in around.outputs.items():
        yield Variable(name, value, "an output of what it depends on")
    for name, value in around.own.items():
        yield Variable(name, value, "phased")
    for name, value in access.way_back(*where).items():
        yield Variable(name, value, "phased", name if name == _HIDDEN else "")


def variables(around: Surroundings, access: StepAccess) -> dict[str, str]:
    """What the command gets beside its base. Raises PhasedError as `layers`."""
    return {one.name: one.value for one in layers(around, access)}


def missing_secret(around: Surroundings, access: StepAccess) -> str | None:
    """The cause to fail with where a secret that is named is missing. Raises PhasedError.

    With its id (`semantics: End states carry their cause`).
    """
    for entry in around.entries:
        if entry.secret and access.secret(around.environment_id, entry.secret, around.started_by) is None:
            shown = f"{entry.secret_name} ({entry.secret})" if entry.secret_name else entry.secret
            return f"the secret {shown} is missing"
    return None


# ---- of what there is -------------------------------------------------------------------------------


def of_step(
    live: LiveExecution, step_id: str, log: str = "", given: Mapping[str, str] | None = None
) -> Surroundings:
    """Of a step of an execution that writes to this log."""
    step, record = live.steps[step_id], live.record
    task = step.task.spec if step.task else None
    outputs: dict[str, str] = {}
    for need in step.depends_on or ():
        if live.machine.steps[need].output:
            outputs.update(variables_of(live, need))
    own = own_of_step(record.environment_id, record.id, step_id, step.label or "", log)
    entries = tuple(entries_of_task((task.env if task else ()) or (), record.secrets))
    return Surroundings(record.environment_id, record.started_by, entries, given or {}, outputs, own)


def own_of_step(environment_id: str, execution_id: str, step_id: str, label: str, log: str) -> dict[str, str]:
    """What tells a step which it is."""
    return {
        "PHASED_ENVIRONMENT_ID": environment_id,
        "GITPOD_ENVIRONMENT_ID": environment_id,
        "PHASED_EXECUTION_ID": execution_id,
        "PHASED_STEP_ID": step_id,
        "PHASED_TASK": label,
        "PHASED_OUTPUT": f"{log}{OUTPUT_SUFFIX}",
    }


def of_service(live: LiveService, log: str, given: Mapping[str, str] | None = None) -> Surroundings:
    """Of the commands of a service whose own log this is."""
    record = live.record
    entries = tuple(entries_of_service(live.running.env, record.environment_id))
    own = own_of_service(record.environment_id, record.id, record.reference, live.progress.session, log)
    return Surroundings(record.environment_id, record.started_by, entries, given or {}, record.given, own)


def own_of_service(
    environment_id: str, service_id: str, reference: str, session: str, log: str
) -> dict[str, str]:
    """What tells a service's command which it is."""
    return {
        "PHASED_ENVIRONMENT_ID": environment_id,
        "GITPOD_ENVIRONMENT_ID": environment_id,
        "PHASED_SERVICE": reference,
        "PHASED_SERVICE_ID": service_id,
        "PHASED_SESSION": session,
        "PHASED_OUTPUT": f"{log}{OUTPUT_SUFFIX}",
    }


def entries_of_task(items: Iterable[EnvironmentVariableItem], names: Mapping[str, str]) -> Iterator[Entry]:
    """The variables of a task's spec; `names` has those of secrets, by their ids."""
    for item in items:
        reference = item.value_from.secret_ref if item.value_from else None
        if item.name and reference is not None:
            wanted = reference.id or ""
            yield Entry(item.name, secret=wanted, secret_name=names.get(wanted, ""))
        elif item.name and item.value is not None:
            yield Entry(item.name, item.value)


def entries_of_service(entries: Iterable[EnvironmentEntry], environment_id: str) -> Iterator[Entry]:
    """The variables of a service's definition."""
    for entry in entries:
        if entry.secret_id or entry.secret:
            wanted = entry.secret_id or secret_id(environment_id, entry.secret or "")
            yield Entry(entry.name, secret=wanted, secret_name=entry.secret or "")
        elif entry.value is not None:
            yield Entry(entry.name, entry.value)
