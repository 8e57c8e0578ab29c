"""What the start of an environment fires (`semantics: Triggers`). Knows which; the firings do the rest."""

from __future__ import annotations

import anyio

from phased.core.environment import EnvironmentRecord
from phased.engine.engine import Origin
from phased.engine.environments.workers import OnStart, Start
from phased.engine.triggers.firings import Firings


def triggers_of(start: Start) -> list[str]:
    """In this order; what several of them name is started once, as named by the first."""
    if start.first:
        return ["postMachineStart", "postDevcontainerStart", "postEnvironmentStart"]
    return ["postMachineStart", "postEnvironmentStart"] if start.booted else ["postEnvironmentStart"]


def fires_on_start(firings: Firings) -> OnStart:
    """For environments: one firing of all the triggers of a start; it is started, not awaited."""

    async def fire(record: EnvironmentRecord, start: Start) -> None:
        triggers = triggers_of(start)
        origin = Origin(triggers[0], record.creator_id, record.creator_principal)
        with anyio.CancelScope(shield=True):
            await firings.fire(record.id, triggers, origin)

    return fire
