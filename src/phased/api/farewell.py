"""The end of a daemon: its work is stopped, and who waits is told what for.

Knows the engine, executions and services. Must not know sockets or answers. Every wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from phased.core.service_phases import RESTING
from phased.engine.engine import Engine
from phased.engine.registry import LiveExecution
from phased.engine.services.host import needs_of
from phased.engine.services.live import LiveService
from phased.errors import PhasedError
from phased.observability import Logger, logger
from phased.ports import Clock

_EVERY: Final = 1.0
"""Seconds between two lines that say what is waited for."""
_PIDS_SHOWN: Final = 8
_BY: Final = "the end of the daemon"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Farewell:
    """Ends all work of an engine, once."""

    engine: Engine
    clock: Clock
    timeout: float
    """Seconds that all of it may take."""
    say: Say

    async def stop_all(self) -> bool:
        """Stop everything; whether it had ended in time. What has not is named."""
        deadline = self.clock.boot() + self.timeout
        with anyio.move_on_after(self.timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell, deadline)
                await self._stop()
                tasks.cancel_scope.cancel()
            return True
        for line in await self._waiting_for():
            self.say(f"cannot wait any longer for {line}; it goes on without a daemon")
            self._log.error("end_gave_up", waited_for=line)
        return False

    def kill_all(self) -> None:
        """Do not wait for what is being stopped to end by itself."""
        self.engine.kill(self.engine.lives, _BY)
        for service in self._services():
            self.engine.services.kill(service, _BY)

    async def _stop(self) -> None:
        while self.engine.lives or self._services():
            lives = self.engine.lives
            self.engine.stop(lives, _BY)
            for live in lives:
                await live.done.wait()
            last = last_first(self._services())
            for service in last:
                self.engine.services.stop(service, _BY)
            for service in last:
                await self.engine.services.until_rest(service)
            await self._saved(lives)
        cause = await self.engine.end_leftovers()
        if cause:
            self.say(f"cannot end all processes that commands left behind: {cause}")

    @property
    def _log(self) -> Logger:
        return logger("phased.daemon")

    async def _saved(self, lives: list[LiveExecution]) -> None:
        """Ended executions are let go of once that is saved; a full disk must not hold up the end."""
        try:
            await self.engine.settled()
            await self.engine.services.settled()
        except PhasedError:
            await anyio.sleep(_EVERY)
            return
        if any(live in self.engine.lives for live in lives):
            await checkpoint()

    def _services(self) -> list[LiveService]:
        return [live for live in self.engine.services.all() if live.progress.state not in RESTING]

    async def _tell(self, deadline: float) -> None:
        while True:
            await anyio.sleep(_EVERY)
            left = max(deadline - self.clock.boot(), 0.0)
            for line in await self._waiting_for():
                self.say(f"waiting for {line}; {left:.0f} s left")
                self._log.info("end_waits", waits_for=line, seconds_left=round(left))

    async def _waiting_for(self) -> list[str]:
        """What still lives, step by step, each with its pids."""
        lines = []
        for live in self.engine.lives:
            whole = f"{live.record.reference} ({live.record.id})"
            found = []
            for step in live.machine.live_steps:
                of = "" if step.label == live.record.reference else f"step {step.label} of "
                pids = await self._pids([live.runs[step.id].run_id] if step.id in live.runs else [])
                found.append(f"{of}{whole}{pids}")
            lines += found or [whole]
        for service in self._services():
            runs = [service.progress.command_run] if service.progress.session else []
            lines.append(f"the service {service.reference}{await self._pids(runs)}")
        return lines

    async def _pids(self, runs: list[str]) -> str:
        pids = [str(process.pid) for run in runs for process in await self.engine.processes(run)]
        more = "..." if len(pids) > _PIDS_SHOWN else ""
        return f": pid {', '.join(pids[:_PIDS_SHOWN])}{more}" if pids else ""


def last_first(services: Sequence[LiveService]) -> list[LiveService]:
    """Those of these that nothing else of them needs: they end first, what they need after them."""
    needed = {(live.record.environment_id, need) for live in services for need in needs_of(live)}
    free = [live for live in services if (live.record.environment_id, live.reference) not in needed]
    return free or list(services)
