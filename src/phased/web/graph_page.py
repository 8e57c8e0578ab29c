"""The pictures of plans: of an execution as it runs, and of all that an environment defines.

Knows the API's messages and the layout. Must not know the engine. A layout is remembered: plans never change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.responses import Response

from phased.contract.environment_calls import GetEnvironmentRequest, GetEnvironmentResponse
from phased.contract.execution import TaskExecution
from phased.contract.phased_v1_web import Automation, ListAutomationsRequest, ListAutomationsResponse
from phased.contract.service_calls import ListServicesRequest, ListServicesRequestFilter, ListServicesResponse
from phased.errors import NotFound
from phased.web.layout import Box, Layout, Node, arrange
from phased.web.rendering import phase_word

if TYPE_CHECKING:
    from phased.web.visit import Visit

_LONGEST = 21
"""Characters of a label that a box has room for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a box shows."""

    label: str
    phase: Any
    """A phase of the contract; None: not started."""
    href: str
    step_id: str = ""
    execution_id: str = ""
    service_id: str = ""
    without: str = "waiting"
    """The word where there is no phase."""

    @property
    def word(self) -> str:
        """Its phase as a word."""
        return self.without if self.phase is None else phase_word(self.phase)

    @property
    def short(self) -> str:
        """The label, or its beginning and end where it is long."""
        if len(self.label) <= _LONGEST:
            return self.label
        return f"{self.label[: _LONGEST - 9]}…{self.label[-8:]}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A layout with what its boxes show."""

    layout: Layout
    shown: Mapping[str, Shown]

    @property
    def dense(self) -> bool:
        """Boxes of one line."""
        return any(box.height < 40 for box in self.layout.boxes[:1])

    @property
    def boxes(self) -> Sequence[tuple[Box, Shown]]:
        """Each box with what it shows."""
        return [(box, self.shown[box.id]) for box in self.layout.boxes]

    @property
    def columns(self) -> Sequence[tuple[int, int]]:
        """Each column's left edge, and how many boxes are in it."""
        counts = [0] * len(self.layout.columns)
        for box in self.layout.boxes:
            counts[box.column] += 1
        return list(zip(self.layout.columns, counts, strict=True))

    @property
    def lines(self) -> Sequence[tuple[str, str, str]]:
        """Path, and what it leads from and to, by the number of the box, or the name of the knot."""
        numbers = {box.id: str(number) for number, box in enumerate(self.layout.boxes)}
        return [
            (line.path, numbers.get(line.source, line.source), numbers.get(line.target, line.target))
            for line in self.layout.lines
        ]


async def picture_of(execution: TaskExecution) -> Picture:
    """The plan of an execution, as it stands."""
    plan = execution.spec.plan if execution.spec else ()
    phases = {step.id: step.phase for step in (execution.status.steps if execution.status else ())}
    ended = bool(execution.metadata and execution.metadata.completed_at)
    groups = tuple(tuple(Node(step.id or "", step.depends_on) for step in group.steps) for group in plan)
    shown = {
        step.id or "": Shown(
            step.label or step.id or "",
            phases.get(step.id),
            f"/web/executions/{execution.id}/steps/{step.id}",
            step_id=step.id or "",
            without="skipped" if ended else "waiting",
        )
        for group in plan
        for step in group.steps
    }
    return Picture(await _arranged(groups), shown)


async def show(visit: Visit) -> Response:
    """All that an environment defines, or `?reference=` with what it needs."""
    wanted = visit.request.path_params["environment"]
    found = await visit.ask(GetEnvironmentRequest(environment_id=wanted), GetEnvironmentResponse)
    listed = await visit.ask(ListAutomationsRequest(environment_id=wanted), ListAutomationsResponse)
    narrowed = ListServicesRequestFilter(environment_ids=(wanted,))
    pages = visit.pages(
        lambda page: ListServicesRequest(pagination=page, filter=narrowed), ListServicesResponse
    )
    services = {one.id: one async for page in pages for one in page.services}
    reference = visit.request.query_params.get("reference", "")
    chosen = _needed(listed.automations, reference)
    shown = {one.reference or "": _automation(one, services) for one in chosen}
    picture = Picture(await _arranged(_generations(chosen)), shown)
    return visit.show(
        "graph.html",
        environment=found.environment,
        picture=picture,
        reference=reference,
        references=[one.reference for one in listed.automations],
        newest=next((one.last_run for one in chosen if one.reference == reference), None),
    )


async def _arranged(groups: tuple[tuple[Node, ...], ...]) -> Layout:
    """In a thread: a large plan takes its time."""
    return await anyio.to_thread.run_sync(_remembered, groups)


@lru_cache(maxsize=64)
def _remembered(groups: tuple[tuple[Node, ...], ...]) -> Layout:
    return arrange(groups)


def _needed(automations: Sequence[Automation], reference: str) -> list[Automation]:
    """Those that one needs, and itself; without one, all. Raises NotFound."""
    if not reference:
        return list(automations)
    known = {one.reference: one for one in automations}
    if reference not in known:
        raise NotFound(f"cannot find a task or service {reference[:128]!r} in this environment")
    wanted: set[str | None] = set()
    waiting: list[str | None] = [reference]
    while waiting:
        one = waiting.pop()
        if one not in wanted and one in known:
            wanted.add(one)
            waiting.extend(known[one].depends_on)
    return [one for one in automations if one.reference in wanted]


def _generations(automations: Sequence[Automation]) -> tuple[tuple[Node, ...], ...]:
    groups: dict[int, list[Node]] = {}
    for one in automations:
        groups.setdefault(one.group or 0, []).append(Node(one.reference or "", one.depends_on))
    return tuple(tuple(groups[number]) for number in sorted(groups))


def _automation(one: Automation, services: Mapping[str, Any]) -> Shown:
    label = one.reference or ""
    if one.service:
        service = services.get(one.id or "")
        status = service.status if service else None
        phase = status.phase if status else None
        return Shown(label, phase, f"/web/services/{one.id}", service_id=one.id or "")
    run = one.last_run
    if run is None or run.id is None:
        return Shown(label, None, "", without="not-run")
    return Shown(label, run.phase, f"/web/executions/{run.id}", execution_id=run.id)
