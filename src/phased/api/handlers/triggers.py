"""Triggers and prebuilds of the native service.

Knows their messages and the engine's firings. Must not know HTTP.
"""

from __future__ import annotations

from typing import Final

import anyio

from phased.api.calls import Call
from phased.api.handlers.environments import find_environment
from phased.api.paging import listed, lowered, told
from phased.contract import phased_v1_firing as m
from phased.core.firing import FiringRecord
from phased.engine.triggers.live import LiveFiring
from phased.engine.triggers.messages import firing_message
from phased.errors import InvalidArgument

_WAIT_AT_MOST: Final = 60.0


async def fire_trigger(call: Call, request: m.FireTriggerRequest) -> m.FireTriggerResponse:
    """Start what a trigger names; does not wait for it."""
    environment = find_environment(call, request.environment_id).id
    firings, origin = call.house.firings, call.started_by(request.trigger)
    if not request.resume:
        live = await firings.fire(environment, [request.trigger], origin)
        return m.FireTriggerResponse.model_construct(firing=firing_message(live.record))
    newest = await firings.to_resume(environment, request.trigger)
    resumed = await firings.resume(newest, origin)
    return m.FireTriggerResponse.model_construct(firing=firing_message(_record(resumed)))


async def resume_firing(call: Call, request: m.ResumeFiringRequest) -> m.ResumeFiringResponse:
    """Start what had not succeeded of a firing."""
    record = await find_firing(call, request.id)
    find_environment(call, record.environment_id)
    resumed = await call.house.firings.resume(record, call.started_by(record.triggers[0]))
    return m.ResumeFiringResponse.model_construct(firing=firing_message(_record(resumed)))


async def start_prebuild(call: Call, request: m.StartPrebuildRequest) -> m.StartPrebuildResponse:
    """Begin a prebuild; does not wait for it."""
    environment = find_environment(call, request.environment_id).id
    patience = None if request.timeout is None else request.timeout.total_seconds()
    if patience is not None and patience <= 0:
        raise InvalidArgument("cannot begin a prebuild: timeout must be more than 0s, or left out")
    live = await call.house.prebuilds.start(environment, call.started_by("prebuild"), patience)
    return m.StartPrebuildResponse.model_construct(firing=firing_message(live.record))


async def get_firing(call: Call, request: m.GetFiringRequest) -> m.GetFiringResponse:
    """One firing, now or when something of it has changed."""
    record = await find_firing(call, request.id)
    live = call.house.firings.live(record.id)
    if live is not None and request.wait is not None:
        with anyio.move_on_after(min(request.wait.total_seconds(), _WAIT_AT_MOST)):
            await call.house.end_of(call.caller, live.changed.wait)
        record = live.record
    return m.GetFiringResponse.model_construct(firing=firing_message(record))


async def list_firings(call: Call, request: m.ListFiringsRequest) -> m.ListFiringsResponse:
    """Firings, newest first."""
    environments, triggers = lowered(request.environment_ids), set(request.triggers)
    only = next(iter(environments)) if len(environments) == 1 else None
    found = [
        record
        for record in await call.house.firings.all(only)
        if (not environments or record.environment_id in environments)
        and (not triggers or not triggers.isdisjoint(record.triggers))
        and call.sees(record.environment_id)
    ]
    page = listed(found, lambda one: (-one.created_at, one.id), "firings", request.pagination)
    return m.ListFiringsResponse.model_construct(
        pagination=told(page), firings=tuple(firing_message(record) for record in page.entries)
    )


async def stop_firing(call: Call, request: m.StopFiringRequest) -> m.StopFiringResponse:
    """Ask what a firing started to stop; does not wait for it. One that has ended is left as it is."""
    record = await find_firing(call, request.id)
    live = call.house.firings.live(record.id)
    if live is not None and request.kill:
        call.house.prebuilds.kill(live, call.name)
    elif live is not None:
        call.house.firings.stop(live, call.name)
    else:
        call.house.firings.stop_noted(record, call.name, kill=bool(request.kill))
    await call.house.engine.settled()
    return m.StopFiringResponse.model_construct()


async def find_firing(call: Call, firing_id: str) -> FiringRecord:
    """A firing that the caller may do this with. Raises NotFound, PermissionDenied."""
    record = await call.house.firings.get(firing_id.lower())
    call.see(record.environment_id, f"the firing {firing_id}")
    return record


def _record(resumed: LiveFiring | FiringRecord) -> FiringRecord:
    return resumed.record if isinstance(resumed, LiveFiring) else resumed
