"""Leaders of runs whose supervisor died while it spawned them: no pid is on record, only the run's id.

Knows traces and /proc. Must not know supervisors, reports or the engine. What was being spawned shows its id
only once it executes its shell: so it is looked for again, for a moment, before it is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import anyio

from phased.runners.remains import Trace
from phased.supervisor.census import everyone, run_in_environment

_PATIENCE = 0.25
"""Seconds that a run is looked for; most that are not found were never spawned."""
_LOOK_AGAIN = 0.02


class Search:
    """Looks for the runs of several dead supervisors at once."""

    def __init__(self, decided: Callable[[Collection[Trace]], None]) -> None:
        """`decided` gets those that were found, which then have a pid, and those that were given up."""
        self._decided = decided
        self._missing: dict[str, tuple[float, Trace]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._over = anyio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def goes_on(self) -> bool:
        """Whether there are runs of which it is not known if they were spawned."""
        return bool(self._missing)

    def begin(self, traces: Iterable[Trace]) -> None:
        """Look for these, now and then again. What is found now is told before this returns."""
        until = self._loop.time() + _PATIENCE
        fresh = {trace.run_id: (until, trace) for trace in traces}
        if fresh:
            self._missing |= fresh
            self._look()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        _find_leaders([trace for _, trace in self._missing.values()])
        now = self._loop.time()
        done = [trace for until, trace in self._missing.values() if trace.pid or now >= until]
        for trace in done:
            del self._missing[trace.run_id]
        self._timer = self._loop.call_later(_LOOK_AGAIN, self._look) if self._missing else None
        if done:
            self._decided(done)
        if not self._missing:
            self._over.set()
            self._over = anyio.Event()

    async def over(self) -> None:
        """Wait until nothing is looked for."""
        while self._missing:
            await self._over.wait()

    def close(self) -> None:
        """Look no longer: whoever comes next begins anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._missing.clear()


def _find_leaders(traces: Collection[Trace]) -> None:
    """Note pid and start time of the session leaders that show the ids of these runs, of each the eldest."""
    missing = {trace.run_id: trace for trace in traces}
    for process in sorted(everyone().values(), key=lambda process: (process.start, process.pid)):
        if process.living and process.session == process.pid:
            trace = missing.pop(run_in_environment(process.pid) or "", None)
            if trace is not None:
                trace.pid, trace.start_time = process.pid, process.start
