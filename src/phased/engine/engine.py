"""The engine: one workspace's executions, from the asking to the end. An async context manager.

Knows the driver, the performer and the ports. Must not know SQLite, processes, files or the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from phased.contract.execution import TaskExecutionSpec
from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.core.phases import LIVE
from phased.core.service_policy import ServiceLimits
from phased.core.specs import Catalog, PlannedExecution
from phased.engine.adoption import Adoption, Parts, ended_execution
from phased.engine.driver import Driver
from phased.engine.ending import Ending, Left, Patience
from phased.engine.feed import Feed
from phased.engine.outputs import collisions, refusal, variable
from phased.engine.performer import Performer
from phased.engine.places import OptionsOf
from phased.engine.registry import Firing, LiveExecution, Registry, SharedRun, attempts_of
from phased.engine.services.host import ServiceHost
from phased.engine.services.live import LiveService
from phased.errors import NotFound, OutputRefused, StoreError, Unsupported
from phased.ports import (
    Clock,
    ExecutionRecord,
    NoAccess,
    Runner,
    RunProcess,
    StepAccess,
    Store,
    StoredExecution,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What settings say: steps at a time of one execution, and seconds that its end may take."""

    max_parallel: int = 64
    stop_timeout: float = 10.0
    kill_timeout: float = 10.0
    """Seconds after which it is given up on what SIGKILL does not end."""
    services: ServiceLimits = field(default_factory=ServiceLimits)


