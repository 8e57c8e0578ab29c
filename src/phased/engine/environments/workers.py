"""Bring environments where they should be, each by one worker at a time.

Knows the ledger, the engine, the definitions and the ground. Must not know who asks. A worker takes one step
after another until the phase is the desired one, also after a restart of the daemon; so each step can be
taken again from its beginning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup

from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.core.environment import EnvironmentRecord
from phased.engine.definitions.automations import Automations
from phased.engine.engine import Origin
from phased.engine.environments.cloning import fill
from phased.engine.environments.emptying import Emptying
from phased.engine.environments.ground import Ground, read_file
from phased.engine.environments.ledger import Ledger
from phased.engine.environments.sources import sources_of
from phased.errors import PhasedError, StoreError
from phased.observability import logger
from phased.ports import Clock

_REPEAT: Final = 1.0
"""Seconds until a worker tries again what the store refused."""
_BY_STOP: Final = "the end of the environment"
_BY_DELETION: Final = "the deletion of the environment"


@dataclass(frozen=True, slots=True)
class Start:
    """Which start of an environment it is: what decides which triggers fire (`semantics: Triggers`)."""

    first: bool
    booted: bool
    """The machine has booted since the last one."""


OnStart = Callable[[EnvironmentRecord, Start], Awaitable[None]]
"""Fires what a start fires; it returns when that is started. Errors that it raises become warnings."""
Step = Callable[[EnvironmentRecord], Awaitable[None]]


async def _nothing(record: EnvironmentRecord, start: Start) -> None:
    """Nothing is fired."""


class Workers:
    """All workers of a daemon."""

    def __init__(
        self,
        ledger: Ledger,
        automations: Automations,
        emptying: Emptying,
        ground: Ground,
        clock: Clock,
        tasks: TaskGroup,
    ) -> None:
        """`tasks`: where they work."""
        self._ledger = ledger
        self._automations = automations
        self._emptying = emptying
        self._ground = ground
        self._clock = clock
        self._tasks = tasks
        self._at_work: set[str] = set()
        self._scopes: dict[str, anyio.CancelScope] = {}
        """What may be given up, by environment."""
        self._forced: set[str] = set()
        """Environments in which nothing is waited for any more."""
        self._log = logger("phased.engine.environments")
        self._again: set[str] = set()
        self.on_start: OnStart = _nothing

    def work_on(self, environment_id: str, *, again: bool = False) -> None:
        """See that an environment comes where it should be; `again`: one at work is started once more."""
        if again:
            self._again.add(environment_id)
        if environment_id not in self._at_work:
            self._at_work.add(environment_id)
            self._tasks.start_soon(self._work, environment_id)

    def give_up(self, environment_id: str) -> None:
        """Something else is desired now: do not finish what is only on the way to a start."""
        if (scope := self._scopes.get(environment_id)) is not None:
            scope.cancel()

    def hurry(self, record: EnvironmentRecord) -> None:
        """Kill what an environment's end waits for, now and later."""
        self._forced.add(record.id)
        if record.phase in {Phase.STOPPING, Phase.DELETING}:
            self._emptying.kill(record.id, _BY_DELETION)

    async def define_file(self, record: EnvironmentRecord) -> None:
        """Define what its automations file says; what is wrong with it is kept beside the status."""
        definitions, found, failure = await read_file(record, self._ground.read_file)
        if definitions is not None:
            origin = Origin("manual", record.creator_id, record.creator_principal)
            try:
                await self._automations.apply(record.id, definitions, origin)
            except StoreError:
                raise
            except PhasedError as error:
                failure = str(error)
        if found or failure:
            await self._ledger.change(record.id, automations_file=found, automations_failure=failure)

    # ---- the steps -------------------------------------------------------------------------------

    async def _work(self, environment_id: str) -> None:
        try:
            while (record := self._ledger.find(environment_id)) and (step := self._next_step(record)):
                try:
                    await step(record)
                except StoreError as error:
                    self._log.error("environment_not_saved", environment_id=environment_id, reason=str(error))
                    await anyio.sleep(_REPEAT)
        finally:
            self._at_work.discard(environment_id)

    def _next_step(self, record: EnvironmentRecord) -> Step | None:
        match record.desired:
            case Phase.DELETED:
                return None if record.phase is Phase.DELETING and record.failures else self._delete
            case Phase.STOPPED:
                return None if record.phase is Phase.STOPPED else self._stop
            case _ if record.has_content:
                is_there = record.phase is Phase.RUNNING and record.id not in self._again
                return None if is_there else self._start
            case _:
                return self._fill

    async def _fill(self, record: EnvironmentRecord) -> None:
        """Make its workspace anew, from nothing: what an interrupted try left is of no use."""
        await self._ledger.change(record.id, phase=Phase.CREATING, failures=())
        try:
            with self._giving_up(record.id) as scope:
                path = await self._ground.make_empty(record.id)
                content = record.spec.content
                sources = sources_of(content.initializer if content else None)
                await fill(path, sources, self._ground.git_environment)
                await anyio.to_thread.run_sync(self._ground.hand_over, record.creator_id, path)
                self._ground.move_in(record.id, path)
        except PhasedError as error:
            self._log.warning("environment_not_filled", environment_id=record.id, reason=str(error))
            await self._failed_to_fill(record.id, str(error))
            return
        if not scope.cancelled_caught:
            await self._ledger.change(record.id, has_content=True)
            await self.define_file(self._ledger.record(record.id))

    async def _failed_to_fill(self, environment_id: str, reason: str) -> None:
        """It rests, and is tried again when it is started; who deletes it meanwhile has the last word."""
        desired = self._ledger.record(environment_id).desired
        rest = Phase.STOPPED if desired is Phase.RUNNING else desired
        await self._ledger.change(environment_id, phase=Phase.STOPPED, desired=rest, failures=(reason,))

    async def _start(self, record: EnvironmentRecord) -> None:
        start = Start(record.last_started_at is None, record.started_boot != self._clock.boot_id())
        record = await self._ledger.change(record.id, phase=Phase.STARTING, failures=(), warnings=())
        self._again.discard(record.id)
        warnings: tuple[str, ...] = ()
        with self._giving_up(record.id) as scope:
            try:
                await self.on_start(record, start)
            except PhasedError as error:
                self._log.warning("environment_start_incomplete", environment_id=record.id, reason=str(error))
                warnings = (str(error),)
        if not scope.cancelled_caught:
            now, boot = self._clock.wall(), self._clock.boot_id()
            await self._ledger.change(
                record.id, phase=Phase.RUNNING, warnings=warnings, last_started_at=now, started_boot=boot
            )

    async def _stop(self, record: EnvironmentRecord) -> None:
        if record.phase is not Phase.STOPPING:
            await self._ledger.change(record.id, phase=Phase.STOPPING)
        left = await self._emptying.empty(record.id, _BY_STOP, force=record.id in self._forced)
        await self._ledger.change(record.id, phase=Phase.STOPPED, warnings=left)

    async def _delete(self, record: EnvironmentRecord) -> None:
        await self._ledger.change(record.id, phase=Phase.DELETING, failures=())
        left = await self._emptying.empty(record.id, _BY_DELETION, force=record.id in self._forced)
        if left:
            await self._ledger.change(record.id, failures=left)
            return
        services = await self._emptying.delete_services(record.id, _BY_DELETION)
        try:
            await self._ground.remove_workspace(record.id)
        except PhasedError as error:
            await self._ledger.change(record.id, failures=(str(error),))
            return
        with_logs = await self._ledger.remove(record.id)
        self._automations.forget(record.id)
        self._forced.discard(record.id)
        self._scopes.pop(record.id, None)
        try:
            await self._ground.forget(record.id)
            await self._ground.remove_logs([*with_logs, *services])
        except PhasedError as error:
            self._log.warning("environment_not_forgotten", environment_id=record.id, reason=str(error))

    def _giving_up(self, environment_id: str) -> anyio.CancelScope:
        """What is done within is given up when something else is asked for."""
        scope = self._scopes[environment_id] = anyio.CancelScope()
        return scope
