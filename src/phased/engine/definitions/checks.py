"""What must hold of everything that one environment defines. Knows definitions and the planner. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.core import planner
from phased.core.specs import Catalog
from phased.errors import AlreadyExists, CycleFound, InvalidArgument, UnknownReference

T = TypeVar("T", TaskDefinition, ServiceDefinition)


def checked(
    environment_id: str, tasks: Iterable[TaskDefinition], services: Iterable[ServiceDefinition]
) -> Catalog:
    """The catalog of these, once they hold together.

    Raises AlreadyExists (one reference for two), UnknownReference, CycleFound, InvalidArgument (a trigger
    that a service cannot have).
    """
    made = Definitions(tasks=tuple(tasks), services=tuple(services))
    catalog = Catalog(environment_id, made)
    _check_ambiguous(catalog)
    _check_triggers(catalog)
    _check_needs(catalog)
    return catalog


def merged(before: Mapping[str, T], new: Iterable[T], *, prune: bool) -> dict[str, T]:
    """By reference, what a file leaves; `prune`: nothing else stays."""
    kept = {} if prune else dict(before)
    return kept | {one.reference: one for one in new}


def _check_ambiguous(catalog: Catalog) -> None:
    twice = [reference for reference in catalog.services if reference in catalog.tasks]
    if twice:
        raise AlreadyExists(
            f"cannot use {twice[0]!r} for a task and a service: it would be ambiguous; rename one of them"
        )


def _check_triggers(catalog: Catalog) -> None:
    for service in catalog.services.values():
        if "beforeSnapshot" in service.triggered_by:
            raise InvalidArgument(
                f"cannot start the service {service.reference} by beforeSnapshot: that starts tasks alone; "
                "use prebuild, or make it a task"
            )


def _check_needs(catalog: Catalog) -> None:
    needs = catalog.needs
    for wanted in needs.values():
        for need in wanted:
            if need not in needs:
                raise UnknownReference(need, near=planner.nearest(need, needs), known=tuple(needs))
    if any(needs.values()):  # most have none, and then no graph is needed
        cycles = planner.cycles(needs)
        if cycles:
            raise CycleFound(cycles[0])
