"""All that handlers may ask: the engine's parts by name, and what takes more than one of them.

Knows the engine's interfaces. Must not know how messages travel, nor how any part is made:
`serving.opening` makes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from phased.api.gate import Listener
from phased.api.listening import Listening
from phased.api.logs import Logs, permit_logs, steps_shown
from phased.contract.environment_class import EnvironmentClass
from phased.contract.gateway import Gateway
from phased.contract.phased_v1 import Daemon
from phased.contract.resource import ResourceRole, ResourceType
from phased.contract.service import ServicePhase
from phased.core.classes import gateways
from phased.core.service_phases import RESTING
from phased.engine.definitions.automations import Automations
from phased.engine.engine import Engine
from phased.engine.environments.environments import Environments
from phased.engine.executions import Executions
from phased.engine.services.live import LiveService
from phased.engine.services.performer import SERVICE_LOGS
from phased.errors import FailedPrecondition, KeyUnusable, NotFound

if TYPE_CHECKING:
    from phased.access.callers import Access, Caller
    from phased.access.identity import Installation
    from phased.access.tokens import Tokens
    from phased.access.vault import Vault
    from phased.api.calls import Call
    from phased.api.web_logins import WebLogins
    from phased.engine.changes import ChangeFeed
    from phased.engine.stream import StatusStream
    from phased.engine.triggers.firings import Firings
    from phased.engine.triggers.prebuild import Prebuilds
    from phased.metrics import Metrics
    from phased.ports import Clock


@dataclass(frozen=True, slots=True)
class Facts:
    """What never changes of a daemon while it runs."""

    version: str
    pid: int
    uid: int
    host: str
    region: str
    state_directory: str
    created_at: datetime | None
    """The installation's."""
    started_at: datetime


