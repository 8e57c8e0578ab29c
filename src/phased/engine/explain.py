"""Where each variable of a step, or of a service's commands, comes from, without anything being started.

Knows definitions, the surroundings and the port of secrets. Must not know messages. It goes through the same
layers as a start does, so that both cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from phased.core.planner import nearest
from phased.core.specs import Catalog, automation_id
from phased.engine.places import container_of
from phased.engine.surroundings import (
    Entry,
    Surroundings,
    Variable,
    entries_of_service,
    entries_of_task,
    layers,
    own_of_service,
    own_of_step,
)
from phased.errors import NotFound
from phased.ports import ContainerRequest, StepAccess

_NONE: Final = "00000000-0000-0000-0000-000000000000"
_OTHER_EACH_TIME: Final = frozenset(
    {"PHASED_EXECUTION_ID", "PHASED_STEP_ID", "PHASED_OUTPUT", "PHASED_SESSION", "PHASED_RUN_ID"}
)


@dataclass(frozen=True, slots=True)
class Explained:
    """One variable as a command would find it."""

    name: str
    value: str | None = field(repr=False)
    """None for a secret, one that is missing, and what is another in each run."""
    origin: str
    secret: str = ""
    """The name, else the id, of the secret that it holds."""
    hides: tuple[str, ...] = ()
    """The origins that had it too, the strongest first."""
    missing: bool = False
    """There is no such secret."""


@dataclass(frozen=True, slots=True)
class Around:
    """What does not depend on the task or service."""

    base: Mapping[str, str]
    """What every command of the environment starts with."""
    given: Mapping[str, str]
    """The environment's own variables."""
    started_by: str
    directory: str
    """Where commands run."""


def explain(catalog: Catalog, reference: str, around: Around, access: StepAccess) -> list[Explained]:
    """The variables of a task or service, by name; outputs of what it depends on are known only when it runs.

    Raises NotFound; PhasedError where a secret cannot be had.
    """
    surroundings = _surroundings(catalog, reference, around)
    found: dict[str, Explained] = {}
    for one in _all(surroundings, around, access, _container(catalog, reference)):
        before = found.pop(one.name, None)
        hides = () if before is None else (before.origin, *before.hides)
        shown = None if one.secret or one.name in _OTHER_EACH_TIME else one.value
        found[one.name] = Explained(one.name, shown, one.origin, one.secret, hides)
    for entry in _missing(surroundings, access):
        known = entry.secret_name or entry.secret
        found[entry.name] = Explained(entry.name, None, "env of its definition", known, missing=True)
    return sorted(found.values(), key=lambda one: one.name)


def _all(
    surroundings: Surroundings, around: Around, access: StepAccess, container: ContainerRequest | None
) -> Iterator[Variable]:
    """In a container the image's own are the base, which only the engine of containers knows."""
    if container is None:
        for name, value in around.base.items():
            yield Variable(name, value, "the base environment")
    else:
        for name, value in container.variables(around.base).items():
            yield Variable(name, value, "runsOn.docker.environment")
    yield from layers(surroundings, access)
    yield Variable("PHASED_RUN_ID", "", "phased")
    yield Variable("PWD", around.directory, "phased")


def _container(catalog: Catalog, reference: str) -> ContainerRequest | None:
    definition = catalog.services.get(reference) or catalog.tasks.get(reference)
    return container_of(definition.runs_on if definition else None, {})


def _missing(surroundings: Surroundings, access: StepAccess) -> Iterator[Entry]:
    where = surroundings.environment_id
    for entry in surroundings.entries:
        if entry.secret and access.secret(where, entry.secret, surroundings.started_by) is None:
            yield entry


def _surroundings(catalog: Catalog, reference: str, around: Around) -> Surroundings:
    environment = catalog.environment
    service = catalog.services.get(reference)
    if service is not None:
        own = own_of_service(environment, automation_id(environment, reference), reference, "", "")
        entries = tuple(entries_of_service(service.env, environment))
        return Surroundings(environment, around.started_by, entries, around.given, own=own)
    if reference not in catalog.tasks:
        near = nearest(reference, catalog.needs)
        hint = f"did you mean {' or '.join(near)}?" if near else "`phased task list` shows the tasks"
        raise NotFound(f"cannot find a task or service {reference!r}; {hint}")
    plan = catalog.plan(reference, _NONE)
    step = next(step for group in plan.spec.plan for step in group.steps if step.label == reference)
    items = step.task.spec.env if step.task and step.task.spec else ()
    own = own_of_step(environment, "", "", reference, "")
    made = Surroundings(environment, around.started_by, tuple(entries_of_task(items, plan.secrets)), own=own)
    return replace(made, given=around.given)
