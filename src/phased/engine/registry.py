"""What is alive in this engine: executions, the firings they belong to, and the runs that they share.

Knows machines and runs by id. Must not know how runs are started or statuses saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from phased.contract.execution import PlanStep
from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.core.specs import PlannedExecution
from phased.ports import ExecutionRecord, RunExited, RunLost, RunNotStarted, RunReport, RunStarted


@dataclass(slots=True)
class SharedRun:
    """One run of a task's command, and the steps that show it: more than one within a firing."""

    run_id: str
    owner: LiveExecution
    owner_step: str
    members: list[tuple[LiveExecution, str]] = field(default_factory=list)
    told: list[RunReport] = field(default_factory=list)
    killed: bool = False

    @property
    def ended(self) -> bool:
        """Whether its last report has come."""
        return bool(self.told) and not isinstance(self.told[-1], RunStarted)

    def events(self, report: RunReport) -> Iterator[tuple[LiveExecution, e.Event]]:
        """What a report means to each step that shows this run."""
        for live, step_id in self.members:
            yield live, event_of(report, step_id)


@dataclass(slots=True)
class Firing:
    """One firing of a trigger: within it each task runs at most once (`semantics: Triggers`)."""

    id: str
    runs: dict[tuple[str, int], SharedRun] = field(default_factory=dict)
    """By the task's id and the attempt."""


@dataclass(slots=True, eq=False)
class LiveExecution:
    """An execution that this engine drives."""

    record: ExecutionRecord
    planned: PlannedExecution
    machine: ExecutionMachine
    firing: Firing
    steps: dict[str, PlanStep]
    done: anyio.Event
    runs: dict[str, SharedRun] = field(default_factory=dict)
    """The newest run of each step, by step id."""


class Registry:
    """The executions and runs of one engine, by id."""

    def __init__(self) -> None:
        """Nothing is alive."""
        self.executions: dict[str, LiveExecution] = {}
        self.runs: dict[str, SharedRun] = {}

    def add(self, live: LiveExecution) -> None:
        """An execution has been created."""
        self.executions[live.record.id] = live

    def run_of(self, live: LiveExecution, step_id: str, attempt: int) -> tuple[SharedRun, bool]:
        """The run that a step's attempt shows, and whether it is new (so that it is to be started)."""
        task = live.steps[step_id].task
        key = ((task.id if task else None) or step_id, attempt)
        run = live.firing.runs.get(key)
        new = run is None
        if run is None:
            run = SharedRun(f"{step_id}.{attempt}", live, step_id)
            live.firing.runs[key] = self.runs[run.run_id] = run
        run.members.append((live, step_id))
        live.runs[step_id] = run
        return run, new


def event_of(report: RunReport, step_id: str) -> e.StepEvent:
    """The event that a report of a step's run is."""
    match report:
        case RunStarted():
            return e.StepStarted(step_id)
        case RunNotStarted():
            return e.StepRefused(step_id, f"could not start: {report.reason}")
        case RunExited(code=0):
            return e.StepSucceeded(step_id)
        case RunExited():
            return e.StepFailed(step_id, report.code, report.signal)
        case RunLost():
            return e.StepLost(step_id, report.reason)
