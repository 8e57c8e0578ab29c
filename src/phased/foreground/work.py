"""What somebody who waits for executions is told, and the executions of an engine in this process.

Knows the engine. Must not know who is told, or how that is shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from phased.errors import PhasedError
from phased.ports import RunProcess, StoredExecution

if TYPE_CHECKING:
    from phased.core.status import StatusChange
    from phased.engine.engine import Engine
    from phased.engine.feed import Subscription
    from phased.engine.registry import LiveExecution

_NAMED = 5
_EVERY = 1.0
"""Seconds between two words on what a stop waits for."""
_LAST_WORDS = 5.0
"""Seconds that somebody who does not listen is given at the end."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An execution has a new status; `change` holds the steps that changed."""

    change: StatusChange


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a person should read now."""

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a stop waits for at this moment; told again and again."""

    text: str


Told = Changed | Noted | Waiting
Tell = Callable[[Told], Awaitable[None]]


class NobodyThere(PhasedError):
    """The holder does not listen, or left before it took the request; nothing has been started."""


class Work(Protocol):
    """Executions that somebody waits for."""

    executions: Sequence[StoredExecution]
    """As they were when they were created."""

    async def carry_out(self, tell: Tell) -> None:
        """Begin, tell what happens, and return when all have ended. Raises what ended the work early."""

    def stop(self, by: str) -> None:
        """Ask all to stop; returns at once."""

    def kill(self) -> None:
        """Do not wait for the stop any longer; returns at once."""


class EngineWork:
    """Executions of an engine in this process."""

    def __init__(
        self,
        engine: Engine,
        lives: Sequence[LiveExecution],
        *,
        keep: bool,
        stop_timeout: float,
        joined: Sequence[LiveExecution] = (),
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`keep`: what commands left in the background stays; `stop_timeout`: seconds a stop may take.

        `joined` run already, for somebody else: they are shown and waited for, and never stopped. `at_end` is
        called after the last effect.
        """
        self.executions: Sequence[StoredExecution] = [live.stored() for live in (*lives, *joined)]
        self._engine = engine
        self._joined = list(joined)
        self._lives = list(lives)
        self._steps = {step_id for live in lives for step_id in live.steps}
        self._keep = keep
        self._at_end = at_end
        self._stop_timeout = stop_timeout
        self._stopping = anyio.Event()
        self._stopped_at: float = 0.0
        self._by = "the end of the run"

    async def carry_out(self, tell: Tell) -> None:
        """Begin, tell what happens, end what is left over. Raises StoreError where a status is not saved."""
        engine = self._engine
        with engine.feed.subscribe() as changes:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, changes, tell)
                tasks.start_soon(self._say_what_a_stop_waits_for, tell)
                await self._tell_joined(tell)
                engine.begin(self._lives)
                for live in self._lives:
                    await live.done.wait()
                await self._joined_ended()
                tasks.cancel_scope.cancel()
            await self._tell_changes(changes.take(), tell)
        if engine.store_error is not None:
            every = [*self._lives, *self._joined]
            await self._tell_changes([live.stored().status for live in every], tell)
        await self._end_services(tell)
        if not self._keep:
            await self._end_leftovers(tell)
        if engine.store_error is not None:
            raise engine.store_error
        if self._at_end is not None:
            await self._at_end()

    async def _tell_joined(self, tell: Tell) -> None:
        """What runs already, and how it stands now."""
        for live in self._joined:
            which = f"{live.record.reference} ({live.record.id})"
            await tell(Noted(f"joining {which}: {live.record.started_by} started it, and it runs still"))
        await self._tell_changes([live.stored().status for live in self._joined], tell)

    async def _joined_ended(self) -> None:
        """Wait for what was joined; a stop lets go of it."""
        if not self._joined:
            return
        async with anyio.create_task_group() as race:

            async def ended() -> None:
                for live in self._joined:
                    await live.done.wait()
                race.cancel_scope.cancel()

            race.start_soon(ended)
            await self._stopping.wait()
            race.cancel_scope.cancel()

    def stop(self, by: str) -> None:
        """Ask all to stop; returns at once."""
        if not self._stopping.is_set():
            self._stopped_at = anyio.current_time()
            self._stopping.set()
            self._by = by
        self._engine.stop(self._lives, by)

    def kill(self) -> None:
        """Do not wait for the stop any longer."""
        self._engine.kill(self._lives, self._by)

    async def _pump(self, changes: Subscription, tell: Tell) -> None:
        while True:
            await self._tell_changes(await changes.get(), tell)

    async def _tell_changes(self, changes: Sequence[StatusChange], tell: Tell) -> None:
        """Whole, also when the work ends meanwhile: half a message would spoil those after it."""
        mine = {live.record.id for live in (*self._lives, *self._joined)}
        with anyio.CancelScope(shield=True) as scope:
            for change in changes:
                if change.execution_id in mine:
                    scope.deadline = anyio.current_time() + _LAST_WORDS
                    await tell(Changed(change))

    async def _say_what_a_stop_waits_for(self, tell: Tell) -> None:
        await self._stopping.wait()
        while True:
            await tell(Waiting(await self._waits_for()))
            await anyio.sleep(_EVERY)

    async def _waits_for(self) -> str:
        parts = []
        for label, run_id in self._live_runs():
            pids = [process.pid for process in await self._engine.processes(run_id)]
            parts.append(f"{label} ({', '.join(f'pid {pid}' for pid in pids[:_NAMED])})" if pids else label)
        if not parts:
            return "stopping: nothing runs any more"
        more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
        left = max(0.0, self._stopped_at + self._stop_timeout - anyio.current_time())
        return f"stopping: waiting for {', '.join(parts[:_NAMED])}{more}; {left:.0f} s until they are killed"

    def _live_runs(self) -> list[tuple[str, str]]:
        """Label and run id of every step that is between start and end, each run once."""
        runs: dict[str, str] = {}
        for live in self._lives:
            for step in live.machine.live_steps:
                run = live.runs.get(step.id)
                if run is not None:
                    runs.setdefault(run.run_id, step.label)
        return [(label, run_id) for run_id, label in runs.items()]

    async def _end_services(self, tell: Tell) -> None:
        """Services that were started for this work alone end with it."""
        plans = [live.record.spec.plan for live in self._lives]
        steps = [step for plan in plans for group in plan for step in group.steps if step.service_id]
        if steps:
            names = ", ".join(dict.fromkeys(step.label or "" for step in steps))
            await tell(Noted(f"stopping the services that were started for this: {names}"))
            await self._engine.end_services(self._lives, self._by)

    async def _end_leftovers(self, tell: Tell) -> None:
        found = [
            process
            for run_id, left in (await self._engine.leftovers()).items()
            if self._mine(run_id)
            for process in left
        ]
        if found:
            await tell(Noted(f"ending what commands left in the background: {_named(found)}"))
            if cause := await self._engine.end_leftovers(self._mine):
                await tell(Noted(f"warning: {cause}"))

    def _mine(self, run_id: str) -> bool:
        return run_id.partition(".")[0] in self._steps


def _named(processes: Sequence[RunProcess]) -> str:
    names = ", ".join(f"{process.command} ({process.pid})" for process in processes[:_NAMED])
    more = f" and {len(processes) - _NAMED} more" if len(processes) > _NAMED else ""
    return f"{names}{more}"
