"""A whole domain over a store and fakes, or over real processes, for tests; it leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio

from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase
from phased.core.environment import EnvironmentRecord
from phased.engine.clock import SystemClock
from phased.engine.domain import Domain, Stores, open_domain
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.environments.classes import EnvironmentClasses, only_local
from phased.engine.environments.ground import Ground, ReadFile
from phased.engine.environments.workers import OnStart
from phased.ports import Clock, Runner
from phased.runners.process import ProcessRunner
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from phased.store.state_directory import StateDirectory
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner
from tests.engine.services.bench import PATIENCE, until

ORIGIN = Origin("manual", "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a01", "PRINCIPAL_USER")
CLASSES = only_local("5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a02", "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a03")

Kind = Literal["memory", "sqlite"]
Store = MemoryStore | SqliteStore


def task(reference: str, *needs: str, **rest: object) -> TaskDefinition:
    """One entry of `tasks`; its command is `true` unless told."""
    values = {"reference": reference, "name": reference, "command": "true", "depends_on": needs, **rest}
    return TaskDefinition.model_validate(values)


def service(reference: str, *needs: str, **rest: object) -> ServiceDefinition:
    """One entry of `services`; its command sleeps unless told."""
    values = {"reference": reference, "name": reference, "start": "sleep 1000", "depends_on": needs, **rest}
    return ServiceDefinition.model_validate(values)


def definitions(*entries: TaskDefinition | ServiceDefinition) -> Definitions:
    """A file."""
    return Definitions(
        tasks=tuple(entry for entry in entries if isinstance(entry, TaskDefinition)),
        services=tuple(entry for entry in entries if isinstance(entry, ServiceDefinition)),
    )


@dataclass
class Bench:
    """Everything that a test has in hand."""

    domain: Domain
    store: Store
    runner: Runner
    clock: Clock
    folder: Path
    own: EnvironmentRecord
    """The environment of a directory that a user gave."""
    told: list[str] = field(default_factory=list)

    @property
    def fakes(self) -> tuple[FakeRunner, FakeClock]:
        """Where the runner and the clock are fakes."""
        assert isinstance(self.runner, FakeRunner)
        assert isinstance(self.clock, FakeClock)
        return self.runner, self.clock

    async def create(self, request: CreateEnvironmentRequest | None = None) -> EnvironmentRecord:
        """A new environment, once it has left CREATING and STARTING."""
        made = await self.domain.environments.create(request or CreateEnvironmentRequest(), ORIGIN)
        return await self.reach(made.id, EnvironmentPhase.RUNNING, EnvironmentPhase.STOPPED)

    async def reach(self, environment_id: str, *phases: EnvironmentPhase) -> EnvironmentRecord:
        """Wait until an environment is in one of these phases."""
        with anyio.fail_after(PATIENCE):
            return await self.domain.environments.until(environment_id, lambda one: one.phase in phases)

    async def gone(self, environment_id: str) -> None:
        """Wait until an environment is no more."""
        known = self.domain.environments
        await until(lambda: environment_id not in {one.id for one in known.all()}, "the environment is gone")

    async def end(self, execution_id: str) -> None:
        """Wait for the end of an execution, and until it is saved."""
        engine = self.domain.engine
        await until(lambda: engine.live(execution_id) is None, "the execution has ended")


@asynccontextmanager
async def bench(
    folder: Path,
    kind: Kind = "sqlite",
    *,
    real: bool = False,
    store: Store | None = None,
    clock: FakeClock | None = None,
    runner: FakeRunner | None = None,
    classes: EnvironmentClasses = CLASSES,
    read_file: ReadFile | None = None,
    on_start: OnStart | None = None,
    stop_timeout: float = 60.0,
) -> AsyncIterator[Bench]:
    """A domain in this folder; `real`: over processes."""
    workspace, state = folder / "w", StateDirectory(folder / "s")
    workspace.mkdir(exist_ok=True)
    state.create()
    made: Store = store or (SqliteStore.open(state.database) if kind == "sqlite" else MemoryStore())
    async with AsyncExitStack() as stack:
        if store is None:
            stack.push_async_callback(made.close)
        ticking: Clock
        running: Runner
        if real:
            ticking = SystemClock()
            base = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(workspace)}
            running = await stack.enter_async_context(ProcessRunner(state.path, base, None, ticking))
        else:
            fake = clock or FakeClock()
            ticking, running = fake, runner or FakeRunner(fake)
        limits = Limits(stop_timeout=stop_timeout)
        engine = await stack.enter_async_context(
            Engine(made, running, ticking, workspace, state.log_path, limits)
        )
        if isinstance(ticking, FakeClock):
            ticking.watch(engine.wake)
        ground = Ground(
            state.path / "workspaces",
            state.execution_path,
            read_file or (lambda _workspace, _path: None),
            {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(workspace)},
        )
        domain = await stack.enter_async_context(
            open_domain(engine, Stores(made, made.definitions, made.firings), ticking, classes, ground)
        )
        if on_start is not None:
            domain.environments.on_start = on_start
        own = await domain.environments.adopt(workspace, ORIGIN)
        domain.environments.resume()
        bench = Bench(domain, made, running, ticking, folder, own)
        try:
            yield bench
        finally:
            if real:
                with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE):
                    await _end(bench)


async def _end(made: Bench) -> None:
    engine = made.domain.engine
    engine.kill(engine.lives)
    for live in engine.services.all():
        engine.services.kill(live, "a test's end")
        await engine.services.until_rest(live)
    await until(lambda: not engine.lives, "no execution lives")
    await engine.end_leftovers()
