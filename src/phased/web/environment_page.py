"""The page of one environment: its tasks and services, what waits for whom, what can be started.

Knows the API's messages. Must not know the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from phased.contract.environment import Environment
from phased.contract.environment_calls import GetEnvironmentRequest, GetEnvironmentResponse
from phased.contract.execution import TaskExecutionPhase
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1_firing import Firing, ListFiringsRequest, ListFiringsResponse
from phased.contract.phased_v1_web import (
    Automation,
    CheckFileRequest,
    CheckFileResponse,
    ListAutomationsRequest,
    ListAutomationsResponse,
)
from phased.contract.service import ServicePhase

if TYPE_CHECKING:
    from phased.web.visit import Visit

TRIGGERS: Final[Mapping[str, str]] = {
    "manual": "started by hand",
    "postMachineStart": "when the machine is up",
    "postEnvironmentStart": "at every start of the environment",
    "postDevcontainerStart": "after the dev container starts",
    "prebuild": "during a prebuild",
    "beforeSnapshot": "before a snapshot",
}
"""What each means, in the order of a day."""

_LIVE: Final = frozenset({TaskExecutionPhase.PENDING, TaskExecutionPhase.RUNNING})
_UP: Final = frozenset({ServicePhase.STARTING, ServicePhase.RUNNING})
_FIRINGS: Final = 25


@dataclass(frozen=True, slots=True)
class Card:
    """One task or service on the page."""

    automation: Automation
    needed_by: Sequence[str]

    @property
    def phase(self) -> object:
        """Of the newest execution, or of the service; None: it never ran."""
        one = self.automation
        if one.service:
            return one.service_phase if one.session else None
        return one.last_run.phase if one.last_run else None

    @property
    def is_live(self) -> bool:
        """Whether it can be stopped."""
        one = self.automation
        if one.service:
            return one.service_phase in _UP
        return one.last_run is not None and one.last_run.phase in _LIVE

    @property
    def trouble(self) -> str | None:
        """Why it failed, or is about to."""
        one = self.automation
        if one.service:
            return one.failure_message
        return one.last_run.failure_message if one.last_run else None

    @property
    def is_manual(self) -> bool:
        """Whether it asks for a button (`semantics: Triggers`)."""
        return "manual" in self.automation.triggered_by


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a trigger would start."""

    name: str
    meaning: str
    references: Sequence[str]
    last: Firing | None


async def show(visit: Visit) -> Response:
    """One environment."""
    wanted = visit.request.path_params["environment"]
    environment = await environment_of(visit, wanted)
    listed = await visit.ask(ListAutomationsRequest(environment_id=wanted), ListAutomationsResponse)
    file = await visit.ask(CheckFileRequest(environment_id=wanted), CheckFileResponse)
    firings = await visit.ask(
        ListFiringsRequest(environment_ids=(wanted,), pagination=PaginationRequest(page_size=_FIRINGS)),
        ListFiringsResponse,
    )
    automations = listed.automations
    return visit.show(
        "environment.html",
        environment=environment,
        columns=_columns(automations),
        kinds={one.reference: "service" if one.service else "task" for one in automations},
        triggers=_triggers(automations, firings.firings),
        file=file,
        errors=[one for one in file.problems if not one.warning],
    )


async def environment_of(visit: Visit, environment_id: str) -> Environment:
    """The environment with an id. Raises NotFound, PermissionDenied, InvalidArgument."""
    found = await visit.ask(GetEnvironmentRequest(environment_id=environment_id), GetEnvironmentResponse)
    return found.environment


def _columns(automations: Sequence[Automation]) -> list[list[Card]]:
    """Side by side: what nothing is needed for, then what needs only that, and so on."""
    needed: dict[str, list[str]] = {}
    for one in automations:
        for need in one.depends_on:
            needed.setdefault(need, []).append(one.reference or "")
    found: list[list[Card]] = [[] for _ in range(1 + max((one.group or 0 for one in automations), default=0))]
    for one in automations:
        found[one.group or 0].append(Card(one, needed.get(one.reference or "", ())))
    return [column for column in found if column]


def _triggers(automations: Sequence[Automation], firings: Sequence[Firing]) -> list[Trigger]:
    newest: dict[str, Firing] = {}
    for firing in firings:
        for name in firing.triggers:
            newest.setdefault(name, firing)
    found = []
    for name, meaning in TRIGGERS.items():
        references = [one.reference or "" for one in automations if name in one.triggered_by]
        if references:
            found.append(Trigger(name, meaning, references, newest.get(name)))
    return found
