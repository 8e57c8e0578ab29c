"""One execution as a machine: events in, instructions out. The only door for change is `handle`.

Knows the plan, the policy and what has happened. Must not know commands, runs, stores or clocks: the
time comes with each event, as a pair of wall and boot clock.

    receive -> handle(event, now) -> change(now) is saved -> the instructions are performed
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from signal import Signals
from typing import assert_never

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.execution import TaskExecutionSpec
from phased.core import events as e
from phased.core import instructions as i
from phased.core.phases import LIVE, PHASE_OF, TERMINAL, State, aggregate, next_state
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.core.status import StatusChange, StepStatus
from phased.core.versions import next_version

_DEFAULT = StepPolicy()


@dataclass(slots=True)
class StepProgress:
    """One step as the machine sees it; `cause` is its failure message, as soon as there is one."""

    id: str
    label: str
    joins: bool
    """It has no command and no service: it only joins what it depends on."""
    state: State = State.WAITING
    attempt: int = 0
    run_id: str | None = None
    cause: str | None = None
    code: int | None = None
    signal: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    output: dict[str, str] = field(default_factory=dict)

    def status(self) -> StepStatus:
        """A frozen copy of what the outside may know."""
        return StepStatus(
            self.id, PHASE_OF[self.state], self.cause, self.run_id, max(self.attempt, 1),
            self.started_at, self.completed_at, self.code, self.signal, dict(self.output),
        )  # fmt: skip


class ExecutionMachine:
    """The state of one execution. Not safe to share: one driver owns it."""

    def __init__(
        self, execution_id: str, spec: TaskExecutionSpec, policy: ExecutionPolicy, *, version: int = 0
    ) -> None:
        """Nothing has started; `version` is the one of the status that is already saved."""
        self.execution_id = execution_id
        self.policy = policy
        self.steps: dict[str, StepProgress] = {}
        self._groups: list[list[StepProgress]] = []
        for group in spec.plan:
            members = [
                StepProgress(step.id or "", step.label or "", joins=not step.service_id and not _command(step.task))
                for step in group.steps
            ]
            self._groups.append(members)
            self.steps.update((member.id, member) for member in members)
        self.version = version
        self.begun = False
        self.started_at: int | None = None
        self.completed_at: int | None = None
        self.stop_requested = False
        self.first_failure: str | None = None
        self.why: str | None = None
        self._group = -1
        self._queue: deque[StepProgress] = deque()
        self._open = 0  # steps of this group that are not terminal
        self._live = 0  # steps between start and end
        self._dirty: dict[str, None] = {}

    # ---- what it says ----------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the phase is terminal."""
        return self.completed_at is not None

    @property
    def phase(self) -> Phase:
        """The aggregate phase of all steps."""
        return aggregate(
            begun=self.begun,
            live=self._live > 0,
            waiting=not self.finished,
            failed=self.first_failure is not None,
            stopped=self.stop_requested,
        )

    @property
    def live_steps(self) -> list[StepProgress]:
        """The steps between start and end, in the order of the plan."""
        return [step for step in self.steps.values() if step.state in LIVE]

    def change(self, now: e.Instant) -> StatusChange:
        """The status as it is now, with a version of its own and the steps changed since the last call."""
        expected = self.version
        self.version = next_version(expected, now.wall)
        dirty, self._dirty = self._dirty, {}
        return StatusChange(
            self.execution_id, expected, self.version, self.phase, self.first_failure, self.started_at,
            self.completed_at, self.stop_requested, self.why,
            tuple(self.steps[step_id].status() for step_id in dirty),
        )  # fmt: skip

    def attach(self, step_id: str, run_id: str) -> None:
        """This step's attempt is a run that another execution of the same firing started."""
        self.steps[step_id].run_id = run_id

    # ---- the only door for change ----------------------------------------------------------------

    def handle(self, event: e.Event, now: e.Instant) -> list[i.Instruction]:
        """Advance by one event; what is to be done about it, in order.

        Raises IllegalTransition for an event that the state has no entry for; then nothing has changed.
        """
        match event:
            case e.StepEvent():
                return self._handle_step(event, now)
            case e.ExecutionBegun():
                self.begun = True
                return self._advance(now)
            case e.StopRequested():
                return self._stop(event, now)
            case e.KillRequested():
                return self._kill(now)
            case e.OutputRecorded():
                self._record(event)
                return []
        assert_never(event)

    def _handle_step(self, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:
        step = self.steps[event.step_id]
        if isinstance(event, e.StepTimedOut | e.StepLimitReached) and self._late(step, event):
            return []
        if isinstance(event, e.StepDue):
            return self._retry_due(step)
        if isinstance(event, e.StepFailed):
            event = self._judge(step, event)
        instructions = self._move(step, event, now)
        if step.state in TERMINAL:
            instructions += self._advance(now)
        return instructions

    def _late(self, step: StepProgress, event: e.StepTimedOut | e.StepLimitReached) -> bool:
        """A reminder for what has long ended is no error: it was set before that."""
        if event.attempt != step.attempt or step.state in TERMINAL:
            return True
        if isinstance(event, e.StepTimedOut):
            return step.state is not State.RUNNING
        return step.state in {State.RUNNING, State.RETRYING, State.STARTING, State.CANCELLING}

    def _judge(self, step: StepProgress, event: e.StepFailed) -> e.StepEvent:
        """Only a running attempt that nobody asked to end can be repeated."""
        if step.state is State.RUNNING and self._may_retry(step, event.code):
            return e.StepAttemptFailed(step.id)
        return event

    def _may_retry(self, step: StepProgress, code: int | None) -> bool:
        return not self.stop_requested and self._policy(step).retry(step.attempt, code)

    # ---- one step --------------------------------------------------------------------------------

    def _move(self, step: StepProgress, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:
        """Advance the step first, then say what follows."""
        if isinstance(event, e.StepEmptied) and step.state is State.EXPIRING and self._may_retry(step, None):
            event = e.StepAttemptFailed(step.id)
        before = step.state
        step.state = next_state(before, event)
        self._dirty[step.id] = None
        self._note(step, event, now)
        self._count(step, before, now)
        return self._follow(step, before, event, now)

    def _note(self, step: StepProgress, event: e.StepEvent, now: e.Instant) -> None:
        match event:
            case e.StepStarted():
                step.started_at = step.started_at or now.wall
                self.started_at = self.started_at or now.wall
            case e.StepJoined():
                step.started_at = now.wall
                self.started_at = self.started_at or now.wall
            case e.StepSucceeded():
                step.code, step.signal = 0, None
            case e.StepFailed():
                step.code, step.signal = event.code, event.signal
                if step.state is State.FAILED:
                    step.cause = exit_cause(event.code, event.signal)
            case e.StepRefused() | e.StepLost():
                step.cause = event.cause
            case e.StepTimedOut():
                step.cause = f"timed out after {_seconds(self._policy(step).timeout or 0)}"
            case e.StepAttemptFailed():
                step.cause = None
            case e.StepLimitReached() if step.state is State.KILLING and step.cause is None:
                step.cause = (
                    "did not stop at once when that was asked for, and was killed"
                    if event.impatient
                    else f"did not stop within {_seconds(self.policy.stop_timeout)} and was killed"
                )
            case _:
                pass

    def _count(self, step: StepProgress, before: State, now: e.Instant) -> None:
        was, live = before in LIVE, step.state in LIVE
        self._live += live - was
        if step.state not in TERMINAL:
            return
        step.completed_at = now.wall
        self._open -= 1
        if step.state is State.FAILED and self.first_failure is None:
            self.first_failure = f"step {step.label} failed: {step.cause}"

    def _follow(
        self, step: StepProgress, before: State, event: e.StepEvent, now: e.Instant
    ) -> list[i.Instruction]:
        state = step.state
        if state is State.STARTING:
            step.attempt += 1
            step.run_id = f"{step.id}.{step.attempt}"
            return [i.StartStep(step.id, step.attempt)]
        if state is State.RUNNING:
            timeout = self._policy(step).timeout
            return [i.RemindOfTimeout(step.id, step.attempt, now.boot + timeout)] if timeout else []
        if state is State.STOPPING and before is not State.STOPPING:
            return [i.AskToEnd(step.id, detach=True), self._limit(step, now)]
        if state is State.EXPIRING and before is State.RUNNING:
            return [i.AskToEnd(step.id, detach=False), self._limit(step, now)]
        if state is State.RETRYING:
            return [i.RemindOfRetry(step.id, now.boot + self._policy(step).pause(step.attempt))]
        return self._end(step, before, event)

    def _end(self, step: StepProgress, before: State, event: e.StepEvent) -> list[i.Instruction]:
        """Killing, and waiting for emptiness once the leader has gone."""
        if isinstance(event, e.StepLimitReached):
            return [i.KillStep(step.id)]
        leader_gone = isinstance(event, e.StepSucceeded | e.StepFailed)
        if leader_gone and before in {State.STOPPING, State.KILLING, State.EXPIRING}:
            return [i.AwaitEmpty(step.id)]
        return []

    def _limit(self, step: StepProgress, now: e.Instant) -> i.RemindOfLimit:
        return i.RemindOfLimit(step.id, step.attempt, now.boot + self.policy.stop_timeout)

    def _policy(self, step: StepProgress) -> StepPolicy:
        return self.policy.steps.get(step.id, _DEFAULT)

    # ---- the whole execution ---------------------------------------------------------------------

    def _advance(self, now: e.Instant) -> list[i.Instruction]:
        """Fill free places; when a group is done, begin the next one or finish."""
        if self.finished or not self.begun:
            return []
        instructions: list[i.Instruction] = []
        while True:
            if not self.stop_requested:
                instructions += self._fill(now)
            if self._open and not (self.stop_requested and self._live == 0):
                return instructions
            if self.first_failure or self.stop_requested or self._group + 1 == len(self._groups):
                return [*instructions, *self._finish(now)]
            self._group += 1
            self._queue = deque(self._groups[self._group])
            self._open = len(self._queue)

    def _fill(self, now: e.Instant) -> list[i.Instruction]:
        instructions: list[i.Instruction] = []
        while self._queue and (self._live < self.policy.max_parallel or self._queue[0].joins):
            step = self._queue.popleft()
            event = e.StepJoined(step.id) if step.joins else e.StepDue(step.id)
            instructions += self._move(step, event, now)
        return instructions

    def _retry_due(self, step: StepProgress) -> list[i.Instruction]:
        """A retry keeps its place, so it starts at once; one that was stopped meanwhile does not."""
        if step.state is not State.RETRYING:
            return []
        return self._move(step, e.StepDue(step.id), e.Instant(0, 0.0))

    def _stop(self, event: e.StopRequested, now: e.Instant) -> list[i.Instruction]:
        if self.finished or self.stop_requested:
            return []
        self.stop_requested = True
        self.why = f"stopped by {event.by} at {_stamp(now.wall)}"
        self.begun = True
        instructions: list[i.Instruction] = []
        for step in self.live_steps:
            instructions += self._move(step, e.StepStopRequested(step.id), now)
        return instructions + self._advance(now)

    def _kill(self, now: e.Instant) -> list[i.Instruction]:
        instructions: list[i.Instruction] = []
        for step in self.live_steps:
            if step.state in {State.STOPPING, State.EMPTYING, State.KILLING, State.EXPIRING}:
                impatient = e.StepLimitReached(step.id, step.attempt, impatient=True)
                instructions += self._move(step, impatient, now)
        return instructions

    def _finish(self, now: e.Instant) -> list[i.Instruction]:
        self.completed_at = now.wall
        never = [step.label for step in self.steps.values() if step.state is State.WAITING]
        if never and self.first_failure and not self.stop_requested:
            self.why = f"{self.first_failure}; never started: {', '.join(never)}"
        return [i.Finish()]

    def _record(self, event: e.OutputRecorded) -> None:
        step = self.steps[event.step_id]
        for key, value in event.output.items():
            if value:
                step.output[key] = value
            else:
                step.output.pop(key, None)
        self._dirty[step.id] = None

    # ---- for tests and debugging -----------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError where the parts of the state contradict each other."""
        states = [step.state for step in self.steps.values()]
        group: Sequence[StepProgress] = self._groups[self._group] if self._group >= 0 else ()
        expected: Mapping[str, tuple[object, object]] = {
            "live": (self._live, sum(state in LIVE for state in states)),
            "open": (self._open, sum(step.state not in TERMINAL for step in group)),
            "later groups wait": (
                {State.WAITING},
                {State.WAITING} | {s.state for later in self._groups[self._group + 1 :] for s in later},
            ),
            "finished has nothing live": (self.finished and self._live > 0, False),
            "places": (self._live <= self.policy.max_parallel, True),
            "failure": (self.first_failure is not None, State.FAILED in states),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise AssertionError(f"{name}: {found} is not {wanted}")


def _command(task: object) -> str:
    spec = getattr(task, "spec", None)
    return (spec.command or "") if spec is not None else ""


def exit_cause(code: int | None, signal: int | None) -> str:
    """How a process ended, for people: `exit code 3`, `signal SIGKILL`."""
    if signal is not None:
        try:
            return f"signal {Signals(signal).name}"
        except ValueError:
            return f"signal {signal}"
    return "exit status unknown" if code is None else f"exit code {code}"


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _stamp(wall: int) -> str:
    return datetime.fromtimestamp(wall // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
