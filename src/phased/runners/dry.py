"""Runs nothing: every run starts and succeeds at once. What `--dry-run` uses.

Implements `ports.Runner`; a small real implementation, so the engine above it is the real one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from phased.ports import Clock, RunExited, RunProcess, RunReport, RunRequest, RunStarted


class DryRunner:
    """Reports success for everything, in the order it was asked for."""

    def __init__(self, clock: Clock) -> None:
        """Nothing was asked for yet."""
        self._clock = clock
        self._reports: list[RunReport] = []
        self._arrived = anyio.Event()

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Pretend."""
        now = self._clock.wall()
        for request in requests:
            self._reports += [RunStarted(request.run_id, now), RunExited(request.run_id, 0, None, now)]
        self._arrived.set()

    async def reports(self) -> list[RunReport]:
        """What was pretended since the last call."""
        await self._arrived.wait()
        self._arrived = anyio.Event()
        reports, self._reports = self._reports, []
        return reports

    async def processes(self, run_id: str) -> list[RunProcess]:  # noqa: ARG002 - the port's signature
        """There are none."""
        return []

    async def signal(self, run_id: str, signal: int) -> int:  # noqa: ARG002 - the port's signature
        """There is nothing to signal."""
        return 0

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """There are none."""
        return {}

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """Nothing ever started here."""
        return dict.fromkeys(run_ids, "absent")

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Nothing is kept."""
