"""Fire triggers: all that one starts goes at once, each at most once; what runs of it already is joined.

Knows the engine and its services by their calls, and the store of firings. Must not know SQLite, messages or
who may ask. A firing is saved, durably, before its first effect and after its last; in between its parts are
what the executions and services say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from phased.core.firing import TRIGGERS, FiringPart, FiringRecord, Result, parts_of
from phased.core.service_phases import RESTING
from phased.engine.engine import Engine, Origin
from phased.engine.registry import LiveExecution
from phased.engine.services.live import LiveService
from phased.engine.triggers.live import (
    NOT_AWAITED,
    LiveFiring,
    Site,
    after_execution,
    after_service,
    key_of,
    running_of,
)
from phased.engine.triggers.recovery import find_parts
from phased.errors import FailedPrecondition, InvalidArgument, NotFound, PhasedError, StoreError
from phased.observability import logger
from phased.ports import Clock, FiringStore, Store

_REPEAT: Final = 1.0
"""Seconds until it is tried again to save the end of a firing."""


class Firings:
    """All firings of an engine. `load` before use."""

    def __init__(
        self,
        stores: tuple[Store, FiringStore],
        engine: Engine,
        clock: Clock,
        site_of: Callable[[str], Site],
        tasks: TaskGroup,
    ) -> None:
        """`site_of` says what an environment defines; it raises NotFound, FailedPrecondition."""
        self._progress, self.store = stores
        self.engine = engine
        self.clock = clock
        self.site_of = site_of
        self.tasks = tasks
        self._live: dict[str, LiveFiring] = {}
        self.firing = engine.firing
        self._log = logger("phased.engine.triggers")

    # ---- what there is ---------------------------------------------------------------------------

    def live(self, firing_id: str) -> LiveFiring | None:
        """A firing that has not ended."""
        return self._live.get(firing_id)

    @property
    def lives(self) -> list[LiveFiring]:
        """All that have not ended, oldest first."""
        return list(self._live.values())

    async def get(self, firing_id: str) -> FiringRecord:
        """One firing as it stands now. Raises NotFound, StoreError."""
        if (live := self._live.get(firing_id)) is not None:
            return live.record
        found = await self.store.get_firing(firing_id)
        if found is None:
            raise NotFound(f"cannot find a firing {firing_id!r}; `phased trigger list` shows them")
        return found if found.completed_at is not None else await self._noted(found)

    async def _noted(self, record: FiringRecord) -> FiringRecord:
        """One that a run in the foreground carries out here, as its executions stand now."""
        newer: list[FiringPart] = []
        for part in record.parts:
            live = self.engine.live(part.execution_id)
            stored = live.stored() if live is not None else await self._progress.get(part.execution_id)
            if stored is not None:
                newer.append(after_execution(part, stored.status))
        return record.with_parts(*newer)

    async def all(self, environment_id: str | None = None) -> list[FiringRecord]:
        """Of an environment, or all, newest first. Raises StoreError."""
        found = await self.store.list_firings(environment_id)
        return [live.record if (live := self._live.get(one.id)) else one for one in found]

    async def ended(self, firing_id: str) -> FiringRecord:
        """The record, once the firing has ended. Raises NotFound, StoreError."""
        if (live := self._live.get(firing_id)) is not None:
            await live.done.wait()
            return live.record
        return await self.get(firing_id)

    # ---- what is asked for -----------------------------------------------------------------------

    async def fire(
        self, environment_id: str, triggers: Sequence[str], origin: Origin, *, resumes: str = ""
    ) -> LiveFiring:
        """Start all that these triggers name; returns when that is started, and saved.

        What several of them name starts once. `resumes`: a firing of the same; only what had not succeeded
        there is started. Raises NotFound, FailedPrecondition, InvalidArgument, PlanError, Unsupported,
        StoreError.
        """
        check_triggers(triggers)
        async with self.firing:
            site = self.site_of(environment_id)
            parts = parts_of(site.catalog, triggers)
            if resumes:
                rest = {part.reference for part in (await self.get(resumes)).rest}
                parts = tuple(part for part in parts if part.reference in rest)
            live = await self.open(self.new(site, triggers, origin, parts, resumes=resumes))
            try:
                await self.start_parts(live, site, parts, origin)
            except PhasedError as error:
                self.tasks.start_soon(self.fail, live, str(error))
                raise
            self.tasks.start_soon(self._follow, live)
        return live

    async def to_resume(self, environment_id: str, trigger: str) -> FiringRecord:
        """The newest firing of a trigger. Raises NotFound, StoreError."""
        check_triggers([trigger])
        for record in await self.all(environment_id):
            if trigger in record.triggers and not record.is_prebuild:
                return record
        raise NotFound(f"cannot resume {trigger}: it was never fired here; leave --resume out")

    async def resume(self, record: FiringRecord, origin: Origin) -> LiveFiring | FiringRecord:
        """Run what had not succeeded of a firing; itself, where it has not ended or all of it succeeded.

        Raises FailedPrecondition for a prebuild, and as `fire`.
        """
        live = self._live.get(record.id)
        if live is not None:
            return live
        if record.is_prebuild:
            raise FailedPrecondition("cannot resume a prebuild: what it had started was ended; run it anew")
        if not record.rest:
            return record
        return await self.fire(record.environment_id, record.triggers, origin, resumes=record.id)

    def stop(self, live: LiveFiring, by: str) -> None:
        """Ask all that a firing started to stop, and start no more of it; returns at once. Services stay."""
        live.stopped_by = live.stopped_by or by
        live.stopping.set()
        self.engine.stop(list(live.own), by)

    def stop_noted(self, record: FiringRecord, by: str, *, kill: bool) -> None:
        """The same for one that a run in the foreground carries out here; of one that has ended, nothing."""
        if record.completed_at is None:
            mine = [self.engine.live(part.execution_id) for part in record.parts if not part.joined]
            lives = [live for live in mine if live is not None]
            (self.engine.kill if kill else self.engine.stop)(lives, by)

    # ---- inside, and for prebuilds ---------------------------------------------------------------

    def new(
        self,
        site: Site,
        triggers: Sequence[str],
        origin: Origin,
        parts: tuple[FiringPart, ...],
        *,
        resumes: str = "",
        is_prebuild: bool = False,
    ) -> FiringRecord:
        """The record of a new firing."""
        return FiringRecord(
            str(uuid4()), site.environment_id, tuple(triggers), self.clock.wall(), origin.creator_id,
            origin.creator_principal, parts, is_prebuild=is_prebuild, resumes=resumes,
        )  # fmt: skip

    async def open(self, record: FiringRecord) -> LiveFiring:
        """Save a new firing, before its first effect. Raises StoreError."""
        await self.store.save_firing(record)
        live = self._live[record.id] = LiveFiring(record)
        return live

    async def start_parts(
        self,
        live: LiveFiring,
        site: Site,
        parts: Sequence[FiringPart],
        origin: Origin,
        *,
        firing_id: str = "",
    ) -> None:
        """Start these parts, or join what runs of them; raises as `fire`, and has started nothing then.

        `firing_id`: within it each task runs once; the firing's own, if not told.
        """
        firing_id = firing_id or live.record.id
        origin = replace(origin, firing_id=firing_id)
        started: list[LiveExecution] = []
        self.engine.hold(firing_id)
        try:
            services = await self._define_services(site, parts, origin)
            started += await self._start_tasks(live, site, parts, origin)
            await self.store.save_firing(live.record)
            await self._start_services(live, services, firing_id)
        except PhasedError:
            self.engine.let_go(firing_id)
            self.engine.stop(started, "the failure of its trigger")
            raise
        self.engine.begin(started)

    async def _start_tasks(
        self, live: LiveFiring, site: Site, parts: Sequence[FiringPart], origin: Origin
    ) -> list[LiveExecution]:
        """Create the executions of those that are not joined; they do not begin yet."""
        fresh = [part for part in parts if not part.is_service and not self._join(live, part)]
        if not fresh:
            return []
        named_by = {part.reference: part.trigger for part in fresh}
        started = await self.engine.fire(
            site.catalog, list(named_by), replace(origin, named_by=named_by), workspace=Path(site.workspace)
        )
        for part, execution in zip(fresh, started, strict=True):
            live.executions[key_of(part)] = execution
        live.tell(*(
            replace(part, execution_id=execution.record.id)
            for part, execution in zip(fresh, started, strict=True)
        ))  # fmt: skip
        return started

    def _join(self, live: LiveFiring, part: FiringPart) -> bool:
        """Whether this trigger started the task earlier, and it runs still: that execution is shown, then."""
        environment_id = live.record.environment_id
        execution = running_of(self.engine.lives, environment_id, part.reference, part.trigger)
        if execution is None:
            return False
        live.executions[key_of(part)] = execution
        live.tell(replace(part, execution_id=execution.record.id, joined=True))
        return True

    async def _define_services(
        self, site: Site, parts: Sequence[FiringPart], origin: Origin
    ) -> list[tuple[FiringPart, LiveService]]:
        services = [part for part in parts if part.is_service]
        if not services:
            return []
        references = [part.reference for part in services]
        found = await self.engine.services.define(site.catalog, references, site.workspace, origin)
        return list(zip(services, found, strict=True))

    async def _start_services(
        self, live: LiveFiring, services: Sequence[tuple[FiringPart, LiveService]], firing_id: str
    ) -> None:
        for part, service in services:
            live.services[key_of(part)] = service
            if service.progress.state not in RESTING:
                live.tell(replace(part, joined=True))
            self.engine.services.start_for(service, firing_id, part.trigger)
        if services:
            await self.engine.services.settled()

    async def _follow(self, live: LiveFiring) -> None:
        """Until all parts have ended; then it is completed."""
        await self.follow_parts(live, list(live.record.parts))
        self.engine.let_go(live.record.id)
        await self.close(live)

    async def follow_parts(self, live: LiveFiring, parts: Sequence[FiringPart]) -> None:
        """Wait until these parts have ended."""
        async with anyio.create_task_group() as waits:
            for key in map(key_of, parts):
                if (execution := live.executions.get(key)) is not None:
                    waits.start_soon(self._follow_execution, live, key, execution)
                elif (service := live.services.get(key)) is not None:
                    waits.start_soon(self._follow_service, live, key, service)

    async def _follow_execution(
        self, live: LiveFiring, key: tuple[str, str], execution: LiveExecution
    ) -> None:
        await execution.done.wait()
        live.tell(after_execution(live.part(key), execution.machine.status()))

    async def _follow_service(self, live: LiveFiring, key: tuple[str, str], service: LiveService) -> None:
        outcome: list[str | None] = []
        async with anyio.create_task_group() as race:

            async def ready() -> None:
                outcome.append(await self.engine.services.until_ready(service))
                race.cancel_scope.cancel()

            race.start_soon(ready)
            await live.stopping.wait()
            race.cancel_scope.cancel()
        live.tell(after_service(live.part(key), outcome[0] if outcome else NOT_AWAITED))

    async def fail(self, live: LiveFiring, cause: str) -> None:
        """It could not be started; that is saved."""
        await self.close(live, cause=cause, result=Result.FAILED)

    async def close(self, live: LiveFiring, *, cause: str = "", result: Result | None = None) -> None:
        """Save that it is completed; tried again while the disk is full."""
        live.record = live.record.completed(self.clock.wall(), cause=cause, result=result)
        try:
            while self._is_known(live.record.environment_id):
                try:
                    await self.store.save_firing(live.record)
                    break
                except StoreError as error:
                    self._log.error("firing_not_saved", firing_id=live.record.id, reason=str(error))
                    await anyio.sleep(_REPEAT)
        finally:
            self._live.pop(live.record.id, None)
            live.done.set()
            live.changed.set()

    def _is_known(self, environment_id: str) -> bool:
        """Whether the environment is still there: what is deleted must not come back."""
        try:
            self.site_of(environment_id)
        except NotFound:
            return False
        except PhasedError:
            return True
        return True

    # ---- taking over -----------------------------------------------------------------------------

    async def load(self) -> None:
        """Go on with what an earlier engine left uncompleted, or say that it was interrupted.

        What still runs is followed. Whatever was lost, or never begun, makes the firing INTERRUPTED. Of a
        prebuild what still runs is ended: a part of one is of no use. Raises StoreError.
        """
        for record in reversed(await self.store.list_firings(unfinished=True)):
            live = self._live[record.id] = LiveFiring(record)
            await find_parts(live, self.engine, self._progress)
            if record.is_prebuild:
                self.stop(live, "a later engine: that of the prebuild was lost")
            self.tasks.start_soon(self._follow_found, live)

    async def _follow_found(self, live: LiveFiring) -> None:
        await self.follow_parts(live, [part for part in live.record.parts if not part.ended])
        lost = live.record.is_prebuild or any(part.result is Result.INTERRUPTED for part in live.record.parts)
        cause = "the engine was lost meanwhile" if lost else ""
        await self.close(live, cause=cause, result=Result.INTERRUPTED if lost else None)


def check_triggers(triggers: Sequence[str]) -> None:
    """Raises InvalidArgument for a name that is none."""
    for trigger in triggers:
        if trigger not in TRIGGERS:
            raise InvalidArgument(f"cannot fire {trigger[:100]!r}: there are {', '.join(TRIGGERS)}")
