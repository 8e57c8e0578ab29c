"""What ran: executions by task, phase, trigger and time, how long each took, and why something did not start.

Knows the API's messages. Must not know the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from phased.contract.count import CountRequest
from phased.contract.environment import Environment
from phased.contract.environment_calls import ListEnvironmentsRequest, ListEnvironmentsResponse
from phased.contract.execution import TaskExecution, TaskExecutionPhase
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1 import (
    ExplainedStep,
    ExplainExecutionRequest,
    ExplainExecutionResponse,
    QueryTaskExecutionsRequest,
    QueryTaskExecutionsResponse,
)
from phased.contract.phased_v1_firing import Firing, FiringResult, ListFiringsRequest, ListFiringsResponse
from phased.contract.phased_v1_web import ListAutomationsRequest, ListAutomationsResponse
from phased.errors import InvalidArgument
from phased.web.environment_page import TRIGGERS
from phased.web.rendering import phase_word

if TYPE_CHECKING:
    from phased.web.visit import Visit

_PAGE: Final = 50
_FIRINGS: Final = 10
_WIDE: Final = 600
_HIGH: Final = 72
_ENDED: Final = frozenset({TaskExecutionPhase.FAILED, TaskExecutionPhase.STOPPED})
_PHASES: Final = {
    phase_word(phase): phase for phase in TaskExecutionPhase if phase is not TaskExecutionPhase.UNSPECIFIED
}
_SPANS: Final[Mapping[str, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
_DID_NOT: Final = frozenset({FiringResult.FAILED, FiringResult.STOPPED, FiringResult.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class Row:
    """One execution of the list."""

    execution: TaskExecution
    reference: str
    took: timedelta | None
    why: str
    """Who stopped it, or why it did not go on; "" where there is nothing to say."""
    never: Sequence[ExplainedStep]
    """Steps that never started."""

    @property
    def metadata(self) -> Any:  # noqa: ANN401 - of the message, which the daemon always sets
        """The execution's."""
        return self.execution.metadata

    @property
    def status(self) -> Any:  # noqa: ANN401 - as above
        """The execution's."""
        return self.execution.status


@dataclass(frozen=True, slots=True)
class Bar:
    """One execution of the picture."""

    row: Row
    x: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the list is narrowed to; "" narrows nothing."""

    environment: str
    reference: str
    phase: str
    trigger: str
    within: str
    after: str

    def address(self, **changes: str) -> str:
        """The same page, narrowed otherwise."""
        values = {name: getattr(self, name) for name in self.__slots__} | changes
        return f"/web/history?{urlencode({name: value for name, value in values.items() if value})}"


async def show(visit: Visit) -> Response:
    """The list, the picture, and the firings."""
    wanted = Wanted(*(visit.request.query_params.get(name, "") for name in Wanted.__slots__))
    environments = await _environments(visit)
    environment = next((one for one in environments if one.id == wanted.environment), None)
    found = await visit.ask(_query(visit, wanted), QueryTaskExecutionsResponse)
    rows = [await _row(visit, one) for one in found.task_executions]
    firings = await visit.ask(
        ListFiringsRequest(
            environment_ids=tuple(filter(None, [wanted.environment])),
            triggers=tuple(filter(None, [wanted.trigger])),
            pagination=PaginationRequest(page_size=_FIRINGS),
        ),
        ListFiringsResponse,
    )
    return visit.show(
        "history.html",
        wanted=wanted,
        environments=environments,
        environment=environment,
        names={one.id: _name(one) for one in environments},
        references=await _references(visit, environment),
        rows=rows,
        bars=_bars(rows),
        longest=max((row.took for row in rows if row.took is not None), default=None),
        high=_HIGH,
        wide=_WIDE,
        count=found.count,
        next=(found.pagination.next_token if found.pagination else None) or "",
        firings=[(firing, _did_not(firing)) for firing in firings.firings],
        phases=tuple(_PHASES),
        triggers=tuple(TRIGGERS),
        spans=tuple(_SPANS),
    )


def _query(visit: Visit, wanted: Wanted) -> QueryTaskExecutionsRequest:
    """Raises InvalidArgument for a phase or a span that is none."""
    if wanted.phase and wanted.phase not in _PHASES:
        raise InvalidArgument(f"cannot show executions in phase {wanted.phase[:50]!r}: there is none")
    if wanted.within and wanted.within not in _SPANS:
        raise InvalidArgument(f"cannot show what is within {wanted.within[:50]!r}; take {', '.join(_SPANS)}")
    return QueryTaskExecutionsRequest(
        environment_ids=tuple(filter(None, [wanted.environment])),
        references=tuple(filter(None, [wanted.reference])),
        phases=(_PHASES[wanted.phase],) if wanted.phase else (),
        started_by=tuple(filter(None, [wanted.trigger])),
        created_from=visit.now - _SPANS[wanted.within] if wanted.within else None,
        pagination=PaginationRequest(page_size=_PAGE, token=wanted.after or None),
        count=CountRequest(include=True),
    )


async def _environments(visit: Visit) -> list[Environment]:
    pages = visit.pages(lambda page: ListEnvironmentsRequest(pagination=page), ListEnvironmentsResponse)
    return [one async for page in pages for one in page.environments]


async def _references(visit: Visit, environment: Environment | None) -> list[str]:
    """Of its tasks: those that the field for one offers."""
    if environment is None:
        return []
    request = ListAutomationsRequest(environment_id=environment.id or "")
    listed = await visit.ask(request, ListAutomationsResponse)
    return [one.reference or "" for one in listed.automations if not one.service]


async def _row(visit: Visit, execution: TaskExecution) -> Row:
    status, metadata, plan = execution.status, execution.metadata, execution.spec and execution.spec.plan
    reference = (plan[-1].steps[-1].label if plan else None) or execution.id
    took = None
    if metadata and metadata.started_at and metadata.completed_at:
        took = metadata.completed_at - metadata.started_at
    why = ""
    never: tuple[ExplainedStep, ...] = ()
    if status is not None and status.phase in _ENDED:
        told = await visit.ask(ExplainExecutionRequest(id=execution.id), ExplainExecutionResponse)
        why = told.why or ""
        never = tuple(step for step in told.steps if step.phase is None)
    return Row(execution, reference, took, why, never)


def _bars(rows: Sequence[Row]) -> list[Bar]:
    """The oldest first. Heights are by the square root, so that short ones are seen beside long ones."""
    known = [row for row in reversed(rows) if row.took is not None]
    longest = max((row.took.total_seconds() for row in known if row.took), default=0.0) or 1.0
    step = min(_WIDE / max(len(known), 1), 24.0)
    return [
        Bar(
            row,
            round(place * step, 1),
            round(step - min(2.0, step / 4), 1),
            round(max(3.0, math.sqrt((row.took or timedelta()).total_seconds() / longest) * _HIGH), 1),
        )
        for place, row in enumerate(known)
    ]


def _did_not(firing: Firing) -> list[Any]:
    """The parts that did not come to a good end, and say why."""
    return [part for part in firing.parts if part.cause or part.result in _DID_NOT]


def _name(environment: Environment) -> str:
    return (environment.metadata.name if environment.metadata else None) or environment.id or ""