@dataclass(slots=True)
class House:
    """One daemon's parts."""

    engine: Engine
    automations: Automations
    environments: Environments
    executions: Executions
    changes: ChangeFeed
    stream: StatusStream
    access: Access
    tokens: Tokens
    vault: Vault
    installation: Installation
    metrics: Metrics
    facts: Facts
    log_path: Callable[[str, str], Path]
    known_roles: frozenset[ResourceRole]
    firings: Firings
    prebuilds: Prebuilds
    clock: Clock
    base_of: Callable[[str], Mapping[str, str]]
    """What every command in a directory starts with."""
    state_lost: Callable[[], str | None]
    """Why what is saved will not be found again, if so."""
    draining: anyio.Event = field(default_factory=anyio.Event)
    """Set once new work is refused and streams end."""
    listeners: tuple[Listener, ...] = ()
    """Those that answer methods."""
    web_logins: WebLogins | None = None
    """Where the page is served."""
    open_streams: int = 0

    # ---- what there is ---------------------------------------------------------------------------

    @property
    def classes(self) -> Sequence[EnvironmentClass]:
        """What environments can be made of."""
        return self.environments.classes.classes

    def gateways(self) -> list[Gateway]:
        """One a listener. Raises SettingsError where two have one name."""
        return list(gateways([(one.name, one.origin) for one in self.listeners], self.facts.region))

    def trouble(self) -> str | None:
        """Why statuses cannot be saved, or not where they are looked for, if so."""
        error = self.engine.store_error
        if error is not None:
            return str(error)
        lost = self.state_lost()
        return None if lost is None else f"cannot keep the state: {lost}"

    def daemon_message(self) -> Daemon:
        """The daemon as the native service shows it."""
        facts = self.facts
        return Daemon.model_construct(
            version=facts.version,
            pid=str(facts.pid),
            started_at=facts.started_at,
            state_directory=facts.state_directory,
            addresses=tuple(one.origin for one in self.listeners),
            ending=self.draining.is_set() or None,
            trouble=self.trouble(),
        )

    def hide(self, environment_id: str) -> Callable[[str], str]:
        """Hides the secrets of an environment in a text; without the key that says which, the whole of it."""

        def hidden(text: str) -> str:
            try:
                return self.vault.masker(environment_id).text(text)
            except KeyUnusable:
                return "*" * len(text)

        return hidden

    # ---- what takes several of them --------------------------------------------------------------

    def check_at_work(self, environment_id: str) -> None:
        """Raises FailedPrecondition where nothing can be started in an environment that is known here."""
        if any(record.id == environment_id for record in self.environments.all()):
            self.environments.check_at_work(environment_id)

    async def set_output(self, execution_id: str, step_id: str, output: Mapping[str, str]) -> None:
        """A running step sets outputs. Raises NotFound, OutputRefused, StoreError."""
        live = self.engine.live(execution_id)
        if live is None:
            raise NotFound(f"cannot set an output of execution {execution_id}: it has ended")
        self.engine.record_output(live, step_id, output)
        await self.engine.settled()

    async def start_service(self, live: LiveService, by: str) -> None:
        """Ask a service to run; that it was asked is saved when this returns. Raises FailedPrecondition."""
        self._check_startable(live)
        self.engine.services.start(live, by)
        await self.engine.services.settled()

    async def restart_service(self, live: LiveService, by: str) -> None:
        """Ask a service to stop, then to run again; saved when this returns. Raises FailedPrecondition."""
        self._check_startable(live)
        self.engine.services.restart(live, by)
        await self.engine.services.settled()

    def _check_startable(self, live: LiveService) -> None:
        self.environments.check_at_work(live.record.environment_id)
        if live.progress.desired is ServicePhase.DELETED:
            raise FailedPrecondition(f"cannot start the service {live.reference}: it is being deleted")

    async def stop_service(self, live: LiveService, by: str) -> None:
        """Ask a service to stop; that it was asked is saved when this returns."""
        self.engine.services.stop(live, by)
        await self.engine.services.settled()

    # ---- logs ------------------------------------------------------------------------------------

    async def logs_of_execution(self, call: Call, execution_id: str, wanted: str | None) -> Logs:
        """The logs of an execution's steps, or of one of them. Raises NotFound, PermissionDenied."""
        stored = await self.executions.get(execution_id)
        record = stored.record
        permit_logs(call, ResourceType.TASK_EXECUTION, record.environment_id)
        steps = [(step.id or "", step.label or "") for group in record.spec.plan for step in group.steps]
        parts = [
            (label, self.log_path(record.id, step_id))
            for step_id, label in steps_shown(steps, wanted, record.id)
        ]
        begun = [step.id for step in stored.status.steps if step.has_begun]
        live = self.engine.live(record.id)
        ended = live.done.wait if live is not None and not live.done.is_set() else None
        logs = self._logs(record.environment_id, parts, ended)
        return replace(logs, begun=frozenset(self.log_path(record.id, step_id) for step_id in begun))

    async def logs_of_service(
        self, call: Call, service_id: str, part: str = "start", wanted: str | None = None
    ) -> Logs:
        """What the start command of a service's newest session wrote, or its `ready` or `stop` commands.

        `wanted`: of that session, which need not be the newest any more. Raises NotFound, PermissionDenied.
        """
        live = self.automations.service(service_id)
        permit_logs(call, ResourceType.SERVICE, live.record.environment_id)
        session = live.progress.session
        if part not in SERVICE_LOGS:
            raise NotFound(f"cannot find a step {part[:128]!r} of a service; there are: start, ready, stop")
        if wanted and wanted != session:
            self.log_path(live.id, wanted)  # raises for what is no id
            path = self.log_path(live.id, SERVICE_LOGS[part](wanted.partition(".")[0]))
            return replace(
                self._logs(live.record.environment_id, [(live.reference, path)], None), session=wanted
            )
        parts = [(live.reference, self.log_path(live.id, SERVICE_LOGS[part](session)))] if session else []

        async def ended() -> None:
            if live.progress.session == session and live.progress.state not in RESTING:
                await self.engine.services.until_rest(live)

        resting = live.progress.state in RESTING
        begun = part == "start" and live.progress.started_at is not None
        logs = self._logs(live.record.environment_id, parts, None if resting else ended)
        return replace(logs, session=session, begun=frozenset(path for _, path in parts if begun))

    def _logs(
        self,
        environment_id: str,
        parts: Sequence[tuple[str, Path]],
        ended: Callable[[], Awaitable[object]] | None,
    ) -> Logs:
        return Logs(parts, len(parts) > 1, ended, self.vault.masker(environment_id))

    # ---- streams ---------------------------------------------------------------------------------

    @contextmanager
    def listening(self, call: Call, wake: Callable[[], None]) -> Iterator[Listening]:
        """An open stream; `wake` lets it look whether it is to end."""
        self.open_streams += 1
        try:
            with self.access.watching(wake):
                yield Listening(self.access, call.caller, self.draining)
        finally:
            self.open_streams -= 1

    async def end_of(self, caller: Caller, ended: Callable[[], Awaitable[object]]) -> None:
        """Return when `ended` does, when the daemon ends, or when the caller is not served any more."""
        async with anyio.create_task_group() as tasks:

            async def first(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, ended)
            tasks.start_soon(first, self.draining.wait)
            tasks.start_soon(first, lambda: self.access.ended(caller))

    def drain(self) -> None:
        """Refuse new work from now on; let every stream look up and end."""
        self.draining.set()
        self.access.changed()
        self.stream.wake()
