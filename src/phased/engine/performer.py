"""Carries out what the machines want: turns steps into runs, and a run's reports into events.

Knows the runner's port, the environment of a step and where logs go. Must not know statuses or the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from phased.core import events as e
from phased.core import instructions as i
from phased.core.phases import State
from phased.engine.ending import Ending, Left, Patience
from phased.engine.outputs import bounded, collisions, forget_outputs, outputs_of, variables_of
from phased.engine.places import OptionsOf, container_of
from phased.engine.registry import Firing, LiveExecution, Registry, SharedRun, event_of
from phased.engine.surroundings import missing_secret, of_step, variables
from phased.errors import PhasedError, RunnerError
from phased.observability import logger
from phased.ports import (
    Clock,
    NoAccess,
    RunExited,
    RunNotStarted,
    RunReport,
    RunRequest,
    RunStarted,
    StepAccess,
)

if TYPE_CHECKING:
    from phased.engine.driver import Arrival
    from phased.ports import Runner

LogPath = Callable[[str, str], Path]
"""Where the log of (execution id, step id) goes."""
_UNREPORTED = {State.ABORTING, State.KILLING}
"""States that only a report on the leader ends."""
_LOOK_AGAIN = 0.1
"""Seconds between two looks whether it has come."""

NeedService = Callable[[LiveExecution, str, Mapping[str, str], bool], None]
"""Ask for the service of a step, with variables for it; the step's end is posted. Raises NotFound.

