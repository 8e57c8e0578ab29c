"""A prebuild that somebody waits for in this process.

Knows firings and their messages. Must not know terminals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from phased.engine.triggers.messages import firing_message
from phased.engine.triggers.prebuild import Prebuilds

if TYPE_CHECKING:
    from phased.contract.phased_v1_firing import Firing
    from phased.engine.engine import Origin
    from phased.engine.triggers.firings import Firings
    from phased.engine.triggers.live import LiveFiring


class ForegroundPrebuild:
    """One; `carry_out` begins it."""

    def __init__(self, firings: Firings, environment_id: str, origin: Origin, patience: float | None) -> None:
        """`patience`: seconds that it may take."""
        self._firings = firings
        self._prebuilds = Prebuilds(firings)
        self._environment_id = environment_id
        self._origin = origin
        self._patience = patience
        self._live: LiveFiring | None = None
        self._asked = ""

    async def carry_out(self, tell: Callable[[Firing], None]) -> Firing:
        """Begin, tell at each change, and return it as it ended. Raises as `Prebuilds.start`."""
        live = self._live = await self._prebuilds.start(self._environment_id, self._origin, self._patience)
        if self._asked:  # before there was anything to stop
            self._firings.stop(live, self._asked)
        while not live.done.is_set():
            changed = live.changed
            tell(firing_message(live.record))
            await changed.wait()
        return firing_message(live.record)

    def stop(self, by: str) -> None:
        """Ask it to stop; returns at once."""
        self._asked = by
        if self._live is not None:
            self._firings.stop(self._live, by)

    def kill(self, by: str) -> None:
        """Do not wait for anything to end by itself; returns at once."""
        self.stop(by)
        if self._live is not None:
            self._prebuilds.kill(self._live, by)
