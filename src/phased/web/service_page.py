"""One service: where it stands and why, its commands, variables, outputs and processes.

Knows the API's messages. Must not know the engine. Secrets are shown by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from phased.contract.phased_v1_inside import (
    ExplainedVariable,
    ExplainEnvironmentRequest,
    ExplainEnvironmentResponse,
    ListProcessesRequest,
    ListProcessesResponse,
    Process,
)
from phased.contract.phased_v1_service import ExplainServiceRequest, ExplainServiceResponse
from phased.contract.service import Service, ServicePhase
from phased.contract.service_calls import GetServiceRequest, GetServiceResponse
from phased.web.environment_page import environment_of

if TYPE_CHECKING:
    from phased.web.visit import Visit

_UP: Final = frozenset({ServicePhase.STARTING, ServicePhase.RUNNING})
_HAS_PROCESSES: Final = _UP | {ServicePhase.STOPPING}


async def show(visit: Visit) -> Response:
    """One service."""
    wanted = visit.request.path_params["service"]
    service = (await visit.ask(GetServiceRequest(id=wanted), GetServiceResponse)).service
    phase = service.status.phase if service.status else None
    return visit.show(
        "service.html",
        service=service,
        environment=await environment_of(visit, service.environment_id),
        told=await visit.ask(ExplainServiceRequest(id=wanted), ExplainServiceResponse),
        is_up=phase in _UP,
        variables=await _variables(visit, service),
        processes=await _processes(visit, service) if phase in _HAS_PROCESSES else [],
    )


async def _variables(visit: Visit, service: Service) -> list[ExplainedVariable]:
    """Those that its definition or a secret gives it; what it has from elsewhere is the same for all."""
    if not visit.may("ExplainEnvironment", service.environment_id) or service.metadata is None:
        return []
    request = ExplainEnvironmentRequest(
        environment_id=service.environment_id, reference=service.metadata.reference
    )
    found = await visit.ask(request, ExplainEnvironmentResponse)
    return list(found.variables)


async def _processes(visit: Visit, service: Service) -> list[Process]:
    request = ListProcessesRequest(environment_id=service.environment_id)
    found = await visit.ask(request, ListProcessesResponse)
    return [one for one in found.processes if one.service_id == service.id]
