"""Services of the public service.

Knows their messages and the engine's definitions and host. Must not know HTTP.
"""

from __future__ import annotations

from phased.api.calls import Call
from phased.api.handlers.environments import find_environment
from phased.api.paging import listed, lowered, told
from phased.contract import phased_v1_service as native
from phased.contract import service_calls as m
from phased.contract.service import Service, ServiceRole
from phased.core.service_phases import ServiceState
from phased.engine.definitions.messages import changed_service, service_definition, service_message, time_of
from phased.engine.services.live import LiveService
from phased.errors import InvalidArgument


async def create_service(call: Call, request: m.CreateServiceRequest) -> m.CreateServiceResponse:
    """Define a new service; it is not started."""
    environment = find_environment(call, request.environment_id).id
    live = await call.house.automations.create_service(
        environment, service_definition(request), call.started_by()
    )
    return m.CreateServiceResponse.model_construct(service=shown_service(call, live))


async def get_service(call: Call, request: m.GetServiceRequest) -> m.GetServiceResponse:
    """One service."""
    return m.GetServiceResponse.model_construct(service=shown_service(call, find_service(call, request.id)))


async def list_services(call: Call, request: m.ListServicesRequest) -> m.ListServicesResponse:
    """Services, oldest first."""
    wanted = request.filter or m.ListServicesRequestFilter()
    environments, ids = lowered(wanted.environment_ids), lowered(wanted.service_ids)
    references, roles = set(wanted.references), set(wanted.roles)
    found = [
        live
        for live in call.house.automations.services()
        if (not environments or live.record.environment_id in environments)
        and (not references or live.reference in references)
        and (not ids or live.id in ids)
        and (not roles or _role(live) in roles)
        and call.sees(live.record.environment_id)
    ]
    page = listed(found, lambda live: (live.record.created_at, live.id), "services", request.pagination)
    return m.ListServicesResponse.model_construct(
        pagination=told(page), services=tuple(shown_service(call, live) for live in page.entries)
    )


async def update_service(call: Call, request: m.UpdateServiceRequest) -> m.UpdateServiceResponse:
    """Define a service anew. Its status is the daemon's own."""
    if request.status is not None:
        raise InvalidArgument("cannot change status: the daemon alone knows it; leave it out")
    live = find_service(call, request.id)
    definition = changed_service(live.definition, request)
    await call.house.automations.update_service(live.id, definition, call.started_by())
    return m.UpdateServiceResponse.model_construct()


async def delete_service(call: Call, request: m.DeleteServiceRequest) -> m.DeleteServiceResponse:
    """Stop and forget a service."""
    live = find_service(call, request.id)
    await call.house.automations.delete_service(live.id, call.name, force=bool(request.force))
    return m.DeleteServiceResponse.model_construct()


async def start_service(call: Call, request: m.StartServiceRequest) -> m.StartServiceResponse:
    """Ask a service to run; does not wait for it."""
    await call.house.start_service(find_service(call, request.id), call.name)
    return m.StartServiceResponse.model_construct()


async def stop_service(call: Call, request: m.StopServiceRequest) -> m.StopServiceResponse:
    """Ask a service to stop; does not wait for it."""
    await call.house.stop_service(find_service(call, request.id), call.name)
    return m.StopServiceResponse.model_construct()


async def restart_service(call: Call, request: native.RestartServiceRequest) -> native.RestartServiceResponse:
    """Ask a service to stop, and to run again then; one that is stopped is started. Does not wait for it.

    One call, so that a service can ask it of itself: whoever asks may be ended by the stop.
    """
    await call.house.restart_service(find_service(call, request.id), call.name)
    return native.RestartServiceResponse.model_construct()


async def explain_service(call: Call, request: native.ExplainServiceRequest) -> native.ExplainServiceResponse:
    """Why a service stands where it does; the public message has no place for it."""
    record = find_service(call, request.id).record
    progress = record.status.progress
    needing = progress.state is ServiceState.NEEDING
    return native.ExplainServiceResponse.model_construct(
        id=record.id,
        reference=record.reference,
        phase=progress.phase,
        desired_phase=progress.desired,
        session=progress.session or None,
        outdated=progress.outdated or None,
        cause=progress.cause,
        why=progress.why,
        waits_for=record.definition.depends_on if needing else (),
        ready_tries=progress.tries or None,
        last_ready_try=progress.last_try,
        restarts=progress.restarts or None,
        started_by=(record.started_by or None) if progress.session else None,
        started_at=time_of(progress.started_at),
        ready_at=time_of(progress.ready_at),
        completed_at=time_of(progress.completed_at),
    )


def find_service(call: Call, service_id: str) -> LiveService:
    """A service that the caller may do this with. Raises NotFound, PermissionDenied."""
    live = call.house.automations.service(service_id.lower())
    call.see(live.record.environment_id, f"the service {service_id}")
    return live


def shown_service(call: Call, live: LiveService) -> Service:
    """As the API shows it: with the address of its log as soon as there is something to read."""
    made = service_message(live.record)
    if made.status is None or live.record.status.progress.started_at is None:
        return made
    url = f"{call.origin}/logs/services/{live.id}"
    return made.model_copy(update={"status": made.status.model_copy(update={"log_url": url})})


def _role(live: LiveService) -> ServiceRole:
    metadata = service_message(live.record).metadata
    return (metadata.role if metadata else None) or ServiceRole.UNSPECIFIED
