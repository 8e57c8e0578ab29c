"""Firings of triggers, as records: what was to be started, what became of it, and so how each ended.

Pure. Knows triggers by their names. Must not know stores, engines or who asks. Times are microseconds since
the epoch. The rules: `semantics: Triggers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final
from uuid import UUID, uuid5

from phased.core.specs import Catalog

TRIGGERS: Final = (
    "manual",
    "postMachineStart",
    "postEnvironmentStart",
    "postDevcontainerStart",
    "prebuild",
    "beforeSnapshot",
)
"""As the automations file spells them."""


class Result(Enum):
    """How a firing, or a part of it, stands; the worst of several is the one that comes first here."""

    INTERRUPTED = "interrupted"
    """The engine was lost before it had ended; it can be resumed."""
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "running"
    SUCCEEDED = "succeeded"


_ORDER: Final = tuple(Result)


@dataclass(frozen=True, slots=True)
class FiringPart:
    """One task or service that a firing starts."""

    reference: str
    is_service: bool
    trigger: str
    """The first of the firing's triggers that names it."""
    required: bool = True
    """Whether the firing fails with it; else it is a warning."""
    execution_id: str = ""
    """Of a task, once its execution is created."""
    joined: bool = False
    """It was started earlier, and ran still."""
    result: Result = Result.RUNNING
    cause: str = ""
    """Why it did not succeed."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it is to come."""
        return self.result is not Result.RUNNING


@dataclass(frozen=True, slots=True)
class FiringRecord:
    """One firing: saved before its first effect, and again after its last."""

    id: str
    environment_id: str
    triggers: tuple[str, ...]
    created_at: int
    creator_id: str
    creator_principal: str
    parts: tuple[FiringPart, ...] = ()
    is_prebuild: bool = False
    """Its `beforeSnapshot` parts start when all others have ended, and what it started ends with it."""
    resumes: str = ""
    """The id of the firing whose rest it runs."""
    result: Result = Result.RUNNING
    cause: str = ""
    """What is wrong with the whole, beside its parts."""
    completed_at: int | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What did not succeed and was not required to."""
        return tuple(
            f"{part.reference}: {part.cause or part.result.value}"
            for part in self.parts
            if not part.required and part.ended and part.result is not Result.SUCCEEDED
        )

    @property
    def rest(self) -> tuple[FiringPart, ...]:
        """What has not succeeded: what a resumed firing runs."""
        return tuple(part for part in self.parts if part.result is not Result.SUCCEEDED)

    def id_within(self, trigger: str) -> str:
        """The firing within which a task of this trigger runs once: in a prebuild, each wave is one."""
        return str(uuid5(UUID(self.id), trigger)) if self.is_prebuild else self.id

    def with_parts(self, *newer: FiringPart) -> FiringRecord:
        """The record with a newer state of some of its parts."""
        found = {(part.trigger, part.reference): part for part in newer}
        return replace(self, parts=tuple(found.get((one.trigger, one.reference), one) for one in self.parts))

    def completed(self, at: int, *, cause: str = "", result: Result | None = None) -> FiringRecord:
        """The record after its last effect: `result`, or what its required parts make of it."""
        if result is None:
            result = worst(part.result for part in self.parts if part.required)
        return replace(self, result=result, cause=cause, completed_at=at)


def worst(results: Iterable[Result]) -> Result:
    """What counts of several; nothing at all succeeded."""
    return min(results, key=_ORDER.index, default=Result.SUCCEEDED)


def parts_of(
    catalog: Catalog, triggers: Sequence[str], *, is_prebuild: bool = False
) -> tuple[FiringPart, ...]:
    """What these triggers start, tasks before services, each once; in a prebuild, once for each trigger.

    Only in a prebuild tasks may fail without the whole failing: those without `prebuildRequiresSuccess`.
    """
    found: dict[tuple[str, str], FiringPart] = {}
    for trigger in triggers:
        tasks, services = catalog.triggered(trigger)
        for reference in (*tasks, *services):
            is_service = reference in catalog.services
            required = not is_prebuild or (
                not is_service and bool(catalog.tasks[reference].prebuild_requires_success)
            )
            part = FiringPart(reference, is_service, trigger, required)
            found.setdefault((trigger if is_prebuild else "", reference), part)
    return tuple(found.values())