The last says that an earlier engine has asked for it before."""


class Performer:
    """One engine's hands. `post` takes the events that come of what it did."""

    def __init__(
        self, runner: Runner, registry: Registry, log_path: LogPath, tasks: TaskGroup, clock: Clock
    ) -> None:
        """Holds nothing yet."""
        self._runner = runner
        self._registry = registry
        self.log_path = log_path
        self._tasks = tasks
        self._clock = clock
        self._ending = Ending(runner, clock)
        self._requests: list[RunRequest] = []
        self._results: list[str] = []
        self._clearing: dict[LiveExecution, Patience] = {}
        self._log = logger("phased.engine")
        self.abandoned: dict[str, anyio.Event] = {}
        """By run id, the end of runs that nobody needs any more and that are being ended."""
        self.post: Callable[[Sequence[Arrival]], None] = lambda _: None
        self.need_service: NeedService = lambda _live, _step_id, _given, _again: None
        self.access: StepAccess = NoAccess()
        self.container_options: OptionsOf = lambda _: {}
        self.variables_of: Callable[[str], Mapping[str, str]] = lambda _: {}
        """The variables of an environment, by its id."""

    # ---- starting: what is decided before it is saved --------------------------------------------

    def prepare(self, live: LiveExecution, start: i.StartStep) -> list[Arrival]:
        """Decide which run a step's attempt is; `start` starts the new ones once that is saved.

        The events are those that are known at once: of a run that the step joins, or that it cannot run.
        """
        step = live.steps[start.step_id]
        if step.service_id:
            return self._need_service(live, start.step_id)
        try:
            has_variables = step.task is not None and step.task.spec is not None and bool(step.task.spec.env)
            missing = missing_secret(of_step(live, start.step_id), self.access) if has_variables else None
        except PhasedError as error:
            missing = f"could not start: {error}"
        if missing:
            return [(live, e.StepRefused(start.step_id, missing))]
        run, new = self._registry.run_of(live, start.step_id, start.attempt)
        if not new:
            live.machine.attach(start.step_id, run.run_id)
            if run.started:
                self._share_log(run, live, start.step_id)
            return [(live, event) for event in run.history(start.step_id, start.attempt)]
        try:
            request = self._request(live, start, run.run_id)
        except OSError as error:
            return self._not_started(run, f"cannot make the folder of its log: {error.strerror}")
        except PhasedError as error:
            return self._not_started(run, str(error))
        run.log = request.log
        self._requests.append(request)
        return []

    def _request(self, live: LiveExecution, start: i.StartStep, run_id: str) -> RunRequest:
        log = self.log_path(live.record.id, start.step_id)
        if not live.has_folder:
            os.makedirs(log.parent, mode=0o700, exist_ok=True)
            live.has_folder = True
        path = str(log)
        if start.attempt > 1:
            forget_outputs(path)
        task = live.steps[start.step_id].task
        command = (task.spec.command or "") if task and task.spec else ""
        around = of_step(live, start.step_id, path, self.variables_of(live.record.environment_id))
        around = replace(around, outputs=bounded(around.outputs, path))
        found = variables(around, self.access)
        runs_on = task.spec.runs_on if command and task and task.spec else None
        place = container_of(runs_on, self.container_options(live.record.environment_id))
        return RunRequest(run_id, command, found, live.workspace, path, container=place)

    def start_again(self, run: SharedRun) -> list[Arrival]:
        """Start a run whose intent an earlier engine saved, and that provably never was."""
        live, step_id = run.owner, run.owner_step
        attempt = int(run.run_id.rpartition(".")[2])
        try:
            missing = missing_secret(of_step(live, step_id), self.access)
            if missing:
                return self._not_started(run, missing)
            self._requests.append(self._request(live, i.StartStep(step_id, attempt), run.run_id))
        except OSError as error:
            return self._not_started(run, f"cannot make the folder of its log: {error.strerror}")
        except PhasedError as error:
            return self._not_started(run, str(error))
        return []

    def need_again(self, live: LiveExecution, step_id: str) -> list[Arrival]:
        """After a taking over: go on waiting for a step's service."""
        state = live.machine.steps[step_id].state
        events = self._need_service(live, step_id, again=True)
        if state is State.STARTING:
            return events
        refusals = [event for _, event in events if isinstance(event, e.StepRefused)]
        return [(live, e.StepLost(step_id, event.cause)) for event in refusals]

    def _need_service(self, live: LiveExecution, step_id: str, *, again: bool = False) -> list[Arrival]:
        """A service has no run of its own here: what comes of it is posted."""
        given: dict[str, str] = {}
        for need in live.steps[step_id].depends_on or ():
            given.update(variables_of(live, need))
        try:
            self.need_service(live, step_id, given, again)
        except PhasedError as error:
            return [(live, e.StepRefused(step_id, f"could not start: {error}"))]
        return [(live, e.StepStarted(step_id))]

    def detach(self, live: LiveExecution, step_id: str) -> list[Arrival]:
        """Let go of a step's run if another execution shows it, or still has its task before it."""
        if live.steps[step_id].service_id:
            return [(live, e.StepDetached(step_id))]
        run = live.runs.get(step_id)
        if run is None or not self._registry.is_wanted(run, apart_from=live):
            return []
        run.leave(live)
        del live.runs[step_id]
        return [(live, e.StepDetached(step_id))]

    def accept(self, live: LiveExecution, event: e.OutputRecorded) -> e.OutputRecorded:
        """The same without outputs that would share a variable with another one."""
        refused = collisions(live, event.step_id, event.output)
        for key, other in refused.items():
            self._log.warning(
                "output_refused", execution_id=live.record.id, step_id=event.step_id, key=key, taken_by=other
            )
        kept = {key: value for key, value in event.output.items() if key not in refused}
        return e.OutputRecorded(event.step_id, kept)

    async def start(self) -> list[Arrival]:
        """Start what was prepared; its intent is saved now."""
        requests, self._requests = self._requests, []
        if not requests:
            return []
        try:
            await self._runner.start(requests)
        except RunnerError as error:
            return self._refused(requests, str(error))
        return []

    def refuse(self, reason: str, of: str | None = None) -> list[Arrival]:
        """What was prepared (`of` this execution) cannot be started: its intent could not be saved."""
        refused: list[RunRequest] = []
        kept: list[RunRequest] = []
        for request in self._requests:
            owner = self._registry.runs[request.run_id].owner
            (refused if of in {None, owner.record.id} else kept).append(request)
        self._requests = kept
        return self._refused(refused, reason)

    def _refused(self, requests: Sequence[RunRequest], reason: str) -> list[Arrival]:
        runs = (self._registry.runs[request.run_id] for request in requests)
        return [arrival for run in list(runs) for arrival in self._not_started(run, reason)]

    def _not_started(self, run: SharedRun, reason: str) -> list[Arrival]:
        return self._tell(run, RunNotStarted(run.run_id, reason, self._clock.wall()))

    # ---- reports ---------------------------------------------------------------------------------

    def arrivals(self, reports: Sequence[RunReport]) -> list[Arrival]:
        """The events that a bunch of reports means."""
        arrivals: list[Arrival] = []
        for report in reports:
            run = self._registry.runs.get(report.run_id)
            if run is None or (run.started and isinstance(report, RunStarted)):
                continue
            if isinstance(report, RunExited) and not run.started:
                arrivals += self._tell(run, RunStarted(report.run_id, report.at))
            arrivals += self._tell(run, report)
            if run.ended:
                self._results.append(report.run_id)
        return arrivals

    def _tell(self, run: SharedRun, report: RunReport) -> list[Arrival]:
        """Note a report; what it means to each step that shows the run."""
        run.told.append(report)
        arrivals: list[Arrival] = []
        if isinstance(report, RunStarted):
            for live, step_id in run.members:
                self._share_log(run, live, step_id)
            if run.abandoned:
                self._tasks.start_soon(self._end_abandoned, run)
        else:
            self._registry.runs.pop(run.run_id, None)
        if isinstance(report, RunExited):
            run.output = outputs_of(run.log)
            if run.output:
                arrivals += [(live, e.OutputRecorded(step_id, run.output)) for live, step_id in run.members]
            if report.note:
                arrivals += [(live, e.StepRemarked(step_id, report.note)) for live, step_id in run.members]
        return arrivals + [(live, event_of(report, step_id)) for live, step_id in run.members]

    def _share_log(self, run: SharedRun, live: LiveExecution, step_id: str) -> None:
        """A step that shows another execution's run has its log as well: one file under two names."""
        if live is run.owner and step_id == run.owner_step:
            return
        target = self.log_path(live.record.id, step_id)
        try:
            os.makedirs(target.parent, mode=0o700, exist_ok=True)
            if os.path.isfile(run.log) and not target.exists():  # a dry run has none
                os.link(run.log, target)
        except OSError as error:
            self._log.warning(
                "log_not_shared", execution_id=live.record.id, step_id=step_id, reason=error.strerror
            )

    def results(self) -> list[str]:
        """Runs whose last report is among the events that were posted since the last call."""
        results, self._results = self._results, []
        return results

    async def forget(self, run_ids: list[str], *, saved: bool) -> None:
        """Once results are saved, nobody else needs to keep them; until then they are kept in mind."""
        if saved and run_ids:
            try:
                await self._runner.forget(run_ids)
            except RunnerError as error:
                self._log.warning("results_not_forgotten", reason=str(error))
        elif run_ids:
            self._results[:0] = run_ids

    # ---- ending ----------------------------------------------------------------------------------

    def perform(self, live: LiveExecution, instruction: i.Instruction) -> list[Arrival]:
        """Begin to end a step's processes; the events are those that are known at once."""
        if isinstance(instruction, i.EndLeftovers):
            self._end_leftovers(live, instruction)
            return []
        if not isinstance(instruction, i.AskToEnd | i.KillStep | i.AwaitEmpty):
            raise TypeError(f"cannot perform {instruction}")
        run = live.runs.get(instruction.step_id)
        if run is None:  # it was detached
            return []
        match instruction:
            case i.AskToEnd():
                self._tasks.start_soon(self._ending.signal, run.run_id, SIGTERM)
                return self._expire(run, live) if instruction.expired else []
            case i.KillStep():
                self._tasks.start_soon(self._kill, live, run, instruction)
            case i.AwaitEmpty():
                self._tasks.start_soon(self._await_empty, live, run, instruction.step_id)
        return []

    def _expire(self, run: SharedRun, live: LiveExecution) -> list[Arrival]:
        """Whose run is up for one execution, is for all that share it."""
        run.expired = True
        return [
            (other, e.StepTimedOut(step_id, other.machine.steps[step_id].attempt))
            for other, step_id in run.others(live)
        ]

    async def _kill(self, live: LiveExecution, run: SharedRun, instruction: i.KillStep) -> None:
        patience = Patience(0.0, instruction.until)
        cause = await self._ending.end(lambda: self._ending.processes_of(run.run_id), patience)
        step = live.machine.steps[instruction.step_id]
        while cause is None and step.state in _UNREPORTED and step.attempt == instruction.attempt:
            if self._clock.boot() >= instruction.until:
                cause = "its end was not reported"
            else:
                await anyio.sleep(_LOOK_AGAIN)
        if cause:
            run.leave(live)
            self.post([(live, e.StepStuck(instruction.step_id, instruction.attempt, cause))])

    async def _await_empty(self, live: LiveExecution, run: SharedRun, step_id: str) -> None:
        step = live.machine.steps[step_id]
        ending = {State.EMPTYING, State.CLEARING}
        if await self._ending.until_empty(run.run_id, lambda: step.state in ending):
            self.post([(live, e.StepEmptied(step_id))])

    def _end_leftovers(self, live: LiveExecution, instruction: i.EndLeftovers) -> None:
        patience = self._clearing.get(live)
        if patience is None:
            self._clearing[live] = patience = Patience(instruction.kill_at, instruction.until)
            self._tasks.start_soon(self._clear, live, patience)
        patience.kill_at, patience.until = instruction.kill_at, instruction.until

    async def _clear(self, live: LiveExecution, patience: Patience) -> None:
        cause = await self._ending.end(lambda: self.left_by(live), patience)
        del self._clearing[live]
        if cause:
            self._log.warning("leftovers_not_ended", execution_id=live.record.id, reason=cause)
        self.post([(live, e.LeftoversEnded(cause))])

    async def left_by(self, live: LiveExecution) -> Left:
        """What ended runs of an execution left behind, if no other execution that goes on shares them."""
        runs = [*live.runs.values(), *live.earlier]
        mine = {
            run.run_id
            for run in runs
            if run.ended and all(other.machine.stop_requested for other, _ in run.others(live))
        }
        live_runs = {live.runs[step.id].run_id for step in live.machine.live_steps if step.id in live.runs}
        left = await self._runner.leftovers()
        return {run_id: left[run_id] for run_id in left if run_id in mine - live_runs}

    def sweep(self, firing: Firing) -> None:
        """An execution has ended: end runs that others had let go of for it, if nobody needs them now."""
        for run in firing.runs.values():
            if run.ended or run.abandoned or run.members or self._registry.is_wanted(run):
                continue
            run.abandoned = True
            self.abandoned[run.run_id] = anyio.Event()
            if run.started:
                self._tasks.start_soon(self._end_abandoned, run)

    async def _end_abandoned(self, run: SharedRun) -> None:
        policy = run.owner.machine.policy
        patience = self._ending.patience(policy.stop_timeout, policy.kill_timeout)
        cause = await self._ending.end(lambda: self._ending.processes_of(run.run_id), patience)
        self.abandoned.pop(run.run_id).set()
        if cause:
            self._log.error("run_not_ended", run_id=run.run_id, reason=cause)
