"""The environments of a daemon: made, filled, started, stopped and deleted, each by one worker at a time.

Knows the engine, the definitions and the ground they stand on. Must not know SQLite or messages' transport.
What is asked for is saved as `desired`; the worker of an environment goes on until it is there, also after
a restart of the daemon. Every phase is saved, durably, before it is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.contract.environment_status import EnvironmentActivitySignal
from phased.contract.environment_update import UpdateEnvironmentRequest
from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.core.environment import AT_WORK, EnvironmentRecord
from phased.core.specs import environment_id as id_of_workspace
from phased.core.versions import next_version
from phased.engine.bulletin import Bulletin
from phased.engine.definitions.automations import Automations
from phased.engine.engine import Engine, Origin
from phased.engine.environments import changing, made
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.cloning import fill
from phased.engine.environments.emptying import Emptying
from phased.engine.environments.ground import Ground, read_file
from phased.engine.environments.sources import sources_of
from phased.errors import FailedPrecondition, NotFound, PhasedError, StoreError
from phased.observability import logger
from phased.ports import Clock, DefinitionStore

_REPEAT: Final = 1.0
"""Seconds until a worker tries again what the store refused."""


@dataclass(frozen=True, slots=True)
class Start:
    """Which start of an environment it is: what decides which triggers fire (`semantics: Triggers`)."""

    first: bool
    booted: bool
    """The machine has booted since the last one."""


OnStart = Callable[[EnvironmentRecord, Start], Awaitable[None]]
"""Fires what a start fires; it returns when that is started. Errors that it raises become warnings."""


async def _nothing(record: EnvironmentRecord, start: Start) -> None:
    """Nothing is fired."""


class Environments:
    """All environments of a daemon. `load` before use, then `resume`."""

    def __init__(
        self,
        store: DefinitionStore,
        engine: Engine,
        classes: EnvironmentClasses,
        ground: Ground,
        clock: Clock,
        bulletin: Bulletin,
    ) -> None:
        """`connect` says the rest."""
        self._store = store
        self._engine = engine
        self._ground = ground
        self._clock = clock
        self._bulletin = bulletin
        self._records: dict[str, EnvironmentRecord] = {}
        self._workers: dict[str, anyio.CancelScope] = {}
        """What may be given up, of each environment whose worker is at work."""
        self._at_work: set[str] = set()
        self._forced: set[str] = set()
        self._changed: dict[str, anyio.Event] = {}
        self._log = logger("phased.engine.environments")
        self._tasks: TaskGroup
        self._automations: Automations
        self._emptying: Emptying
        self.classes = classes
        self.on_start: OnStart = _nothing

    def connect(self, automations: Automations, tasks: TaskGroup) -> None:
        """The definitions, which ask where environments are, and where workers run."""
        self._automations = automations
        self._tasks = tasks
        self._emptying = Emptying(self._engine, self._store)

    async def load(self) -> None:
        """Read what there is. Raises StoreError."""
        self._records = {record.id: record for record in await self._store.list_environments()}

    def resume(self) -> None:
        """Go on with what an earlier daemon left between two phases."""
        boot = self._clock.boot_id()
        for record in self._records.values():
            rebooted = record.scratch and record.phase is Phase.RUNNING and record.started_boot != boot
            if rebooted and record.desired is Phase.RUNNING:
                self._records[record.id] = replace(record, phase=Phase.STARTING)
            self._work_on(record.id)

    # ---- what there is ---------------------------------------------------------------------------

    def record(self, environment_id: str) -> EnvironmentRecord:
        """One environment. Raises NotFound."""
        try:
            return self._records[environment_id]
        except KeyError:
            raise NotFound(
                f"cannot find an environment {environment_id!r}; `phased environment list` shows them"
            ) from None

    def all(self) -> list[EnvironmentRecord]:
        """Every environment, oldest first."""
        return list(self._records.values())

    def workspace_of(self, environment_id: str) -> str:
        """Where its commands run. Raises NotFound."""
        return self.record(environment_id).workspace

    def check_at_work(self, environment_id: str) -> EnvironmentRecord:
        """The environment. Raises FailedPrecondition where nothing can be started in it; NotFound."""
        record = self.record(environment_id)
        if record.phase not in AT_WORK or record.desired is not Phase.RUNNING:
            raise FailedPrecondition(
                f"cannot start anything in the environment {record.name}: it is {record.phase.name}; "
                "start it first"
            )
        return record

    async def until(
        self, environment_id: str, holds: Callable[[EnvironmentRecord], bool]
    ) -> EnvironmentRecord:
        """Wait for a state of an environment. Raises NotFound where it is gone, also while waiting."""
        while not holds(record := self.record(environment_id)):
            await self._changed.setdefault(environment_id, anyio.Event()).wait()
        return record

    # ---- what is asked for -----------------------------------------------------------------------

    async def adopt(self, workspace: Path, origin: Origin) -> EnvironmentRecord:
        """The environment that a directory of a user's is: known, or new, and at work; it fires nothing.

        What its automations file defines is defined when it is new. Raises StoreError, FileUnreadable.
        """
        identifier = id_of_workspace(str(workspace))
        known = self._records.get(identifier)
        if known is not None:
            return known
        record = made.of_user(workspace, self.classes.local_id, origin, self._clock)
        await self._add(record)
        await self._read_file(record)
        return self.record(identifier)

    async def create(self, request: CreateEnvironmentRequest, origin: Origin) -> EnvironmentRecord:
        """A new environment in a workspace of its own; it is filled and started after this returns.

        Raises InvalidArgument, FailedPrecondition (its class is disabled), StoreError.
        """
        identifier = str(uuid4())
        workspace = self._ground.workspace(identifier)
        record = made.scratch(identifier, workspace, request, self.classes, origin, self._clock.wall())
        await self._add(record)
        self._work_on(identifier)
        return self.record(identifier)

    async def update(self, request: UpdateEnvironmentRequest) -> EnvironmentRecord:
        """Change its name and what it should be; what is absent stays. Raises NotFound, InvalidArgument."""
        record = self.record(request.environment_id)
        after = changing.changed(record, request)
        if after == record:
            return record
        return await self._save(
            after, Operation.UPDATE, spec_version=next_version(record.spec_version, self._clock.wall())
        )

    async def start(self, environment_id: str) -> EnvironmentRecord:
        """Ask it to be at work; returns at once. Raises NotFound, FailedPrecondition where it is deleted."""
        return await self._ask(environment_id, Phase.RUNNING)

    async def stop(self, environment_id: str) -> EnvironmentRecord:
        """Ask all its steps and services to end; returns at once. Raises NotFound, FailedPrecondition."""
        return await self._ask(environment_id, Phase.STOPPED)

    async def delete(self, environment_id: str, *, force: bool = False) -> EnvironmentRecord:
        """Stop it and remove it with its workspace and history; `force`: whatever runs is killed.

        Returns at once. Raises NotFound; FailedPrecondition for a directory that a user gave.
        """
        record = self.record(environment_id)
        if not record.scratch:
            raise FailedPrecondition(
                f"cannot delete the environment {record.name}: {record.workspace} is not the daemon's to "
                "remove; stop the environment instead"
            )
        if record.failures:
            await self._save(replace(record, failures=()))  # what could not be removed may be by now
        if force:
            self._forced.add(environment_id)
            if record.phase in {Phase.STOPPING, Phase.DELETING}:
                self._emptying.kill(environment_id, _BY_DELETION)
        return await self._ask(environment_id, Phase.DELETED)

    async def mark_active(self, environment_id: str, signal: EnvironmentActivitySignal | None) -> None:
        """Something in it was active. Raises NotFound."""
        record = self.record(environment_id)
        at = self._clock.wall()
        if signal is not None and signal.timestamp is not None:
            at = min(at, round(signal.timestamp.timestamp() * 1_000_000))
        source = signal.source if signal is not None else record.active_source
        await self._save(replace(record, active_at=at, active_source=source), Operation.UPDATE_STATUS)

    async def _ask(self, environment_id: str, desired: Phase) -> EnvironmentRecord:
        record = self.record(environment_id)
        if record.desired is Phase.DELETED and desired is not Phase.DELETED:
            raise FailedPrecondition(f"cannot change the environment {record.name}: it is being deleted")
        if record.desired is not desired:
            version = next_version(record.spec_version, self._clock.wall())
            record = await self._save(
                replace(record, desired=desired), Operation.UPDATE, spec_version=version
            )
            if (scope := self._workers.get(environment_id)) is not None:
                scope.cancel()
        self._work_on(environment_id)
        return record

    # ---- the workers -----------------------------------------------------------------------------

    def _work_on(self, environment_id: str) -> None:
        if environment_id not in self._at_work:
            self._at_work.add(environment_id)
            self._tasks.start_soon(self._work, environment_id)

    async def _work(self, environment_id: str) -> None:
        """Take one step after another until it is where it should be."""
        try:
            while (step := self._next_step(environment_id)) is not None:
                try:
                    await step(self.record(environment_id))
                except StoreError as error:
                    self._log.error("environment_not_saved", environment_id=environment_id, reason=str(error))
                    await anyio.sleep(_REPEAT)
        finally:
            self._at_work.discard(environment_id)

    def _next_step(self, environment_id: str) -> Callable[[EnvironmentRecord], Awaitable[None]] | None:
        record = self._records.get(environment_id)
        if record is None:
            return None
        match record.desired:
            case Phase.DELETED:
                return None if record.phase is Phase.DELETING and record.failures else self._delete
            case Phase.STOPPED:
                return None if record.phase is Phase.STOPPED else self._stop
            case _ if record.has_content:
                return None if record.phase is Phase.RUNNING else self._start
            case _:
                return self._fill

    async def _fill(self, record: EnvironmentRecord) -> None:
        """Make its workspace anew, from nothing: what an interrupted try left is of no use."""
        record = await self._save(replace(record, phase=Phase.CREATING, failures=()))
        try:
            with self._giving_up(record.id) as scope:
                path = await self._ground.make_empty(record.id)
                content = record.spec.content
                sources = sources_of(content.initializer if content else None)
                await fill(path, sources, self._ground.git_environment)
                await anyio.to_thread.run_sync(self._ground.hand_over, record.creator_id, path)
        except PhasedError as error:
            self._log.warning("environment_not_filled", environment_id=record.id, reason=str(error))
            await self._save_newest(
                record.id, phase=Phase.STOPPED, desired=Phase.STOPPED, failures=(str(error),)
            )
            return
        if not scope.cancelled_caught:
            await self._save_newest(record.id, has_content=True)
            await self._read_file(self.record(record.id))

    async def _start(self, record: EnvironmentRecord) -> None:
        start = Start(record.last_started_at is None, record.started_boot != self._clock.boot_id())
        record = await self._save(replace(record, phase=Phase.STARTING, failures=(), warnings=()))
        warnings: tuple[str, ...] = ()
        with self._giving_up(record.id) as scope:
            try:
                await self.on_start(record, start)
            except PhasedError as error:
                self._log.warning("environment_start_incomplete", environment_id=record.id, reason=str(error))
                warnings = (str(error),)
        if not scope.cancelled_caught:
            now, boot = self._clock.wall(), self._clock.boot_id()
            await self._save_newest(
                record.id, phase=Phase.RUNNING, warnings=warnings, last_started_at=now, started_boot=boot
            )

    async def _stop(self, record: EnvironmentRecord) -> None:
        if record.phase is not Phase.STOPPING:
            record = await self._save(replace(record, phase=Phase.STOPPING))
        left = await self._emptying.empty(
            record.id, "the end of the environment", force=record.id in self._forced
        )
        await self._save_newest(record.id, phase=Phase.STOPPED, warnings=left)

    async def _delete(self, record: EnvironmentRecord) -> None:
        record = await self._save(replace(record, phase=Phase.DELETING, failures=()))
        left = await self._emptying.empty(record.id, _BY_DELETION, force=record.id in self._forced)
        if left:
            await self._save_newest(record.id, failures=left)
            return
        services = await self._emptying.delete_services(record.id, _BY_DELETION)
        try:
            await self._ground.remove_workspace(record.id)
        except PhasedError as error:
            await self._save_newest(record.id, failures=(str(error),))
            return
        with_logs = await self._store.remove_environment(record.id)
        self._automations.forget(record.id)
        del self._records[record.id]
        self._forced.discard(record.id)
        self._tell(Operation.DELETE, record)
        try:
            await self._ground.remove_logs([*with_logs, *services])
        except PhasedError as error:
            self._log.warning("logs_not_removed", environment_id=record.id, reason=str(error))

    def _giving_up(self, environment_id: str) -> anyio.CancelScope:
        """What is done within is given up when something else is asked for."""
        scope = self._workers[environment_id] = anyio.CancelScope()
        return scope

    async def _read_file(self, record: EnvironmentRecord) -> None:
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
            await self._save_newest(record.id, automations_file=found, automations_failure=failure)

    # ---- saving and telling ----------------------------------------------------------------------

    async def _add(self, record: EnvironmentRecord) -> None:
        record = replace(record, status_version=self._clock.wall())
        await self._store.save_environments([record])
        self._records[record.id] = record
        self._tell(Operation.CREATE, record)

    async def _save_newest(self, environment_id: str, **changes: Any) -> EnvironmentRecord:  # noqa: ANN401 - fields
        """Change the newest record: what is desired may have changed meanwhile."""
        return await self._save(replace(self.record(environment_id), **changes))

    async def _save(
        self,
        record: EnvironmentRecord,
        operation: Operation = Operation.UPDATE_STATUS,
        *,
        spec_version: int | None = None,
    ) -> EnvironmentRecord:
        version = next_version(record.status_version, self._clock.wall())
        record = replace(record, status_version=version, spec_version=spec_version or record.spec_version)
        await self._store.save_environments([record])
        self._records[record.id] = record
        self._tell(operation, record)
        return record

    def _tell(self, operation: Operation, record: EnvironmentRecord) -> None:
        self._bulletin.tell(
            operation, ResourceType.ENVIRONMENT, record.id, record.id, record.creator_id,
            version=record.status_version,
        )  # fmt: skip
        changed = self._changed.pop(record.id, None)
        if changed is not None:
            changed.set()


_BY_DELETION: Final = "the deletion of the environment"
