"""The page of a log: of an execution's steps together, of one of them, or of a service.

Knows the API's messages and where logs are answered. Must not read a log: the page's modules ask for the
parts that are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.responses import Response

from phased.api.logs import EXECUTION_PATH, SERVICE_PATH, steps_shown
from phased.contract.base import to_json
from phased.contract.environment import Environment
from phased.contract.environment_calls import GetEnvironmentRequest, GetEnvironmentResponse
from phased.contract.execution_calls import GetTaskExecutionRequest, GetTaskExecutionResponse
from phased.contract.phased_v1_logs import DescribeLogsRequest, DescribeLogsResponse
from phased.contract.service_calls import GetServiceRequest, GetServiceResponse
from phased.errors import NotFound

if TYPE_CHECKING:
    from phased.web.visit import Visit

_MOST_DESCRIBED: Final = 100
_COMMANDS: Final = ("start", "ready", "stop")
"""Of a service, each with a log of its own."""


async def of_execution(visit: Visit) -> Response:
    """All steps, or the one that `?step=` names, by its id or label."""
    wanted = visit.request.path_params["execution"]
    asked = visit.request.query_params.get("step") or None
    found = (await visit.ask(GetTaskExecutionRequest(id=wanted), GetTaskExecutionResponse)).task_execution
    plan = found.spec.plan if found.spec else ()
    steps = [(step.id or "", step.label or "") for group in plan for step in group.steps]
    step, label = steps_shown(steps, asked, found.id)[0] if asked else (None, None)
    address = f"/web{EXECUTION_PATH}".replace("{id}", found.id)
    query = {"follow": "0"} | ({"step": step} if step else {})
    return visit.show(
        "log.html",
        title=steps[-1][1] if steps else found.id,
        back=f"/web/executions/{found.id}",
        environment=await _environment(visit, found.metadata.environment_id if found.metadata else None),
        execution=found.id,
        phase=found.status.phase if found.status else None,
        service=None,
        described=await _described(visit, DescribeLogsRequest(task_execution_id=found.id), len(steps)),
        steps=steps,
        step=step,
        step_label=label,
        address=address,
        download=f"{address}?{urlencode(query)}",
    )


async def of_service(visit: Visit) -> Response:
    """The newest session of a service: what its start command prints, or the one that `?step=` names."""
    wanted = visit.request.path_params["service"]
    part = visit.request.query_params.get("step") or "start"
    if part not in _COMMANDS:
        raise NotFound(f"cannot find a log {part[:128]!r} of a service; there are: {', '.join(_COMMANDS)}")
    found = (await visit.ask(GetServiceRequest(id=wanted), GetServiceResponse)).service
    address = f"/web{SERVICE_PATH}".replace("{id}", found.id)
    reference = found.metadata.reference if found.metadata else None
    return visit.show(
        "log.html",
        title=reference or found.id,
        back=f"/web/services/{found.id}",
        environment=await _environment(visit, found.environment_id),
        execution=None,
        phase=found.status.phase if found.status else None,
        service=found.id,
        described=await _described(visit, DescribeLogsRequest(service_id=found.id), 1),
        steps=[(one, one) for one in _COMMANDS],
        step=part,
        step_label=part,
        address=address,
        download=f"{address}?{urlencode({'follow': '0', 'step': part})}",
    )


async def _described(visit: Visit, request: DescribeLogsRequest, count: int) -> str | None:
    """What the page's module would ask first, as JSON; of many logs it asks, so that the page stays small."""
    if count > _MOST_DESCRIBED:
        return None
    return to_json(await visit.ask(request, DescribeLogsResponse))


async def _environment(visit: Visit, environment_id: str | None) -> Environment | None:
    """For the way back; None for those who may see tasks alone."""
    if environment_id is None or not visit.may("GetEnvironment", environment_id):
        return None
    request = GetEnvironmentRequest(environment_id=environment_id)
    return (await visit.ask(request, GetEnvironmentResponse)).environment
