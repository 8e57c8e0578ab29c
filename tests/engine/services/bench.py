"""An engine over real processes and a real store, for tests of services; it leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.contract.execution import TaskExecutionPhase
from phased.contract.service import ServicePhase
from phased.core.service_policy import ServiceLimits
from phased.core.service_status import ServiceProgress
from phased.core.specs import Catalog, environment_id
from phased.engine.clock import SystemClock
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.registry import LiveExecution
from phased.engine.services.live import LiveService
from phased.engine.services.performer import ready_log
from phased.runners.process import ProcessRunner
from phased.store.sqlite import SqliteStore
from phased.store.state_directory import StateDirectory

PATIENCE = 90.0
"""Seconds after which a test gives up: machines may be slow."""
LIMITS = ServiceLimits(stop_timeout=60.0, stop_command_timeout=60.0, clear_timeout=60.0, ready_interval=0.05)


def task(reference: str, command: str = "", *needs: str) -> TaskDefinition:
    """One entry of `tasks`."""
    return TaskDefinition(reference=reference, name=reference, command=command, depends_on=needs)


def service(reference: str, start: str, *needs: str, **rest: object) -> ServiceDefinition:
    """One entry of `services`."""
    fields = {"reference": reference, "name": reference, "start": start, "depends_on": needs, **rest}
    return ServiceDefinition.model_validate(fields)


@dataclass
class Bench:
    """An engine in a workspace of its own."""

    engine: Engine
    runner: ProcessRunner
    store: SqliteStore
    workspace: Path
    state: StateDirectory
    catalog: Catalog

    async def define(self, *entries: TaskDefinition | ServiceDefinition) -> list[LiveService]:
        """These are all that is defined from now on."""
        tasks = tuple(entry for entry in entries if isinstance(entry, TaskDefinition))
        services = tuple(entry for entry in entries if isinstance(entry, ServiceDefinition))
        definitions = Definitions(tasks=tasks, services=services)
        self.catalog = Catalog(environment_id(str(self.workspace)), definitions)
        references = [entry.reference for entry in services]
        return await self.engine.services.define(self.catalog, references, self.workspace, Origin())

    async def begin(self, *references: str) -> list[LiveExecution]:
        """Start these tasks, as one firing."""
        lives = await self.engine.fire(self.catalog, references, Origin(), owns_services=True)
        self.engine.begin(lives)
        return lives

    async def run(self, reference: str) -> LiveExecution:
        """Start a task and wait for its end."""
        (live,) = await self.begin(reference)
        with anyio.fail_after(PATIENCE):
            await live.done.wait()
        return live

    async def reach(self, live: LiveService, phase: ServicePhase) -> ServiceProgress:
        """Wait until a service is in this phase."""
        await until(lambda: live.phase is phase, f"{live.reference} {phase}")
        return live.progress

    async def start(self, live: LiveService) -> str | None:
        """Ask for a service; None once it is RUNNING, else why it never will be."""
        self.engine.services.start(live, "a test")
        with anyio.fail_after(PATIENCE):
            return await self.engine.services.until_ready(live)

    async def stop(self, live: LiveService) -> ServicePhase:
        """Ask a service to stop, and wait for its end."""
        self.engine.services.stop(live, "a test")
        with anyio.fail_after(PATIENCE):
            return await self.engine.services.until_rest(live)

    def log(self, live: LiveService) -> str:
        """What its start command has written in this session."""
        session = live.progress.session
        return _text(self.state.log_path(live.id, session)) if session else ""

    def ready_log(self, live: LiveService) -> str:
        """What its ready tries have written in this session."""
        session = live.progress.session
        return _text(self.state.log_path(live.id, ready_log(session))) if session else ""

    async def pids(self, live: LiveService) -> list[int]:
        """The processes of its start command's newest attempt."""
        return [process.pid for process in await self.runner.processes(live.progress.command_run)]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait for a condition; TimeoutError names it."""
    try:
        with anyio.fail_after(PATIENCE):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                await anyio.sleep(0.005)
    except TimeoutError:
        raise TimeoutError(f"waited in vain for: {what}") from None


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """A folder with a short name (sockets live in it), removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="ph-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def bench_in(
    path: Path, limits: ServiceLimits = LIMITS, *, abandon: bool = False
) -> AsyncIterator[Bench]:
    """An engine in this folder; `abandon`: what runs at the end goes on, for the next engine there."""
    workspace, state = path / "w", StateDirectory(path / "s")
    workspace.mkdir(exist_ok=True)
    state.create()
    clock, store = SystemClock(), SqliteStore.open(state.database)
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(workspace)}
    every = Limits(services=limits)
    try:
        async with (
            ProcessRunner(state.path, base, None, clock) as runner,
            Engine(store, runner, clock, workspace, state.log_path, every) as engine,
        ):
            catalog = Catalog(environment_id(str(workspace)), Definitions())
            bench = Bench(engine, runner, store, workspace, state, catalog)
            try:
                yield bench
            except BaseException:
                abandon = False
                raise
            finally:
                if not abandon:
                    with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE):
                        await _end(bench)
    finally:
        await store.close()


@asynccontextmanager
async def bench(limits: ServiceLimits = LIMITS) -> AsyncIterator[Bench]:
    """An engine in a folder of its own."""
    async with folder() as path, bench_in(path, limits) as made:
        yield made


async def _end(made: Bench) -> None:
    """End every execution, service and process."""
    made.engine.kill(made.engine.lives)
    services = made.engine.services.of(made.catalog.environment)
    for live in services:
        made.engine.services.kill(live, "a test's end")
    for live in services:
        await made.engine.services.until_rest(live)
    await made.engine.end_leftovers()
    await until(lambda: not made.engine.lives, "no execution lives")


SUCCEEDED, FAILED, STOPPED = (
    TaskExecutionPhase.SUCCEEDED,
    TaskExecutionPhase.FAILED,
    TaskExecutionPhase.STOPPED,
)
