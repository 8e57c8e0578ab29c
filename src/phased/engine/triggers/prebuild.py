"""A prebuild: its tasks and services, then what comes before the snapshot, and then nothing of it is left.

Knows firings and the engine. Must not know messages or who may ask. Like a firing it is on record; what it
started ends with it, also where it is stopped, runs out of time or is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import anyio

from phased.core.firing import FiringPart, Result, parts_of
from phased.engine.engine import Origin
from phased.engine.triggers.firings import Firings
from phased.engine.triggers.live import LiveFiring
from phased.errors import FailedPrecondition, PhasedError
from phased.observability import logger

WAVES: Final = ("prebuild", "beforeSnapshot")


class Prebuilds:
    """Starts prebuilds, one at a time in an environment."""

    def __init__(self, firings: Firings) -> None:
        """A prebuild is one of these firings."""
        self._firings = firings
        self._log = logger("phased.engine.triggers")

    async def start(self, environment_id: str, origin: Origin, patience: float | None = None) -> LiveFiring:
        """Begin one; returns when its first wave is started. `patience`: seconds for all of it.

        One that is being stopped is waited for. Raises FailedPrecondition where another one is under way, and
        as `Firings.fire`.
        """
        firings = self._firings
        for other in self._others(environment_id):
            if other.stopped_by:
                await other.done.wait()
        async with firings.firing:
            for other in self._others(environment_id):
                raise FailedPrecondition(
                    f"cannot begin a prebuild: {other.record.id} is under way; wait for it, or stop it"
                )
            site = firings.site_of(environment_id)
            parts = parts_of(site.catalog, WAVES, is_prebuild=True)
            live = await firings.open(firings.new(site, WAVES, origin, parts, is_prebuild=True))
            for wave in WAVES:
                firings.engine.services.own(live.record.id_within(wave))
            first = _wave(live, WAVES[0])
            try:
                await firings.start_parts(
                    live, site, first, origin, firing_id=live.record.id_within(WAVES[0])
                )
            except PhasedError as error:
                firings.tasks.start_soon(self._end, live, str(error))
                raise
            firings.tasks.start_soon(self._go_on, live, origin, patience)
        return live

    def _others(self, environment_id: str) -> list[LiveFiring]:
        """Prebuilds of an environment that have not ended."""
        return [
            live
            for live in self._firings.lives
            if live.record.is_prebuild and live.record.environment_id == environment_id
        ]

    def kill(self, live: LiveFiring, by: str) -> None:
        """Stop it without waiting for anything to end by itself."""
        self._firings.stop(live, by)
        self._firings.engine.kill(list(live.own), by)
        self._firings.engine.services.hurry([live.record.id_within(wave) for wave in WAVES], by)

    async def _go_on(self, live: LiveFiring, origin: Origin, patience: float | None) -> None:
        """Wait for the waves; then it ends."""
        firings, cause = self._firings, ""
        with anyio.move_on_after(patience) as scope:
            await firings.follow_parts(live, _wave(live, WAVES[0]))
            cause = await self._second_wave(live, origin)
        if scope.cancelled_caught:
            cause = f"timed out after {patience:g} s"
            firings.stop(live, "the end of the prebuild's time")
            await firings.follow_parts(live, live.record.parts)
        await self._end(live, cause)

    async def _second_wave(self, live: LiveFiring, origin: Origin) -> str:
        """What comes before the snapshot, also where tasks failed: only a stop leaves it out."""
        parts = _wave(live, WAVES[1])
        if live.stopped_by or not parts:
            return ""
        try:
            with anyio.CancelScope(shield=True):
                async with self._firings.firing:
                    site = self._firings.site_of(live.record.environment_id)
                    await self._firings.start_parts(
                        live, site, parts, origin, firing_id=live.record.id_within(WAVES[1])
                    )
        except PhasedError as error:
            return str(error)
        await self._firings.follow_parts(live, parts)
        return ""

    async def _end(self, live: LiveFiring, cause: str) -> None:
        """Clear away what is left, and complete it; `cause`: why it failed as a whole."""
        await self._clear(live)
        result = Result.FAILED if cause else None
        if live.stopped_by and not cause:
            result, cause = Result.STOPPED, f"stopped by {live.stopped_by}"
        for part in live.record.parts:
            if not part.ended:
                live.tell(replace(part, result=Result.STOPPED, cause=f"it never started: {cause}"))
        await self._firings.close(live, cause=cause, result=result)

    async def _clear(self, live: LiveFiring) -> None:
        """End what commands left behind, and the services that were started for this, and only those."""
        engine = self._firings.engine
        by = "the end of the prebuild"
        for wave in WAVES:
            engine.let_go(live.record.id_within(wave))
        await engine.services.release([live.record.id_within(wave) for wave in WAVES], by)
        for execution in live.own:
            try:
                cause = await engine.end_left_by(execution.stored())
            except PhasedError as error:
                cause = str(error)
            if cause:
                self._log.warning("leftovers_not_ended", execution_id=execution.record.id, reason=cause)


def _wave(live: LiveFiring, trigger: str) -> Sequence[FiringPart]:
    return [part for part in live.record.parts if part.trigger == trigger]
