"""The engine: one workspace's executions, from the asking to the end. An async context manager.

Knows the driver, the performer and the ports. Must not know SQLite, processes, files or the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from types import TracebackType
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.core.specs import Catalog, PlannedExecution
from phased.engine.driver import Driver
from phased.engine.feed import Feed
from phased.engine.performer import Performer
from phased.engine.registry import Firing, LiveExecution, Registry
from phased.errors import StoreError, Unsupported
from phased.ports import Clock, ExecutionRecord, Runner, RunProcess, Store


@dataclass(frozen=True, slots=True)
class Limits:
    """What settings say: steps at a time of one execution, and seconds a stop may take."""

    max_parallel: int = 64
    stop_timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Why something is started, and by whom."""

    started_by: str = "manual"
    creator_id: str = ""
    creator_principal: str = "PRINCIPAL_USER"


class Engine:
    """Starts, stops and waits for executions. Enter it before use; leaving cancels what it waits for.

    Leaving does not end steps: `stop` does, and `end_leftovers` what they left behind.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        clock: Clock,
        workspace: Path,
        log_path: Callable[[str, str], Path],
        limits: Limits,
    ) -> None:
        """`log_path(execution_id, step_id)` says where a step's log goes."""
        self._store = store
        self._runner = runner
        self._clock = clock
        self._workspace = workspace
        self._log_path = log_path
        self._limits = limits
        self._registry = Registry()
        self.feed = Feed()
        self._tasks: TaskGroup
        self._driver: Driver

    async def __aenter__(self) -> Engine:
        """Begin to drive."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        performer = Performer(self._runner, self._registry, self._log_path, self._tasks)
        self._driver = Driver(self._store, self.feed, performer, self._clock)
        performer.post = self._driver.post
        self._performer = performer
        self._tasks.start_soon(self._driver.run)
        self._tasks.start_soon(self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Stop driving."""
        self._tasks.cancel_scope.cancel()
        return await self._tasks.__aexit__(kind, error, trace)

    @property
    def store_error(self) -> StoreError | None:
        """Why the newest statuses are not saved, if they are not."""
        return self._driver.store_error

    async def fire(
        self,
        catalog: Catalog,
        references: Sequence[str],
        origin: Origin,
        *,
        max_parallel: int | None = None,
        workspace: Path | None = None,
    ) -> list[LiveExecution]:
        """Start one execution for each reference, as one firing: a task that several need runs once.

        `workspace` is where commands run, if not in the engine's own. They are saved when this returns. Raises UnknownReference, CycleFound, Unsupported, StoreError.
        """
        firing = Firing(str(uuid4()))
        planned = [(execution_id, catalog.plan(reference, execution_id)) for reference in dict.fromkeys(references)
                   for execution_id in [str(uuid4())]]  # fmt: skip
        for _, plan in planned:
            _refuse_unsupported(catalog, plan)
        now = self._driver.now()
        parallel = max_parallel or self._limits.max_parallel
        directory = str(workspace or self._workspace)
        lives = [
            self._create(firing, plan, execution_id, catalog.environment, origin, now, parallel, directory)
            for execution_id, plan in planned
        ]
        await self._store.create([(live.record, live.machine.change(now)) for live in lives])
        for live in lives:
            self._registry.add(live)
        return lives

    def begin(self, lives: Sequence[LiveExecution]) -> None:
        """Let created executions start their first groups; until then a reader can subscribe to the feed."""
        self._driver.post([(live, e.ExecutionBegun()) for live in lives])

    def _create(
        self,
        firing: Firing,
        plan: PlannedExecution,
        execution_id: str,
        environment: str,
        origin: Origin,
        now: e.Instant,
        parallel: int,
        workspace: str,
    ) -> LiveExecution:
        record = ExecutionRecord(
            execution_id, environment, plan.task_id, plan.reference, firing.id, origin.started_by,
            origin.creator_id, origin.creator_principal, now.wall, plan.spec,
        )  # fmt: skip
        policy = plan.policy(max_parallel=parallel, stop_timeout=self._limits.stop_timeout)
        steps = {step.id or "": step for group in plan.spec.plan for step in group.steps}
        machine = ExecutionMachine(execution_id, plan.spec, policy)
        return LiveExecution(record, plan, machine, firing, steps, anyio.Event(), workspace)

    def stop(self, lives: Sequence[LiveExecution], by: str) -> None:
        """Ask executions to stop; returns at once. Those that have ended are left as they are."""
        self._driver.post([(live, e.StopRequested(by)) for live in lives])

    def kill(self, lives: Sequence[LiveExecution]) -> None:
        """Do not wait for stopping executions any longer."""
        self._driver.post([(live, e.KillRequested()) for live in lives])

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Processes of runs whose command has ended, by run id."""
        return await self._runner.leftovers()

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every process of a run that still lives."""
        return await self._runner.processes(run_id)

    async def end_leftovers(self, which: Callable[[str], bool] = lambda _: True) -> None:
        """End what ended commands left behind: SIGTERM, and at the limit SIGKILL until nothing is left.

        `which` says of a run id whether it is meant.
        """
        await self._signal_leftovers(SIGTERM, which)
        with anyio.move_on_after(self._limits.stop_timeout):
            while any(which(run_id) for run_id in await self.leftovers()):
                await anyio.sleep(0.02)
        while await self._signal_leftovers(SIGKILL, which):
            await anyio.sleep(0.02)

    async def _signal_leftovers(self, signal: int, which: Callable[[str], bool]) -> bool:
        found = [run_id for run_id in await self.leftovers() if which(run_id)]
        for run_id in found:
            await self._runner.signal(run_id, int(signal))
        return bool(found)

    async def _listen(self) -> None:
        while True:
            self._driver.post(self._performer.arrivals(await self._runner.reports()))


def _refuse_unsupported(catalog: Catalog, plan: PlannedExecution) -> None:
    """Services and containers come with later versions; a plan that needs one fails before its first step."""
    steps = [step for group in plan.spec.plan for step in group.steps]
    services = [step.label or "" for step in steps if step.service_id]
    if services:
        raise Unsupported(
            f"cannot run {plan.reference}: it needs {_named('service', services)}, and this version does not run "
            "services yet; `phased plan` shows what it would do"
        )
    docker = [
        label
        for label in (step.label or "" for step in steps)
        if (task := catalog.tasks.get(label)) and task.runs_on and task.runs_on.docker
    ]
    if docker:
        raise Unsupported(
            f"cannot run {plan.reference}: {_named('task', docker)} would run in a container (runsOn.docker), and this "
            "version does not run containers yet; remove runsOn to run on this machine"
        )


def _named(noun: str, labels: Sequence[str]) -> str:
    return f"the {noun}{'s' if len(labels) > 1 else ''} {', '.join(labels)}"
