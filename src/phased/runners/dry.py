"""Runs nothing: every run starts and succeeds at once. What `--dry-run` uses.

Implements `ports.Runner`; a small real implementation, so the engine above it is the real one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from phased.ports import Clock, RunExited, RunProcess, RunReport, RunRequest, RunStarted


class DryRunner:
    """Reports success for everything, in the order it was asked for; what lasts ends by a signal."""

    def __init__(self, clock: Clock) -> None:
        """Nothing was asked for yet."""
        self._clock = clock
        self._asked: set[str] = set()
        self._reports: list[RunReport] = []
        self._lasting: set[str] = set()
        self._arrived = anyio.Event()

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Pretend."""
        now = self._clock.wall()
        for request in [request for request in requests if request.run_id not in self._asked]:
            self._asked.add(request.run_id)
            self._reports.append(RunStarted(request.run_id, now))
            if request.lasting:
                self._lasting.add(request.run_id)
            else:
                self._reports.append(RunExited(request.run_id, 0, None, now))
        if self._reports:
            self._arrived.set()

    async def reports(self) -> list[RunReport]:
        """What was pretended since the last call."""
        while not self._reports:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        reports, self._reports = self._reports, []
        return reports

    async def processes(self, run_id: str) -> list[RunProcess]:  # noqa: ARG002 - the port's signature
        """There are none."""
        return []

    async def signal(self, run_id: str, signal: int) -> int:
        """What lasts ends by it."""
        if run_id not in self._lasting:
            return 0
        self._lasting.discard(run_id)
        self._reports.append(RunExited(run_id, None, signal, self._clock.wall()))
        self._arrived.set()
        return 1

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """There are none."""
        return {}

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """Nothing ever started here."""
        return dict.fromkeys(run_ids, "absent")

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Nothing is kept."""
