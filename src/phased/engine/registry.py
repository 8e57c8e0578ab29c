"""What is alive in this engine: executions, the firings they belong to, and the runs that they share.

Knows machines and runs by id. Must not know how runs are started or statuses saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import anyio

from phased.contract.execution import PlanStep
from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.ports import (
    ExecutionRecord,
    RunExited,
    RunLost,
    RunNotStarted,
    RunReport,
    RunStarted,
    StoredExecution,
)


@dataclass(slots=True, eq=False)
class SharedRun:
    """One run of a task's command, and the steps that show it: more than one within a firing."""

    run_id: str
    owner: LiveExecution
    """The execution that it was started for; its log lies there, also when that one has let go of it."""
    owner_step: str
    log: str = ""
    """Where its output goes."""
    members: list[tuple[LiveExecution, str]] = field(default_factory=list)
    told: list[RunReport] = field(default_factory=list)
    output: dict[str, str] = field(default_factory=dict)
    """What it had set when it ended."""
    expired: bool = False
    """Its time was up."""
    abandoned: bool = False
    """Nobody needs it any more: it is being ended."""

    @property
    def started(self) -> bool:
        """Whether its command runs, or ran."""
        return bool(self.told) and isinstance(self.told[0], RunStarted)

    @property
    def ended(self) -> bool:
        """Whether its last report has come."""
        return bool(self.told) and not isinstance(self.told[-1], RunStarted)

    def leave(self, live: LiveExecution) -> None:
        """This execution is told no more of it."""
        self.members = [member for member in self.members if member[0] is not live]

    def others(self, live: LiveExecution) -> list[tuple[LiveExecution, str]]:
        """The steps of other executions that show it and have not ended."""
        return [member for member in self.members if member[0] is not live and not member[0].machine.finished]

    def history(self, step_id: str, attempt: int) -> Iterator[e.Event]:
        """What a step that joins now has missed."""
        for report in self.told:
            if isinstance(report, RunExited) and self.output:
                yield e.OutputRecorded(step_id, dict(self.output))
            if isinstance(report, RunExited) and report.note:
                yield e.StepRemarked(step_id, report.note)
            yield event_of(report, step_id)
            if isinstance(report, RunStarted) and self.expired:
                yield e.StepTimedOut(step_id, attempt)


@dataclass(slots=True, eq=False)
class Firing:
    """One firing of a trigger: within it each task runs at most once (`semantics: Triggers`)."""

    id: str
    runs: dict[tuple[str, int], SharedRun] = field(default_factory=dict)
    """By the task's id and the attempt."""
    lives: list[LiveExecution] = field(default_factory=list)


@dataclass(slots=True, eq=False, weakref_slot=True)
class LiveExecution:
    """An execution that this engine drives."""

    record: ExecutionRecord
    machine: ExecutionMachine
    firing: Firing
    steps: dict[str, PlanStep]
    done: anyio.Event
    """It has reached its last phase."""
    workspace: str
    """The directory that its commands run in."""
    runs: dict[str, SharedRun] = field(default_factory=dict)
    """The newest run of each step, by step id."""
    earlier: list[SharedRun] = field(default_factory=list)
    """Runs of attempts before the newest: what they left behind counts too."""
    step_of: dict[str, str] = field(default_factory=dict)
    """Step id by the id of its task."""
    has_folder: bool = False
    """The folder of its logs is there."""

    @classmethod
    def of(
        cls, record: ExecutionRecord, machine: ExecutionMachine, firing: Firing, workspace: str
    ) -> LiveExecution:
        """An execution of a firing; the firing knows it from now on."""
        steps = {step.id or "": step for group in record.spec.plan or () for step in group.steps or ()}
        live = cls(record, machine, firing, steps, anyio.Event(), workspace)
        live.step_of = {
            step.task.id: step_id for step_id, step in steps.items() if step.task and step.task.id
        }
        firing.lives.append(live)
        return live

    def stored(self) -> StoredExecution:
        """The record with the whole status; not a new version."""
        return StoredExecution(self.record, self.machine.status())

    def task_of(self, step_id: str) -> str:
        """What the runs of a step are shared by: the id of its task."""
        task = self.steps[step_id].task
        return (task.id if task else None) or step_id

    def will_need(self, task_id: str) -> bool:
        """Whether it has this task still before it."""
        step_id = self.step_of.get(task_id)
        return step_id is not None and self.machine.will_need(step_id)


class Registry:
    """The executions and runs of one engine, by id. What has ended is dropped: a daemon lives long."""

    def __init__(self) -> None:
        """Nothing is alive."""
        self.executions: dict[str, LiveExecution] = {}
        self.known: WeakValueDictionary[str, LiveExecution] = WeakValueDictionary()
        """These, and those that have ended as long as anybody has them: two of one would contradict."""
        self.runs: dict[str, SharedRun] = {}
        """Those whose last report has not come."""

    def add(self, live: LiveExecution) -> None:
        """An execution has been created."""
        self.executions[live.record.id] = self.known[live.record.id] = live

    def remove(self, live: LiveExecution) -> None:
        """An execution has ended, and that is saved."""
        self.executions.pop(live.record.id, None)

    def run_of(self, live: LiveExecution, step_id: str, attempt: int) -> tuple[SharedRun, bool]:
        """The run that a step's attempt shows, and whether it is new (so that it is to be started)."""
        key = (live.task_of(step_id), attempt)
        run = live.firing.runs.get(key)
        new = run is None
        if run is None:
            run = SharedRun(f"{step_id}.{attempt}", live, step_id)
            live.firing.runs[key] = self.runs[run.run_id] = run
        run.members.append((live, step_id))
        if step_id in live.runs:
            live.earlier.append(live.runs[step_id])
        live.runs[step_id] = run
        return run, new

    def is_wanted(self, run: SharedRun, *, apart_from: LiveExecution | None = None) -> bool:
        """Whether an execution shows this run, or still has its task before it."""
        firing = run.owner.firing
        if any(member[0] is not apart_from and not member[0].machine.finished for member in run.members):
            return True
        task_id = run.owner.task_of(run.owner_step)
        return any(live is not apart_from and live.will_need(task_id) for live in firing.lives)


def attempts_of(run_id: str) -> list[str]:
    """The ids of a step's runs up to this one."""
    step_id, _, last = run_id.rpartition(".")
    return [f"{step_id}.{number}" for number in range(1, int(last) + 1)]


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