@dataclass(frozen=True, slots=True)
class Origin:
    """Why something is started, and by whom."""

    started_by: str = "manual"
    creator_id: str = ""
    creator_principal: str = "PRINCIPAL_USER"
    firing_id: str = ""
    """The firing that it belongs to; "": a new one."""
    named_by: Mapping[str, str] = field(default_factory=dict)
    """By reference: the trigger that names it, where that is another one than `started_by`."""


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
        self._held: dict[str, Firing] = {}
        self._adopted: dict[tuple[str, str], LiveExecution] = {}
        self._ending = Ending(runner, clock)
        self.firing = anyio.Lock()
        """Held while a trigger is fired: of two at once the second finds what the first has started."""
        self.feed = Feed()
        self.variables_of: Callable[[str], Mapping[str, str]] = lambda _: {}
        """The variables of an environment, by its id: every step in it has them."""
        self.container_options: OptionsOf | None = None
        """What an environment's class says of its containers; None: nothing here runs any.

        To be set before the engine is entered; it may be replaced later."""
        self.access: StepAccess = NoAccess()
        """What steps get of secrets; to be set before the engine is entered."""
        self._tasks: TaskGroup
        self._driver: Driver
        self.services: ServiceHost
        """All services; there once the engine is entered."""

    async def __aenter__(self) -> Self:
        """Begin to drive."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        performer = Performer(self._runner, self._registry, self._log_path, self._tasks, self._clock)
        self._driver = Driver(self._store, self.feed, performer, self._registry, self._clock)
        performer.post = self._driver.post
        self._performer = performer
        self.services = ServiceHost(
            self._store, self._runner, self._clock, self._log_path, self._limits.services, self._tasks
        )
        performer.need_service = self.services.need
        performer.variables_of = self._variables_of
        performer.access = self.access
        self.services.use_variables(self._variables_of, self.access)
        if self.container_options is not None:
            performer.container_options = self._container_options
            self.services.use_containers(self._container_options)
        self.services.connect(self._run_for_service, self.stop, self._driver.post)
        self._tasks.start_soon(self._driver.run)
        self._tasks.start_soon(self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Stop driving. What the body raised leaves as it is, not in a group of one."""
        self._tasks.cancel_scope.cancel()
        try:
            return await self._tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if group.exceptions == (error,):
                return False
            raise

    async def take_over(self, catalogs: Mapping[str, Catalog] | None = None) -> list[LiveExecution]:
        """Go on with what an earlier engine left, executions and services; before anything else is asked for.

        `catalogs`: what environments define, by their ids. Those executions that go on. Raises StoreError,
        RunnerError.
        """
        limits = self._limits
        adoption = Adoption(
            Parts(self._store, self._runner, self._clock, self._registry, self._performer, self._driver)
        )
        services = await self._store.list_services()
        await adoption.load(services, (limits.stop_timeout, limits.kill_timeout))
        self._adopted = adoption.known
        await self.services.restore(catalogs)
        return await adoption.go_on()

    @property
    def store_error(self) -> StoreError | None:
        """Why the newest statuses are not saved, if they are not."""
        return self._driver.store_error

    def live(self, execution_id: str) -> LiveExecution | None:
        """An execution that has not ended, or whose end is not saved yet."""
        return self._registry.executions.get(execution_id)

    def ended(self, stored: StoredExecution) -> LiveExecution:
        """One that is not live any more, to be stopped for the sake of what it left behind."""
        return ended_execution(stored, self._registry)

    @property
    def lives(self) -> list[LiveExecution]:
        """Every execution that has not ended, oldest first."""
        return list(self._registry.executions.values())

    # ---- starting --------------------------------------------------------------------------------

    async def fire(
        self,
        catalog: Catalog,
        references: Sequence[str],
        origin: Origin,
        *,
        max_parallel: int | None = None,
        workspace: Path | None = None,
        owns_services: bool = False,
    ) -> list[LiveExecution]:
        """Start one execution for each reference, as one firing: a task that several need runs once.

        `workspace` is where commands run, if not in the engine's own. They are saved when this returns.
        `owns_services`: those that are started for it end by `end_services`, which is to be called then.
        Raises UnknownReference, CycleFound, Unsupported, StoreError.
        """
        ids = {reference: str(uuid4()) for reference in references}
        planned = {
            execution_id: catalog.plan(reference, execution_id) for reference, execution_id in ids.items()
        }
        for plan in planned.values():
            if self.container_options is None:
                _refuse_containers(catalog, plan)
        directory = workspace or self._workspace
        await self.services.define(catalog, _services_of(planned.values()), directory, origin)
        firing = self._firing_of(origin)
        if owns_services:
            self.services.own(firing.id)
        now = self._driver.now()
        created = ExecutionRecord(
            "", catalog.environment, "", "", firing.id, origin.started_by, origin.creator_id,
            origin.creator_principal, now.wall, TaskExecutionSpec(), boot_id=self._clock.boot_id(),
            workspace=str(directory),
        )  # fmt: skip
        lives = [
            self._create(
                firing,
                replace(
                    created,
                    id=execution_id,
                    started_by=origin.named_by.get(plan.reference, origin.started_by),
                ),
                plan,
                max_parallel,
            )
            for execution_id, plan in planned.items()
        ]
        changes = [live.machine.change(now) for live in lives]
        await self._store.create([(live.record, change) for live, change in zip(lives, changes, strict=True)])
        for live in lives:
            self._registry.add(live)
        self.feed.publish(changes)
        return lives

    def _firing_of(self, origin: Origin) -> Firing:
        """The firing itself, as long as an execution of it lives: what several need runs once in it."""
        if not origin.firing_id:
            return Firing(str(uuid4()))
        alive = (live.firing for live in self._registry.executions.values())
        found = next((firing for firing in alive if firing.id == origin.firing_id), None)
        return self._held.get(origin.firing_id) or found or Firing(origin.firing_id)

    def _create(
        self, firing: Firing, created: ExecutionRecord, plan: PlannedExecution, max_parallel: int | None
    ) -> LiveExecution:
        limits = self._limits
        policy = plan.policy(
            max_parallel=max_parallel or limits.max_parallel,
            stop_timeout=limits.stop_timeout,
            kill_timeout=limits.kill_timeout,
        )
        record = replace(
            created, task_id=plan.task_id, reference=plan.reference, spec=plan.spec, policy=policy,
            secrets=plan.secrets,
        )  # fmt: skip
        machine = ExecutionMachine(record.id, plan.spec, policy)
        return LiveExecution.of(record, machine, firing, record.workspace)

    def hold(self, firing_id: str) -> None:
        """Several calls will create executions of this firing, which share what they need; until `let_go`."""
        self._held[firing_id] = Firing(firing_id)

    def let_go(self, firing_id: str) -> None:
        """No more of a firing will be created."""
        self._held.pop(firing_id, None)

    def begin(self, lives: Sequence[LiveExecution]) -> None:
        """Let created executions start their first groups; until then a reader can subscribe to the feed."""
        self._driver.post((live, e.ExecutionBegun()) for live in lives)

    def record_output(self, live: LiveExecution, step_id: str, output: Mapping[str, str]) -> None:
        """A running step sets outputs; an empty value removes its key.

        Raises NotFound where no such step runs, OutputRefused where one of them is not allowed.
        """
        step = live.machine.steps.get(step_id)
        if step is None or step.state not in LIVE:
            raise NotFound(f"cannot set an output of step {step_id}: it does not run")
        for key, value in output.items():
            reason = refusal(key, value)
            if reason:
                raise OutputRefused(f"cannot set the output {key[:128]!r}: {reason}")
        for key, other in collisions(live, step_id, output).items():
            raise OutputRefused(
                f"cannot set the output {key!r}: it would share the variable {variable(step.label, key)} "
                f"with {other}; give it another name"
            )
        self._driver.post([(live, e.OutputRecorded(step_id, dict(output)))])

    # ---- ending ----------------------------------------------------------------------------------

    def stop(self, lives: Sequence[LiveExecution], by: str) -> None:
        """Ask executions to stop; returns at once (`settled` waits until that is saved).

        Of those that have ended, what they left behind is ended.
        """
        self._driver.post((live, e.StopRequested(by)) for live in lives)

    def kill(self, lives: Sequence[LiveExecution], by: str = "somebody") -> None:
        """Do not wait for stopping executions any longer; the others are stopped in this way.

        The services that were started for them alone are killed with them.
        """
        self._driver.post((live, e.KillRequested(by)) for live in lives)
        self.services.hurry({live.firing.id for live in lives}, by)

    async def end_services(self, lives: Sequence[LiveExecution], by: str) -> None:
        """These executions are over: stop the services that were started for them, if nobody else uses them.

        In reverse order of dependency; returns when all have ended. A daemon leaves them running.
        """
        await self.services.release({live.firing.id for live in lives}, by)

    def _variables_of(self, environment_id: str) -> Mapping[str, str]:
        return self.variables_of(environment_id)

    def _container_options(self, environment_id: str) -> Mapping[str, str]:
        return {} if self.container_options is None else self.container_options(environment_id)

    async def _run_for_service(self, live: LiveService, references: Sequence[str]) -> list[LiveExecution]:
        """Run the tasks that a service depends on."""
        if not references or live.catalog is None:
            return []
        record = live.record
        firing_id = live.firing_id or live.progress.session
        origin = Origin(record.started_by or "manual", record.creator_id, record.creator_principal, firing_id)
        known = [one for name in references if (one := self._adopted.get((firing_id, name)))]
        missing = [name for name in references if (firing_id, name) not in self._adopted]
        if not missing:
            return known
        lives = await self.fire(live.catalog, missing, origin, workspace=Path(record.workspace))
        self.begin(lives)
        return known + lives

    async def settled(self) -> None:
        """Wait until all that was asked for so far is decided and saved. Raises StoreError if it is not."""
        await self._driver.settled()

    def wake(self) -> None:
        """Look at the clock now: it moved other than by passing."""
        self._driver.wake()

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Processes of runs whose command has ended, by run id."""
        return await self._runner.leftovers()

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every process of a run that still lives."""
        return await self._runner.processes(run_id)

    @property
    def abandoned(self) -> list[SharedRun]:
        """Runs that nobody needs any more and that are being ended."""
        return [run for run in self._strays() if run.run_id in self._performer.abandoned]

    @property
    def outlived(self) -> list[SharedRun]:
        """Runs that go on though no execution shows them: they were let go of, or could not be ended."""
        return [run for run in self._strays() if run.run_id not in self._performer.abandoned]

    def _strays(self) -> list[SharedRun]:
        return [run for run in self._registry.runs.values() if run.started and not run.members]

    def kill_abandoned(self) -> None:
        """SIGKILL to runs that nobody needs any more and that are being ended."""
        for run_id in self._performer.abandoned:
            self._tasks.start_soon(self._ending.signal, run_id, SIGKILL)

    async def abandoned_ended(self) -> None:
        """Wait for the end of runs that nobody needs any more; it is bounded."""
        for ended in list(self._performer.abandoned.values()):
            await ended.wait()

    def patience(self, *, hurried: bool = False) -> Patience:
        """How long the limits wait from now on; `hurried`: for nothing to end by itself."""
        stop_timeout = 0.0 if hurried else self._limits.stop_timeout
        return self._ending.patience(stop_timeout, self._limits.kill_timeout)

    async def end_leftovers(
        self, which: Callable[[str], bool] = lambda _: True, patience: Patience | None = None
    ) -> str | None:
        """End what ended commands left behind: SIGTERM, at the limit SIGKILL, and an end to the waiting.

        `which` says of a run id whether it is meant; who gives the patience may shorten it meanwhile.
        What could not be ended, as a phrase, or None.
        """

        async def look() -> Left:
            return {run_id: left for run_id, left in (await self.leftovers()).items() if which(run_id)}

        await self.abandoned_ended()
        return await self._ending.end(look, patience or self.patience())

    async def left_by(self, live: LiveExecution) -> Left:
        """What ended runs of an execution left behind, by run id, if no other one needs them."""
        return await self._performer.left_by(live)

    async def end_left_by(self, stored: StoredExecution) -> str | None:
        """End what an execution that is not live any more left behind, if no live one shares it."""
        runs = {one for step in stored.status.steps if step.run_id for one in attempts_of(step.run_id)}
        shared = {
            run.run_id
            for live in self.lives
            for run in live.runs.values()
            if live.record.id != stored.record.id
        }
        return await self.end_leftovers((runs - shared).__contains__)

    async def _listen(self) -> None:
        while True:
            reports = await self._runner.reports()
            self.services.report(reports)
            await self._driver.hear(self._performer.arrivals(reports))


def _services_of(plans: Iterable[PlannedExecution]) -> list[str]:
    """The references of all services that these plans need, each once, in order."""
    steps = (step for plan in plans for group in plan.spec.plan or () for step in group.steps or ())
    return list(dict.fromkeys(step.label or "" for step in steps if step.service_id))


def _refuse_containers(catalog: Catalog, plan: PlannedExecution) -> None:
    """Where nothing runs containers, a plan that needs one fails before its first step."""
    steps = [step for group in plan.spec.plan for step in group.steps]
    docker = [
        label
        for label in (step.label or "" for step in steps)
        if (task := catalog.tasks.get(label)) and task.runs_on and task.runs_on.docker
    ]
    if docker:
        raise Unsupported(
            f"cannot run {plan.reference}: {_named('task', docker)} would run in a container "
            "(runsOn.docker), and nothing here runs containers; remove runsOn to run on this machine"
        )


def _named(noun: str, labels: Sequence[str]) -> str:
    return f"the {noun}{'s' if len(labels) > 1 else ''} {', '.join(labels)}"
