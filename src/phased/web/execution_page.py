"""The page of one execution: its plan as it runs, the time line, versions, and the run before beside it.

Knows the API's messages and what the pictures are made of. Must not know the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from starlette.responses import Response

from phased.contract.environment_calls import GetEnvironmentRequest, GetEnvironmentResponse
from phased.contract.execution import PlanStep, TaskExecution, TaskExecutionPhase
from phased.contract.execution_calls import (
    GetTaskExecutionRequest,
    GetTaskExecutionResponse,
    ListTaskExecutionsRequest,
    ListTaskExecutionsRequestFilter,
    ListTaskExecutionsResponse,
)
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1 import ExplainExecutionRequest, ExplainExecutionResponse
from phased.contract.phased_v1_timeline import GetTimelineRequest, GetTimelineResponse, TimelineStep
from phased.web.course import course_of, main_label
from phased.web.graph_page import picture_of

if TYPE_CHECKING:
    from phased.contract.environment import Environment
    from phased.web.visit import Visit

MOST_FETCHED_ANEW: Final = 60
"""Steps of a plan whose page is fetched anew at every change; of a larger one only bars and phases move."""
MOST_VERSIONS: Final = 100
_SEARCHED: Final = (2, 20, 100)
"""How many executions are asked for to find the one before: mostly it is among the newest two."""
_ENDED: Final = (TaskExecutionPhase.SUCCEEDED, TaskExecutionPhase.FAILED, TaskExecutionPhase.STOPPED)


@dataclass(frozen=True, slots=True)
class Compared:
    """One step in two runs; what is None was not there."""

    label: str
    now: TimelineStep | None
    before: TimelineStep | None
    changed: bool
    """Another command, or other variables of its own."""

    @property
    def took(self) -> timedelta | None:
        """In this run."""
        return _took(self.now)

    @property
    def took_before(self) -> timedelta | None:
        """In the run before."""
        return _took(self.before)

    @property
    def slower(self) -> float | None:
        """Seconds; below 0: faster."""
        if self.took is None or self.took_before is None:
            return None
        return (self.took - self.took_before).total_seconds()


async def show(visit: Visit) -> Response:
    """One execution."""
    execution = await find(visit)
    timeline = await visit.ask(GetTimelineRequest(id=execution.id), GetTimelineResponse)
    explained = await visit.ask(ExplainExecutionRequest(id=execution.id), ExplainExecutionResponse)
    course = course_of(execution, timeline)
    shown = partial(
        visit.show,
        "execution.html",
        environment=await environment_of(visit, execution),
        execution=execution,
        label=main_label(execution),
        course=course,
        explained=explained,
        picture=await picture_of(execution),
        versions=timeline.versions[-MOST_VERSIONS:],
        earlier=max(len(timeline.versions) - MOST_VERSIONS, 0),
        complete=bool(timeline.complete),
        small=len(course.rows) <= MOST_FETCHED_ANEW,
        alive=bool(execution.status and execution.status.phase not in _ENDED),
    )
    return await anyio.to_thread.run_sync(shown)  # a thousand steps take longer than the engine is to wait


async def compare(visit: Visit) -> Response:
    """An execution beside the one of the same task before it."""
    execution = await find(visit)
    before = await _before(visit, execution)
    now = await visit.ask(GetTimelineRequest(id=execution.id), GetTimelineResponse)
    then = await visit.ask(GetTimelineRequest(id=before.id), GetTimelineResponse) if before else None
    return visit.show(
        "compare.html",
        environment=await environment_of(visit, execution),
        execution=execution,
        before=before,
        label=main_label(execution),
        steps=_compared(execution, before, now, then) if before and then else (),
    )


async def find(visit: Visit) -> TaskExecution:
    """The execution that the path names. Raises NotFound, PermissionDenied."""
    wanted = GetTaskExecutionRequest(id=visit.request.path_params["execution"])
    return (await visit.ask(wanted, GetTaskExecutionResponse)).task_execution


async def environment_of(visit: Visit, execution: TaskExecution) -> Environment | None:
    """Where it runs."""
    wanted = (execution.metadata.environment_id if execution.metadata else None) or ""
    return (await visit.ask(GetEnvironmentRequest(environment_id=wanted), GetEnvironmentResponse)).environment


async def _before(visit: Visit, execution: TaskExecution) -> TaskExecution | None:
    """The newest of the same task that is older."""
    metadata = execution.metadata
    if metadata is None or not metadata.task_id or metadata.created_at is None:
        return None
    wanted = ListTaskExecutionsRequestFilter(task_ids=(metadata.task_id,))
    for size in _SEARCHED:
        request = ListTaskExecutionsRequest(pagination=PaginationRequest(page_size=size), filter=wanted)
        found = await visit.ask(request, ListTaskExecutionsResponse)
        for one in found.task_executions:
            if one.metadata and one.metadata.created_at and one.metadata.created_at < metadata.created_at:
                return one
        if len(found.task_executions) < size:
            return None
    return None


def _compared(
    execution: TaskExecution, before: TaskExecution, now: GetTimelineResponse, then: GetTimelineResponse
) -> Sequence[Compared]:
    ours, theirs = _planned(execution), _planned(before)
    times = {step.label: step for step in now.steps}
    old = {step.label: step for step in then.steps}
    return [
        Compared(
            label,
            times.get(label),
            old.get(label),
            changed=label in ours and label in theirs and _spec(ours[label]) != _spec(theirs[label]),
        )
        for label in dict.fromkeys([*ours, *theirs])
    ]


def _planned(execution: TaskExecution) -> dict[str, PlanStep]:
    plan = execution.spec.plan if execution.spec else ()
    return {step.label or "": step for group in plan for step in group.steps}


def _spec(step: PlanStep) -> object:
    return (step.task.spec if step.task else None, bool(step.service_id))


def _took(step: TimelineStep | None) -> timedelta | None:
    if step is None or step.started_at is None or step.completed_at is None:
        return None
    return step.completed_at - step.started_at
