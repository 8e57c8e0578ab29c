"""The environments of a daemon, as they are asked for: found, made, changed, started, stopped, deleted.

Knows the ledger and the workers. Must not know stores, or messages' transport. What is asked for is saved as
`desired` when a call returns; a worker brings the environment there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.contract.environment_status import EnvironmentActivitySignal
from phased.contract.environment_update import UpdateEnvironmentRequest
from phased.core.environment import AT_WORK, EnvironmentRecord
from phased.core.specs import environment_id as id_of_workspace
from phased.engine.engine import Origin
from phased.engine.environments import changing, made
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.ground import Ground
from phased.engine.environments.ledger import Ledger
from phased.engine.environments.workers import OnStart, Start, Workers
from phased.errors import FailedPrecondition
from phased.ports import Clock

__all__ = ["Environments", "OnStart", "Start"]


class Environments:
    """All environments of a daemon. Whatever changes one raises NotFound and StoreError."""

    def __init__(
        self, ledger: Ledger, workers: Workers, classes: EnvironmentClasses, ground: Ground, clock: Clock
    ) -> None:
        """The ledger is loaded; `resume` sends the workers on."""
        self._ledger = ledger
        self._workers = workers
        self._ground = ground
        self._clock = clock
        self.classes = classes

    @property
    def on_start(self) -> OnStart:
        """What a start of an environment fires."""
        return self._workers.on_start

    @on_start.setter
    def on_start(self, on_start: OnStart) -> None:
        self._workers.on_start = on_start

    def resume(self) -> None:
        """Go on with what an earlier daemon left between two phases; start again what a reboot ended."""
        boot = self._clock.boot_id()
        for record in self._ledger.all():
            self._workers.work_on(record.id, again=record.scratch and record.started_boot != boot)

    # ---- what there is ---------------------------------------------------------------------------

    def record(self, environment_id: str) -> EnvironmentRecord:
        """One environment. Raises NotFound."""
        return self._ledger.record(environment_id)

    def all(self) -> list[EnvironmentRecord]:
        """Every environment, oldest first."""
        return self._ledger.all()

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
        return await self._ledger.until(environment_id, holds)

    # ---- what is asked for -----------------------------------------------------------------------

    async def adopt(self, workspace: Path, origin: Origin) -> EnvironmentRecord:
        """The environment that a directory of a user's is: known, or new, and at work; it fires nothing.

        What its automations file defines is defined when it is new.
        """
        known = self._ledger.find(id_of_workspace(str(workspace)))
        if known is not None:
            return known
        record = made.of_user(workspace, self.classes.local_id, origin, self._clock)
        await self._ledger.add(record)
        await self._workers.define_file(record)
        return self.record(record.id)

    async def create(self, request: CreateEnvironmentRequest, origin: Origin) -> EnvironmentRecord:
        """A new environment in a workspace of its own; it is filled and started after this returns.

        Raises InvalidArgument, FailedPrecondition (its class is disabled).
        """
        identifier = str(uuid4())
        workspace = self._ground.workspace(identifier)
        record = made.scratch(identifier, workspace, request, self.classes, origin, self._clock.wall())
        await self._ledger.add(record)
        self._workers.work_on(identifier)
        return self.record(identifier)

    async def update(self, request: UpdateEnvironmentRequest) -> EnvironmentRecord:
        """Change its name and what it should be; what is absent stays. Raises InvalidArgument."""
        record = self.record(request.environment_id)
        after = changing.changed(record, request)
        return record if after == record else await self._ledger.change_spec(after)

    async def start(self, environment_id: str) -> EnvironmentRecord:
        """Ask it to be at work; returns at once. Raises FailedPrecondition where it is being deleted."""
        return await self._ask(environment_id, Phase.RUNNING)

    async def stop(self, environment_id: str) -> EnvironmentRecord:
        """Ask all its steps and services to end; returns at once. Raises FailedPrecondition as `start`."""
        return await self._ask(environment_id, Phase.STOPPED)

    async def delete(self, environment_id: str, *, force: bool = False) -> EnvironmentRecord:
        """Stop it and remove it with its workspace and history; `force`: whatever runs is killed.

        Returns at once. Raises FailedPrecondition for a directory that a user gave.
        """
        record = self.record(environment_id)
        if not record.scratch:
            raise FailedPrecondition(
                f"cannot delete the environment {record.name}: {record.workspace} is not the daemon's to "
                "remove; stop the environment instead"
            )
        if record.failures:  # what could not be removed may be by now
            await self._ledger.change(environment_id, failures=())
        if force:
            self._workers.hurry(record)
        return await self._ask(environment_id, Phase.DELETED)

    async def mark_active(self, environment_id: str, signal: EnvironmentActivitySignal | None) -> None:
        """Something in it was active."""
        record = self.record(environment_id)
        at = self._clock.wall()
        if signal is not None and signal.timestamp is not None:
            at = min(at, round(signal.timestamp.timestamp() * 1_000_000))
        source = signal.source if signal is not None else record.active_source
        await self._ledger.change(environment_id, active_at=at, active_source=source)

    async def _ask(self, environment_id: str, desired: Phase) -> EnvironmentRecord:
        record = self.record(environment_id)
        if record.desired is Phase.DELETED and desired is not Phase.DELETED:
            raise FailedPrecondition(f"cannot change the environment {record.name}: it is being deleted")
        if record.desired is not desired:
            record = await self._ledger.change_spec(replace(record, desired=desired))
            self._workers.give_up(environment_id)
        self._workers.work_on(environment_id)
        return record
