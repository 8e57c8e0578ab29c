"""What the service manager is told while the daemon serves: signs of life, and what runs.

Knows the names of what runs. Must not know how it ends.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio

from phased.api.house import House
from phased.contract.resource import ResourceType
from phased.core.service_phases import RESTING
from phased.errors import FellBehind
from phased.systemd import ServiceManager

if TYPE_CHECKING:
    from phased.engine.changes import ResourceChange


_SHOWN: Final = 5
"""Names on the line that says what runs."""
_BREATH: Final = 1.0
"""Seconds between two messages to the service manager."""


async def keep_informed(manager: ServiceManager, watchdog: float | None, house: House) -> None:
    """Signs of life, three in the watchdog's time; and what runs, once it changed, at most once a second."""
    pause, told = max((watchdog or math.inf) / 3, _BREATH), ""
    while True:
        with suppress(FellBehind), house.changes.subscribe(_is_work) as news:
            while True:
                now = _doing(house)
                if watchdog is not None:
                    manager.alive("" if now == told else now)
                elif now != told:
                    manager.status(now)
                told = now
                with anyio.move_on_after(pause):
                    await news.get()
                    await anyio.sleep(_BREATH)


def _is_work(change: ResourceChange) -> bool:
    return change.resource_type in {ResourceType.TASK_EXECUTION, ResourceType.SERVICE}


def _doing(house: House) -> str:
    """What runs, on one line."""
    executions = [live.record.reference for live in house.engine.lives]
    services = [one.reference for one in house.engine.services.all() if one.progress.state not in RESTING]
    parts = [
        f"{noun} {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for noun, names in (("runs", executions), ("services:", services))
        if names
    ]
    return "; ".join(parts) or "idle"
