"""One step of an execution: command, cause, variables and where they come from, outputs, processes.

Knows the API's messages. Must not know the engine. What who looks may not see is left out, and said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from phased.contract.execution import PlanStep, TaskExecution, TaskExecutionPhase
from phased.contract.phased_v1 import ExplainedStep, ExplainExecutionRequest, ExplainExecutionResponse
from phased.contract.phased_v1_inside import (
    ExplainedVariable,
    ExplainEnvironmentRequest,
    ExplainEnvironmentResponse,
    ListProcessesRequest,
    ListProcessesResponse,
    Process,
)
from phased.contract.phased_v1_timeline import GetTimelineRequest, GetTimelineResponse
from phased.errors import NotFound, PhasedError
from phased.web.course import main_label, plan_labels
from phased.web.execution_page import environment_of, find

if TYPE_CHECKING:
    from phased.web.visit import Visit


BASE_ORIGIN: Final = "the base environment"
"""What ExplainEnvironment says of variables that every command has: the page folds them."""


async def show(visit: Visit) -> Response:
    """One step."""
    execution = await find(visit)
    step = _step(execution, visit.request.path_params["step"])
    steps = [one for group in (execution.spec.plan if execution.spec else ()) for one in group.steps]
    timeline = await visit.ask(GetTimelineRequest(id=execution.id), GetTimelineResponse)
    explained = await visit.ask(ExplainExecutionRequest(id=execution.id), ExplainExecutionResponse)
    status = next(
        (one for one in (execution.status.steps if execution.status else ()) if one.id == step.id), None
    )
    variables, refused = await _variables(visit, execution, step)
    return visit.show(
        "step.html",
        environment=await environment_of(visit, execution),
        execution=execution,
        label=main_label(execution),
        step=step,
        begun=status,
        times=next((one for one in timeline.steps if one.id == step.id), None),
        explained=next((one for one in explained.steps if one.id == step.id), ExplainedStep()),
        variables=variables,
        base_origin=BASE_ORIGIN,
        refused=refused,
        processes=await _processes(visit, execution, step),
        labels=plan_labels(execution),
        needed_by=[one for one in steps if step.id in one.depends_on],
        running=status is not None
        and status.phase in {TaskExecutionPhase.PENDING, TaskExecutionPhase.RUNNING},
    )


def _step(execution: TaskExecution, step_id: str) -> PlanStep:
    for group in execution.spec.plan if execution.spec else ():
        for step in group.steps:
            if step.id == step_id:
                return step
    raise NotFound(f"cannot find the step {step_id[:64]!r} in the execution {execution.id}")


async def _variables(
    visit: Visit, execution: TaskExecution, step: PlanStep
) -> tuple[tuple[ExplainedVariable, ...], str]:
    """As its task or service is defined now; else why they are not shown."""
    metadata = execution.metadata
    environment = (metadata.environment_id if metadata else None) or ""
    if not visit.may("ExplainEnvironment", environment):
        return (), "Your role does not show variables."
    trigger = (metadata.started_by if metadata else None) or None
    request = ExplainEnvironmentRequest(
        environment_id=environment, reference=step.label or "?", trigger=trigger
    )
    try:
        return (await visit.ask(request, ExplainEnvironmentResponse)).variables, ""
    except PhasedError as error:  # it is not defined any more
        return (), str(error)


async def _processes(visit: Visit, execution: TaskExecution, step: PlanStep) -> tuple[Process, ...]:
    environment = execution.metadata.environment_id if execution.metadata else None
    found = await visit.ask(ListProcessesRequest(environment_id=environment), ListProcessesResponse)
    return tuple(
        one
        for one in found.processes
        if (one.task_execution_id == execution.id and one.step_id == step.id)
        or (step.service_id and one.service_id == step.service_id)
    )
