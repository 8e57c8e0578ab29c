"""The end of a daemon: its work is stopped, and who waits is told what for.

Knows the engine, executions, services and what ended commands left behind. Must not know sockets or answers.
Every wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from phased.core.service_phases import RESTING, ServiceState
from phased.engine.ending import Patience
from phased.engine.engine import Engine
from phased.engine.processes import Found, Owner, left_behind, owner_told
from phased.engine.registry import LiveExecution
from phased.engine.services.host import needs_of
from phased.engine.services.live import LiveService
from phased.errors import PhasedError, RunnerError
from phased.observability import Logger, logger
from phased.ports import Clock
from phased.runners.measuring import measure

_EVERY: Final = 1.0
"""Seconds between two lines that say what is waited for."""
_ANSWER: Final = 5.0
"""Seconds in which the supervisor answers; else all that it is asked for is named without pids."""
_PIDS_SHOWN: Final = 8
_LONGEST_NAME: Final = 80
_BY: Final = "the end of the daemon"

Say = Callable[[str], None]
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class Farewell:
    """Ends all work of an engine, once."""

    engine: Engine
    clock: Clock
    timeout: float
    """Seconds that all of it may take."""
    say: Say
    _hurried: bool = field(default=False, init=False)
    _patience: Patience | None = field(default=None, init=False)
    """With what ended commands left behind, while that is being ended."""
    _unanswered: bool = field(default=False, init=False)
    """The supervisor did not answer in time, and is asked no more in this look."""

    async def stop_all(self) -> bool:
        """Stop everything; whether that was done in time. What has not ended is named."""
        deadline = self.clock.boot() + self.timeout
        in_time = False
        with anyio.move_on_after(self.timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell, deadline)
                await self._stop()
                tasks.cancel_scope.cancel()
            in_time = True
        await self._give_up("end" if in_time else "wait any longer for")
        return in_time

    def kill_all(self) -> None:
        """Do not wait for what is being stopped to end by itself."""
        self._hurried = True
        self.engine.kill(self.engine.lives, _BY)
        for service in self._services():
            self.engine.services.kill(service, _BY)
        self.engine.kill_abandoned()
        if self._patience is not None:
            hurried = self.engine.patience(hurried=True)
            self._patience.kill_at, self._patience.until = hurried.kill_at, hurried.until

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
        await self._end_leftovers()

    async def _end_leftovers(self) -> None:
        """Last, since what ends before may need them."""
        if self._hurried:
            self.engine.kill_abandoned()
        await self.engine.abandoned_ended()
        self._patience = self.engine.patience(hurried=self._hurried)
        cause = await self.engine.end_leftovers(patience=self._patience)
        if cause:
            self.say(f"cannot end all processes that commands left behind: {cause}")
            self._log.error("leftovers_not_ended", reason=cause)

    async def _give_up(self, verb: str) -> None:
        """Name what has not ended."""
        for line in await self._left():
            self.say(f"cannot {verb} {line}; it goes on without a daemon")
            self._log.error("end_gave_up", waited_for=line)
        if self._unanswered:
            self.say("cannot name all that goes on without a daemon: the supervisor does not answer")

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
        """What still lives and is being ended, each with its pids."""
        self._unanswered = False
        lines = []
        for live in self.engine.lives:
            found = [
                await self._step(live, step.id, [live.runs[step.id].run_id] if step.id in live.runs else [])
                for step in live.machine.live_steps
            ]
            lines += found or [_name(live)]
        lines += [await self._step(run.owner, run.owner_step, [run.run_id]) for run in self.engine.abandoned]
        for service in self._services():
            runs = [service.progress.command_run] if service.progress.session else []
            lines.append(f"the service {service.reference}{_listed(await self._pids(runs))}")
        return lines + [f"what {whose} left behind{_listed(pids)}" for whose, pids in await self._leftovers()]

    async def _left(self) -> list[str]:
        """What still lives, with what was given up on before."""
        lines = await self._waiting_for()
        named = {pid for _, pids in await self._leftovers() for pid in pids}
        for run in self.engine.outlived:
            lines.append(await self._step(run.owner, run.owner_step, [run.run_id]))
        for service in self.engine.services.all():
            progress = service.progress
            if progress.state is ServiceState.FAILED and progress.session:
                pids = await self._pids([progress.command_run, progress.ready_run, progress.stop_run])
                if stuck := [pid for pid in pids if pid not in named]:
                    lines.append(f"the service {service.reference}{_listed(stuck)}")
        return lines

    async def _step(self, live: LiveExecution, step_id: str, runs: Sequence[str]) -> str:
        label = live.steps[step_id].label
        of = "" if label == live.record.reference else f"step {label} of "
        return f"{of}{_name(live)}{_listed(await self._pids(runs))}"

    async def _pids(self, runs: Iterable[str]) -> list[int]:
        """Leaders first: pids begin anew, so the order of numbers says nothing."""
        found = [one for run in runs for one in await self._asked(self.engine.processes(run), [])]
        return [process.pid for process in sorted(found, key=lambda process: not process.leader)]

    async def _asked(self, answer: Coroutine[Any, Any, Answer], otherwise: Answer) -> Answer:
        """What is answered soon; a supervisor that is away or silent must not hold up the end's words."""
        if self._unanswered:
            answer.close()
            return otherwise
        try:
            with anyio.move_on_after(_ANSWER):
                return await answer
        except RunnerError:
            return otherwise
        self._unanswered = True
        return otherwise

    async def _leftovers(self) -> list[tuple[str, list[int]]]:
        """What ended commands left behind: whose, and its pids."""
        found = await self._asked(left_behind(self.engine), [])
        boot = self.clock.boot()
        told = anyio.to_thread.run_sync(lambda: [_owner(one, boot) for one in found], abandon_on_cancel=True)
        owners = await self._asked(told, [one.owner for one in found])
        pids: dict[str, list[int]] = {}
        for one, owner in zip(found, owners, strict=True):
            pids.setdefault(_whose(owner), []).append(one.process.pid)
        return list(pids.items())


def _name(live: LiveExecution) -> str:
    return f"{live.record.reference} ({live.record.id})"


def _listed(pids: Sequence[int]) -> str:
    more = "..." if len(pids) > _PIDS_SHOWN else ""
    return f": pid {', '.join(map(str, pids[:_PIDS_SHOWN]))}{more}" if pids else ""


def _owner(one: Found, boot: float) -> Owner:
    """Of whom the engine knows nothing any more, the process itself may tell whose it is."""
    if one.owner.reference:
        return one.owner
    measured = measure(one.process.pid, one.process.start_time, boot)
    return owner_told(measured.shown) if measured is not None else one.owner


def _whose(owner: Owner) -> str:
    """A process tells what it likes: only what can be printed is."""
    reference, execution_id = (
        text[:_LONGEST_NAME] if text.isprintable() else "" for text in (owner.reference, owner.execution_id)
    )
    if not reference:
        return "an ended command"
    if owner.service_id:
        part = f"the {owner.part} command of " if owner.part in {"ready", "stop"} else ""
        return f"{part}the service {reference}"
    return f"{reference} ({execution_id})" if execution_id else reference


def last_first(services: Sequence[LiveService]) -> list[LiveService]:
    """Those of these that nothing else of them needs: they end first, what they need after them."""
    needed = {(live.record.environment_id, need) for live in services for need in needs_of(live)}
    free = [live for live in services if (live.record.environment_id, live.reference) not in needed]
    return free or list(services)
