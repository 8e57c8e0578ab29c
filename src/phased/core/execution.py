"""One execution as a machine: events in, instructions out. The only door for change is `handle`.

Knows the plan, the policy and what has happened. Must not know commands, runs, stores or clocks: the
time comes with each event, as a pair of wall and boot clock.

    receive -> handle(event, now) -> change(now) is saved -> the instructions are performed
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.execution import TaskExecutionSpec
from phased.core import causes
from phased.core import events as e
from phased.core import instructions as i
from phased.core.phases import LIVE, TERMINAL, TERMINAL_PHASES, State, aggregate
from phased.core.policy import ExecutionPolicy
from phased.core.status import StatusChange
from phased.core.step import StepProgress
from phased.core.versions import next_version
from phased.errors import IllegalTransition

_ENDING = LIVE - {State.STARTING, State.RUNNING, State.RETRYING}
"""Whoever will not wait ends these at once."""


class ExecutionMachine:
    """The state of one execution. Not safe to share: one driver owns it."""

    def __init__(
        self, execution_id: str, spec: TaskExecutionSpec, policy: ExecutionPolicy, *, version: int = 0
    ) -> None:
        """Nothing has started; `version` is the one of the status that is already saved."""
        self.execution_id = execution_id
        self.policy = policy
        self._groups = [
            [StepProgress.of(step, policy) for step in group.steps or ()] for group in spec.plan or ()
        ]
        self.steps = {step.id: step for group in self._groups for step in group}
        self.version = version
        self.begun = False
        self.started_at: int | None = None
        self.completed_at: int | None = None
        self.stop_requested = False
        self.first_failure: str | None = None
        self.why: str | None = None
        self.clearing: i.EndLeftovers | None = None
        """What is being done about what ended steps left behind, also after the end of all."""
        self._interrupted: str | None = None
        self._group = -1
        self._queue: deque[StepProgress] = deque()
        self._open = 0  # steps of this group that are not terminal
        self._live = 0  # steps between start and end
        self._changed = False
        self._dirty: dict[str, None] = {}

    @classmethod
    def restore(
        cls, spec: TaskExecutionSpec, policy: ExecutionPolicy, status: StatusChange
    ) -> ExecutionMachine:
        """The machine that a whole status was made from: it goes on from there as the original would.

        What that one had asked for and may not have got is said again by `resume`.
        """
        machine = cls(status.execution_id, spec, policy, version=status.version)
        for step in status.steps:
            machine.steps[step.id].take(step)
        machine.started_at, machine.completed_at = status.started_at, status.completed_at
        machine.stop_requested = status.stop_requested
        machine.first_failure, machine.why = status.failure_message, status.why
        machine.clearing = i.EndLeftovers(*status.clearing) if status.clearing else None
        machine.begun = bool(status.steps) or status.phase in TERMINAL_PHASES or status.stop_requested
        for position, group in enumerate(machine._groups):
            if any(step.state is not State.WAITING for step in group):
                machine._group = position
                machine._queue = deque(step for step in group if step.state is State.WAITING)
                machine._open = sum(step.state not in TERMINAL for step in group)
        machine._live = len(machine.live_steps)
        return machine

    # ---- what it says ----------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the phase is terminal."""
        return self.completed_at is not None

    @property
    def phase(self) -> Phase:
        """The aggregate phase of all steps."""
        return aggregate(
            begun=self.started_at is not None or self.first_failure is not None or self.finished,
            live=self._live > 0,
            waiting=not self.finished,
            failed=self.first_failure is not None,
            stopped=self.stop_requested,
        )

    @property
    def live_steps(self) -> list[StepProgress]:
        """The steps between start and end, in the order of the plan."""
        return [step for step in self.steps.values() if step.state in LIVE]

    @property
    def changed(self) -> bool:
        """Whether anything is different since the last `change`."""
        return self._changed or bool(self._dirty)

    def will_need(self, step_id: str) -> bool:
        """Whether this step, or its next attempt, has not started and, as things stand, is going to."""
        state = self.steps[step_id].state
        if self._halted or self.finished or state not in {State.WAITING, State.RETRYING}:
            return False
        if state is State.RETRYING:
            return True
        return self.first_failure is None or any(step.id == step_id for step in self._queue)

    def status(self) -> StatusChange:
        """The whole status as of the last change: every step that has started."""
        started = (step.id for step in self.steps.values() if step.state is not State.WAITING)
        return self._status(0, self.version, started)

    def change(self, now: e.Instant) -> StatusChange:
        """The status as it is now, with a version of its own and the steps changed since the last call."""
        expected = self.version
        self.version = next_version(expected, now.wall)
        dirty, self._dirty, self._changed = self._dirty, {}, False
        return self._status(expected, self.version, dirty)

    def _status(self, expected: int, version: int, step_ids: Iterable[str]) -> StatusChange:
        clearing = self.clearing
        return StatusChange(
            self.execution_id, expected, version, self.phase, self.first_failure, self.started_at,
            self.completed_at, self.stop_requested, self.why,
            tuple(self.steps[step_id].status() for step_id in step_ids),
            (clearing.kill_at, clearing.until) if clearing else None,
        )  # fmt: skip

    def attach(self, step_id: str, run_id: str) -> None:
        """This step's attempt is a run that another execution of the same firing started."""
        self.steps[step_id].run_id = run_id
        self._dirty[step_id] = None

    # ---- the only door for change ----------------------------------------------------------------

    def handle(self, event: e.Event, now: e.Instant) -> list[i.Instruction]:  # noqa: PLR0911 - one an event
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
                return self._stop(event.by, now)
            case e.KillRequested():
                return self._kill(event.by, now)
            case e.OutputRecorded():
                self._record(event)
                return []
            case e.StepRemarked():
                return self._remark(f"{self.steps[event.step_id].label}: {event.remark}")
            case e.LeftoversEnded():
                return self._cleared(event, now)
            case e.ExecutionInterrupted():
                return self._interrupt(event, now)
        assert_never(event)

    def resume(self, now: e.Instant) -> list[i.Instruction]:
        """After `restore`: the instructions that are still to be obeyed, again. Changes no state.

        Starts are not among them: only who knows the runs can tell what became of those.
        """
        instructions = [one for step in self.live_steps for one in step.again(now)]
        return [*instructions, self.clearing] if self.clearing else instructions

    def _handle_step(self, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:
        step = self.steps[event.step_id]
        if step.is_late(event, now):
            return []
        if not self._halted:
            event = step.judge(event)
        instructions = self._move(step, event, now)
        if step.state in TERMINAL:
            instructions += self._advance(now)
        return instructions

    @property
    def _halted(self) -> bool:
        """Whether nothing more is to be started, also no further attempt."""
        return self.stop_requested or self._interrupted is not None

    def _move(self, step: StepProgress, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:
        """Advance one step, and count."""
        before = step.state
        instructions = step.move(event, now)
        self._dirty[step.id] = None
        if step.started_at is not None and self.started_at is None:
            self.started_at = step.started_at
        was, live = before in LIVE, step.state in LIVE
        self._live += live - was
        if step.state in TERMINAL:
            self._open -= 1
            if step.state is State.FAILED and self.first_failure is None:
                self.first_failure = f"step {step.label} failed: {step.cause}"
        return instructions

    # ---- the whole execution ---------------------------------------------------------------------

    def _advance(self, now: e.Instant) -> list[i.Instruction]:
        """Fill free places; when a group is done, begin the next one or finish."""
        if self.finished or not self.begun:
            return []
        instructions: list[i.Instruction] = []
        while True:
            if not self._halted:
                instructions += self._fill(now)
            if self.clearing or (self._live if self._halted else self._open):
                return instructions
            if self.first_failure or self._halted or self._group + 1 == len(self._groups):
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

    def _stop(self, by: str, now: e.Instant) -> list[i.Instruction]:
        """Ask everything to end; of an execution that has ended, what it left behind."""
        if self.finished:
            return [] if self.clearing else self._end_leftovers(now, self.policy.stop_timeout)
        if self.stop_requested:
            return []
        self.stop_requested = self.begun = self._changed = True
        self.why = f"stopped by {by} at {causes.stamp(now.wall)}"
        instructions: list[i.Instruction] = []
        if any(step.attempt > 1 or (step.attempt and step.state in TERMINAL) for step in self.steps.values()):
            instructions += self._end_leftovers(now, self.policy.stop_timeout)
        for step in self.live_steps:
            instructions += self._move(step, e.StepStopRequested(step.id), now)
        return instructions + self._advance(now)

    def _kill(self, by: str, now: e.Instant) -> list[i.Instruction]:
        """Without a stop before it, it is the stop as well."""
        instructions = self._stop(by, now)
        for step in self.live_steps:
            if step.state in _ENDING:
                impatient = e.StepLimitReached(step.id, step.attempt, impatient=True)
                instructions += self._move(step, impatient, now)
        return instructions + self._end_leftovers(now, 0.0) if self.clearing else instructions

    def _end_leftovers(self, now: e.Instant, stop_timeout: float) -> list[i.Instruction]:
        kill_at = now.boot + stop_timeout
        self.clearing = i.EndLeftovers(kill_at, kill_at + self.policy.kill_timeout)
        self._changed = True
        return [self.clearing]

    def _cleared(self, event: e.LeftoversEnded, now: e.Instant) -> list[i.Instruction]:
        if not self.clearing:
            return []
        self.clearing, self._changed = None, True
        if event.cause:
            self._remark(event.cause)
        return self._advance(now)

    def _remark(self, text: str) -> list[i.Instruction]:
        self.why = f"{self.why}; {text}" if self.why else text
        self._changed = True
        return []

    def _interrupt(self, event: e.ExecutionInterrupted, now: e.Instant) -> list[i.Instruction]:
        if self.finished:
            return []
        self._interrupted = event.cause
        self.begun = self._changed = True
        return self._advance(now)

    def _finish(self, now: e.Instant) -> list[i.Instruction]:
        self.completed_at = now.wall
        self._changed = True
        never = [step.label for step in self.steps.values() if step.state is State.WAITING]
        if never:
            if self._interrupted and not self.stop_requested:
                self.first_failure = self.first_failure or self._interrupted
            said = [self.why] if self.stop_requested else [self.first_failure, self.why]
            self.why = "; ".join(filter(None, [*said, f"never started: {', '.join(never)}"]))
        return [i.Finish()]

    def _record(self, event: e.OutputRecorded) -> None:
        step = self.steps[event.step_id]
        if step.state not in LIVE:
            raise IllegalTransition(step.state.value, type(event).__name__)
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
        later = {step.state for others in self._groups[self._group + 1 :] for step in others}
        failed = State.FAILED in states or (self.finished and self._interrupted is not None)
        expected: Mapping[str, tuple[object, object]] = {
            "live": (self._live, sum(state in LIVE for state in states)),
            "open": (self._open, sum(step.state not in TERMINAL for step in group)),
            "later groups wait": (later - {State.WAITING}, set()),
            "the queue waits": ([s.state for s in self._queue if s.state is not State.WAITING], []),
            "finished has nothing live": (self.finished and self._live > 0, False),
            "places": (self._live <= self.policy.max_parallel, True),
            "failure": (self.first_failure is not None and not failed, False),
            "failed steps": (State.FAILED in states and self.first_failure is None, False),
            "causes": ([s.id for s in self.steps.values() if (s.state is State.FAILED) > bool(s.cause)], []),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise AssertionError(f"{name}: {found} is not {wanted}")
