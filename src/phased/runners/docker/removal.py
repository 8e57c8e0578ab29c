"""Removes containers whose end is on record, and those that nobody has asked for.

Knows the engine's answers, records and tracks. Must not know clients, or how a run ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import anyio

from phased.errors import RunnerError
from phased.observability import logger
from phased.ports import Clock
from phased.runners.docker.asking import Client
from phased.runners.docker.records import Records
from phased.runners.docker.track import Track

SETTLING: Final = 60.0
"""Seconds until containers that nobody has asked for are removed, if they have ended."""


class Removal:
    """What is to be removed; what cannot be now stays for the next time, or for the next engine."""

    def __init__(
        self, client: Client, records: Records, tracks: dict[str, Track], state: str, clock: Clock
    ) -> None:
        """Nothing yet. `tracks` are all containers by run; those that are removed leave it."""
        self._client = client
        self._records = records
        self._tracks = tracks
        self._state = state
        self._clock = clock
        self._wanted: set[str] = set()
        self._busy = anyio.Lock()
        self._log = logger("phased.runners.docker")

    def want(self, run_ids: Iterable[str]) -> None:
        """Nobody needs these any more; `remove` does it."""
        self._wanted.update(run_ids)

    async def remove(self) -> None:
        """Remove what is wanted, as far as the engine answers."""
        async with self._busy:
            for run_id in list(self._wanted):
                await self._remove(run_id)

    async def _remove(self, run_id: str) -> None:
        try:
            found = await self._client.inspect(run_id)
            if found is not None and found.run_id == run_id and found.state == self._state:
                await self._client.remove(run_id)
        except RunnerError as error:
            self._log.warning("container_not_removed", run_id=run_id, reason=str(error))
            return
        track = self._tracks.get(run_id)
        if found is None and track is not None and self._clock.boot() < track.unmade_until:
            return
        self._wanted.discard(run_id)
        self._records.remove(run_id)
        self._tracks.pop(run_id, None)

    async def remove_late_ones(self) -> None:
        """What an engine has made whose client was gone by then; waits until it would have."""
        await anyio.sleep(SETTLING)
        await self.remove()

    async def remove_unclaimed(self) -> None:
        """What an earlier engine had done with, once this one has asked for all that it wants."""
        await anyio.sleep(SETTLING)
        await self.find_unclaimed()
        await self.remove()

    async def find_unclaimed(self) -> None:
        """Want what has ended, and nobody has asked for."""
        for run_id, track in list(self._tracks.items()):
            if not track.followed:
                with suppress(RunnerError):
                    found = await self._client.inspect(run_id)
                    if found is None or not found.pid:
                        self._wanted.add(run_id)
