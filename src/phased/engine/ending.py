"""Ends processes: asks, waits, kills, and gives up in time on what cannot be ended.

Knows the runner and the clock. Must not know steps, machines or why something is to end. Times are seconds
of the boot clock. A signal that cannot be sent now (the supervisor may be away) is sent at the next look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from signal import SIGKILL, SIGTERM

import anyio

from phased.errors import RunnerError
from phased.observability import logger
from phased.ports import Clock, Runner, RunProcess

_LOOK_AGAIN = (0.01, 0.25)
"""Seconds between two looks for processes that are left: at first, and at most."""
_NAMED = 5
"""So many processes are named; the rest is counted."""

Left = Mapping[str, Sequence[RunProcess]]
Look = Callable[[], Awaitable[Left]]


@dataclass(slots=True)
class Patience:
    """SIGTERM until `kill_at`, then SIGKILL, and given up `until`. Who will not wait sets both to less."""

    kill_at: float
    until: float


class Ending:
    """Ends what runs have left, over and over until nothing is."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        """Ends nothing yet."""
        self._runner = runner
        self._clock = clock
        self._log = logger("phased.engine")

    def patience(self, stop_timeout: float, kill_timeout: float) -> Patience:
        """So many seconds from now until SIGKILL, and so many more until it is given up."""
        kill_at = self._clock.boot() + stop_timeout
        return Patience(kill_at, kill_at + kill_timeout)

    async def signal(self, run_id: str, signal: int) -> None:
        """Signal every process of a run."""
        try:
            await self._runner.signal(run_id, int(signal))
        except RunnerError as error:
            self._log.warning("signal_not_sent", run_id=run_id, signal=int(signal), reason=str(error))

    async def processes_of(self, run_id: str) -> Left:
        """What lives of one run: a way to look."""
        left = await self._runner.processes(run_id)
        return {run_id: left} if left else {}

    async def end(self, look: Look, patience: Patience) -> str | None:
        """End what `look` finds; what could not be ended, as a phrase, or None if all was.

        However late it is, everything gets one SIGKILL and is looked at once more before it is given up.
        """
        pause, asked, killed = _LOOK_AGAIN[0], set[str](), set[str]()
        while True:
            try:
                left, trouble = await look(), None
            except RunnerError as error:
                left, trouble = {}, str(error)
            now = self._clock.boot()
            if not left and trouble is None:
                return None
            if now >= patience.until and killed.issuperset(left):
                return trouble or stuck(left)
            for run_id in left:
                if now >= patience.kill_at:
                    killed.add(run_id)
                    await self.signal(run_id, SIGKILL)
                elif run_id not in asked:
                    asked.add(run_id)
                    await self.signal(run_id, SIGTERM)
            await anyio.sleep(pause)
            pause = min(pause * 2, _LOOK_AGAIN[1])

    async def until_empty(self, run_id: str, waits: Callable[[], bool]) -> bool:
        """Wait until no process of a run is left, as long as `waits`; whether none is.

        Somebody else sees to its end.
        """
        pause = _LOOK_AGAIN[0]
        while waits():
            try:
                if not await self._runner.processes(run_id):
                    return True
            except RunnerError as error:
                self._log.warning("processes_unknown", run_id=run_id, reason=str(error))
            await anyio.sleep(pause)
            pause = min(pause * 2, _LOOK_AGAIN[1])
        return False


def stuck(left: Left) -> str:
    """Which processes could not be ended, and what they do, for people."""
    found = [process for processes in left.values() for process in processes]
    names = ", ".join(
        f"{process.pid} ({process.command[:40]}{', state ' + process.state if process.state else ''})"
        for process in found[:_NAMED]
    )
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    noun = "processes" if len(found) > 1 else "process"
    return f"could not be ended: {noun} {names}{more} outlived SIGKILL"
