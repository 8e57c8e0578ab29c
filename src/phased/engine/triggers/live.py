"""A firing that has not ended: its record as it grows, and what was started for it.

Knows records, executions and services by their live ends. Must not know stores or who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.firing import FiringPart, FiringRecord, Result
from phased.core.specs import Catalog
from phased.core.status import StatusChange
from phased.engine.recovery import ENDED_AWAY, REBOOTED
from phased.engine.registry import LiveExecution
from phased.engine.services.live import LiveService

NOT_AWAITED: Final = "it was not waited for any more"


@dataclass(frozen=True, slots=True)
class Site:
    """Where something is fired: an environment, what it defines, and its directory."""

    environment_id: str
    catalog: Catalog
    workspace: str


@dataclass(slots=True, eq=False)
class LiveFiring:
    """One firing of this engine's."""

    record: FiringRecord
    done: anyio.Event = field(default_factory=anyio.Event)
    """It is completed, and that is saved, or cannot be."""
    executions: dict[tuple[str, str], LiveExecution] = field(default_factory=dict)
    """Of its tasks that have not ended when they were started or joined, by trigger and reference."""
    services: dict[tuple[str, str], LiveService] = field(default_factory=dict)
    stopped_by: str = ""
    """Who asked it to stop, if anybody did."""
    stopping: anyio.Event = field(default_factory=anyio.Event)
    """Set with `stopped_by`: services are not waited for any more."""
    changed: anyio.Event = field(default_factory=anyio.Event)
    """Set, and replaced, when a part has a newer state."""

    def tell(self, *parts: FiringPart) -> None:
        """Some of its parts have a newer state."""
        self.record = self.record.with_parts(*parts)
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    def part(self, key: tuple[str, str]) -> FiringPart:
        """The newest state of a part."""
        return next(one for one in self.record.parts if key_of(one) == key)

    @property
    def own(self) -> Iterator[LiveExecution]:
        """The executions that it started itself, and not joined."""
        for key, live in self.executions.items():
            if not self.part(key).joined:
                yield live


def running_of(
    lives: Iterable[LiveExecution], environment_id: str, reference: str, trigger: str
) -> LiveExecution | None:
    """The execution of a task that this trigger started earlier, if it runs and no stop is under way."""
    wanted = (environment_id, reference, trigger)
    return next((
        live
        for live in lives
        if (live.record.environment_id, live.record.reference, live.record.started_by) == wanted
        and not (live.machine.finished or live.machine.stop_requested)
    ), None)  # fmt: skip


def key_of(part: FiringPart) -> tuple[str, str]:
    """What tells it from the other parts of its firing."""
    return part.trigger, part.reference


def after_execution(part: FiringPart, status: StatusChange) -> FiringPart:
    """A task's part, as its execution stands."""
    match status.phase:
        case Phase.SUCCEEDED:
            return replace(part, result=Result.SUCCEEDED, cause="")
        case Phase.FAILED:
            return _failed(part, status.failure_message or "")
        case Phase.STOPPED:
            return replace(part, result=Result.STOPPED, cause=status.why or "it was stopped")
        case _:
            return part


def after_service(part: FiringPart, cause: str | None) -> FiringPart:
    """A service's part, once it is decided whether it is ready; `cause`: why it never will be."""
    if cause is None:
        return replace(part, result=Result.SUCCEEDED, cause="")
    stopped = any(text in cause for text in (" stopped before ", " was deleted before ", NOT_AWAITED))
    return replace(part, result=Result.STOPPED, cause=cause) if stopped else _failed(part, cause)


def _failed(part: FiringPart, cause: str) -> FiringPart:
    """Where an engine, or the machine, was lost meanwhile, it failed by that: it is to be run again."""
    lost = any(words in cause for words in (" was lost", ENDED_AWAY, REBOOTED))
    return replace(part, result=Result.INTERRUPTED if lost else Result.FAILED, cause=cause)
