"""Carries out what the machines want: turns steps into runs, and a run's reports into events.

Knows the runner's port, the environment of a step and where logs go. Must not know statuses or the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from phased.core import events as e
from phased.core import instructions as i
from phased.engine.registry import LiveExecution, Registry, SharedRun, event_of
from phased.engine.surroundings import missing_secret, outputs_of, variables
from phased.errors import RunnerError
from phased.ports import RunExited, Runner, RunReport, RunRequest, RunStarted

if TYPE_CHECKING:
    from phased.engine.driver import Arrival

_LOOK_AGAIN = (0.01, 0.25)
"""Seconds between two looks for processes that are left: at first, and at most."""


class Performer:
    """One engine's hands. `post` takes the events that come of what it did."""

    def __init__(
        self,
        runner: Runner,
        registry: Registry,
        workspace: Path,
        log_path: Callable[[str, str], Path],
        tasks: TaskGroup,
    ) -> None:
        """`log_path(execution_id, step_id)` says where a step's log goes."""
        self._runner = runner
        self._registry = registry
        self._workspace = str(workspace)
        self._log_path = log_path
        self._tasks = tasks
        self._requests: list[RunRequest] = []
        self._forget: list[str] = []
        self._folders: set[str] = set()
        self.post: Callable[[Sequence[Arrival]], None] = lambda _: None

    # ---- starting --------------------------------------------------------------------------------

    def prepare(self, live: LiveExecution, start: i.StartStep) -> list[Arrival]:
        """Decide which run a step's attempt is, before that is saved; `start` starts the new ones.

        The events are those that are known at once: of a run that the step joins, or that it cannot run.
        """
        missing = missing_secret(live, start.step_id)
        if missing:
            return [(live, e.StepRefused(start.step_id, missing))]
        run, new = self._registry.run_of(live, start.step_id, start.attempt)
        if new:
            self._requests.append(self._request(live, start.step_id, run.run_id))
            return []
        live.machine.attach(start.step_id, run.run_id)
        if run.told:
            self._share_log(run, live, start.step_id)
        return [(live, event_of(report, start.step_id)) for report in run.told]

    def _request(self, live: LiveExecution, step_id: str, run_id: str) -> RunRequest:
        log = self._log_path(live.record.id, step_id)
        folder = str(log.parent)
        if folder not in self._folders:
            self._folders.add(folder)
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - the path is in hand as text
        task = live.steps[step_id].task
        command = (task.spec.command or "") if task and task.spec else ""
        return RunRequest(run_id, command, variables(live, step_id, str(log)), self._workspace, str(log))

    async def start(self) -> list[Arrival]:
        """Start what was prepared; its intent is saved now."""
        requests, self._requests = self._requests, []
        if not requests:
            return []
        try:
            await self._runner.start(requests)
        except RunnerError as error:
            return self._refused([r.run_id for r in requests], str(error))
        return []

    def refuse(self, reason: str) -> list[Arrival]:
        """What was prepared cannot be started, since its intent could not be saved."""
        requests, self._requests = self._requests, []
        return self._refused([request.run_id for request in requests], reason)

    def _refused(self, run_ids: Sequence[str], reason: str) -> list[Arrival]:
        cause = f"could not start: {reason}"
        return [
            (live, e.StepRefused(step_id, cause))
            for run_id in run_ids
            for live, step_id in self._registry.runs.pop(run_id).members
        ]

    # ---- reports ---------------------------------------------------------------------------------

    def arrivals(self, reports: Sequence[RunReport]) -> list[Arrival]:
        """The events that a bunch of reports means."""
        arrivals: list[Arrival] = []
        for report in reports:
            run = self._registry.runs.get(report.run_id)
            if run is None or run.ended:
                continue
            run.told.append(report)
            if isinstance(report, RunStarted):
                for live, step_id in run.members[1:]:
                    self._share_log(run, live, step_id)
            else:
                self._forget.append(report.run_id)
                if isinstance(report, RunExited):
                    arrivals += self._outputs(run)
            arrivals += run.events(report)
        return arrivals

    def _outputs(self, run: SharedRun) -> list[Arrival]:
        output = outputs_of(str(self._log_path(run.owner.record.id, run.owner_step)))
        return [(live, e.OutputRecorded(step_id, output)) for live, step_id in run.members if output]

    def _share_log(self, run: SharedRun, live: LiveExecution, step_id: str) -> None:
        """A step that shows another execution's run has its log as well: one file under two names."""
        source = self._log_path(run.owner.record.id, run.owner_step)
        target = self._log_path(live.record.id, step_id)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if source != target and source.exists() and not target.exists():
            os.link(source, target)

    async def settle(self, *, saved: bool) -> None:
        """Once results are saved, nobody else needs to keep them."""
        if saved and self._forget:
            run_ids, self._forget = self._forget, []
            await self._runner.forget(run_ids)

    # ---- ending ----------------------------------------------------------------------------------

    def perform(self, live: LiveExecution, instruction: i.Instruction) -> list[Arrival]:
        """Begin to end a step's processes; the events are those that are known at once."""
        match instruction:
            case i.AskToEnd():
                return self._ask_to_end(live, instruction)
            case i.KillStep():
                run = live.runs[instruction.step_id]
                run.killed = True
                self._tasks.start_soon(self._runner.signal, run.run_id, int(SIGKILL))
            case i.AwaitEmpty():
                self._tasks.start_soon(self._await_empty, live, instruction.step_id)
            case _:
                raise TypeError(f"cannot perform {instruction}")
        return []

    def _ask_to_end(self, live: LiveExecution, instruction: i.AskToEnd) -> list[Arrival]:
        run = live.runs[instruction.step_id]
        others = [member for member in run.members if member[0] is not live]
        if instruction.detach and others:
            run.members = others
            return [(live, e.StepDetached(instruction.step_id))]
        self._tasks.start_soon(self._runner.signal, run.run_id, int(SIGTERM))
        return []

    async def _await_empty(self, live: LiveExecution, step_id: str) -> None:
        run = live.runs[step_id]
        pause = _LOOK_AGAIN[0]
        while await self._runner.processes(run.run_id):
            if run.killed:
                await self._runner.signal(run.run_id, int(SIGKILL))
            await anyio.sleep(pause)
            pause = min(pause * 2, _LOOK_AGAIN[1])
        self.post([(live, e.StepEmptied(step_id))])
