"""What became of the parts of a firing whose engine was lost, as far as the next one knows when it loads.

Knows records, and executions and services as they were taken over. Must not change anything but the firing.
What was not begun, or was lost, is INTERRUPTED: only what had succeeded counts as done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from phased.core.firing import FiringPart, FiringRecord, Result
from phased.core.service_phases import RESTING
from phased.core.specs import automation_id
from phased.engine.engine import Engine
from phased.engine.services.needs import readiness
from phased.engine.triggers.live import LiveFiring, after_execution, after_service, key_of
from phased.errors import NotFound
from phased.ports import Store

_NEVER_BEGUN: Final = "the engine was lost before it was started"


async def find_parts(live: LiveFiring, engine: Engine, progress: Store) -> None:
    """Bring all parts up to date; those that still run can be followed then. Raises StoreError."""
    for part in await _noted(live.record, progress):
        if part.is_service:
            live.tell(_found_service(live, part, engine))
        else:
            live.tell(await _found_task(live, part, engine, progress))


async def _noted(record: FiringRecord, progress: Store) -> list[FiringPart]:
    """The parts, also with executions that were saved before the loss, and go on, but were not noted here."""
    firings = dict.fromkeys(record.id_within(part.trigger) for part in record.parts)
    stored = await progress.of_firings(list(firings))
    known = {(one.record.firing_id, one.record.reference): one.record.id for one in reversed(stored)}
    return [
        part
        if part.is_service or part.execution_id
        else replace(part, execution_id=known.get((record.id_within(part.trigger), part.reference), ""))
        for part in record.parts
    ]


async def _found_task(live: LiveFiring, part: FiringPart, engine: Engine, progress: Store) -> FiringPart:
    execution = engine.live(part.execution_id)
    if execution is not None:
        live.executions[key_of(part)] = execution
        return part
    stored = await progress.get(part.execution_id) if part.execution_id else None
    if stored is None:
        return replace(part, result=Result.INTERRUPTED, cause=_NEVER_BEGUN)
    return after_execution(part, stored.status)


def _found_service(live: LiveFiring, part: FiringPart, engine: Engine) -> FiringPart:
    try:
        service = engine.services.get(automation_id(live.record.environment_id, part.reference))
    except NotFound:
        return replace(part, result=Result.INTERRUPTED, cause="its service is not defined any more")
    own = service.firing_id == live.record.id_within(part.trigger)
    if service.progress.state in RESTING and not (own or part.joined):
        return replace(part, result=Result.INTERRUPTED, cause=_NEVER_BEGUN)
    decided, cause = readiness(service)
    if decided:
        return after_service(part, cause)
    live.services[key_of(part)] = service
    return part
