"""One step: what has happened to it, and what each new event asks for.

Knows its policy, and the table of states. Must not know other steps, groups, runs or clocks. How it is
written down and read back (`status`, `take`) stands here too, since a restored step goes on as the original.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from phased.contract.execution import PlanStep
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import causes
from phased.core import events as e
from phased.core import instructions as i
from phased.core.phases import PHASE_OF, TERMINAL, State, next_state
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.core.status import StepStatus

_DEFAULT = StepPolicy()
_STATE_OF = {
    Phase.UNSPECIFIED: State.WAITING,
    Phase.PENDING: State.STARTING,
    Phase.RUNNING: State.RUNNING,
    Phase.SUCCEEDED: State.SUCCEEDED,
    Phase.FAILED: State.FAILED,
    Phase.STOPPED: State.STOPPED,
}
"""For a status that was stored without its state."""


@dataclass(slots=True)
class StepProgress:
    """What has happened to one step; `cause` is its failure message, as soon as there is one."""

    id: str
    label: str
    joins: bool
    """It has no command and no service: it only joins what it depends on."""
    limits: ExecutionPolicy
    state: State = State.WAITING
    attempt: int = 0
    run_id: str | None = None
    cause: str | None = None
    code: int | None = None
    signal: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    output: dict[str, str] = field(default_factory=dict)
    due_at: float | None = None
    """When this state's reminder is due, or killing began: seconds of the boot clock."""

    @classmethod
    def of(cls, step: PlanStep, limits: ExecutionPolicy) -> StepProgress:
        """A step that has not started."""
        spec = step.task.spec if step.task else None
        command = spec.command if spec else None
        return cls(step.id or "", step.label or "", not step.service_id and not command, limits)

    @property
    def policy(self) -> StepPolicy:
        """What its task says of its attempts."""
        return self.limits.steps.get(self.id, _DEFAULT)

    # ---- written down and read back --------------------------------------------------------------

    def status(self) -> StepStatus:
        """A frozen copy of it. A further attempt does not lead back from RUNNING to PENDING."""
        phase = PHASE_OF[self.state]
        if phase is Phase.PENDING and self.started_at is not None:
            phase = Phase.RUNNING
        return StepStatus(
            self.id, phase, self.cause, self.run_id, max(self.attempt, 1), self.started_at, self.completed_at,
            self.code, self.signal, dict(self.output), self.state.value, self.due_at,
        )  # fmt: skip

    def take(self, status: StepStatus) -> None:
        """Become what `status` says."""
        self.state = State(status.state) if status.state else _STATE_OF[status.phase]
        self.attempt = status.attempt
        self.run_id = status.run_id
        self.cause = status.failure_message
        self.code, self.signal = status.exit_code, status.exit_signal
        self.started_at, self.completed_at = status.started_at, status.completed_at
        self.output = dict(status.output)
        self.due_at = status.due_at

    # ---- events ----------------------------------------------------------------------------------

    def is_late(self, event: e.StepEvent, now: e.Instant) -> bool:
        """A reminder, or the end of a wait, for what has long ended is no error: it was set before that.

        Nor is one that comes before the time that has been set since.
        """
        over = self.state in TERMINAL or self.state is State.RETRYING
        match event:
            case e.StepDue():
                return self.state is not State.RETRYING
            case e.StepTimedOut():
                return event.attempt != self.attempt or self.state is not State.RUNNING
            case e.StepLimitReached():
                early = self.state in {State.STARTING, State.RUNNING} or now.boot < (self.due_at or 0.0)
                return event.attempt != self.attempt or over or early
            case e.StepStuck():
                return event.attempt != self.attempt or over
            case e.StepEmptied():
                return over
            case _:
                return False

    def judge(self, event: e.StepEvent) -> e.StepEvent:
        """The same event, or StepAttemptFailed where it ends an attempt after which another is allowed."""
        match event:
            case e.StepFailed() if self.state is State.RUNNING:
                again = self.policy.retry(self.attempt, event.code)
            case e.StepEmptied() if self.state is State.CLEARING:
                again = self.policy.retry(self.attempt, None)
            case _:
                again = False
        return e.StepAttemptFailed(self.id) if again else event

    def move(self, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:
        """Advance first, then say what follows.

        Raises IllegalTransition for an event that the state has no entry for; then nothing has changed.
        """
        before = self.state
        self.state = next_state(before, event)
        self._note(event, now)
        if self.state is before and not isinstance(event, e.StepLimitReached):
            return []
        return self._follow(event, now)

    def again(self, now: e.Instant) -> list[i.Instruction]:  # noqa: PLR0911 - one a state
        """What the state asks for, apart from what is to be done only on the way into it."""
        due = now.boot if self.due_at is None else self.due_at
        limit = i.RemindOfLimit(self.id, self.attempt, due)
        match self.state:
            case State.RUNNING:
                timeout = self.due_at is not None
                return [i.RemindOfTimeout(self.id, self.attempt, due)] if timeout else []
            case State.STOPPING:
                return [i.AskToEnd(self.id), limit]
            case State.EXPIRING:
                return [i.AskToEnd(self.id, expired=True), limit]
            case State.CANCELLING:
                return [limit]
            case State.ABORTING | State.KILLING:
                return [self._kill(now)]
            case State.EMPTYING | State.CLEARING:
                return [i.AwaitEmpty(self.id), limit]
            case State.RETRYING:
                return [i.RemindOfRetry(self.id, due)]
            case _:
                return []

    def _note(self, event: e.StepEvent, now: e.Instant) -> None:
        match event:
            case e.StepStarted() | e.StepJoined():
                self.started_at = self.started_at or now.wall
            case e.StepSucceeded():
                self.code, self.signal = 0, None
            case e.StepFailed():
                self.code, self.signal = event.code, event.signal
                if self.state is State.FAILED:
                    self.cause = causes.exit_cause(event.code, event.signal)
            case e.StepRefused() | e.StepLost() if self.state is State.FAILED:
                self.cause = self.cause or event.cause
            case e.StepStuck():
                self.cause = f"{self.cause}, and {event.cause}" if self.cause else event.cause
            case e.StepTimedOut():
                self.cause = causes.timed_out(self.policy.timeout or 0)
            case e.StepAttemptFailed() | e.StepDetached():
                self.cause = None
            case e.StepLimitReached() if self.state is State.KILLING:
                self.cause = self.cause or causes.was_killed(
                    self.limits.stop_timeout, impatient=event.impatient
                )
            case _:
                pass
        if self.state is State.KILLING and self.cause is None:
            self.cause = causes.was_killed(self.limits.stop_timeout, impatient=True)
        if self.state in TERMINAL:
            self.completed_at, self.due_at = now.wall, None

    def _follow(self, event: e.StepEvent, now: e.Instant) -> list[i.Instruction]:  # noqa: PLR0911 - one a state
        match self.state:
            case State.STARTING:
                return self._begin_attempt()
            case State.CANCELLING:
                self.due_at = now.boot + self.limits.stop_timeout
                return [i.DetachStep(self.id), *self.again(now)]
            case State.RUNNING:
                timeout = self.policy.timeout
                self.due_at = now.boot + timeout if timeout else None
                return self.again(now)
            case State.STOPPING:
                self.due_at = now.boot + self.limits.stop_timeout
                return [i.DetachStep(self.id), *self.again(now)]
            case State.EXPIRING:
                self.due_at = now.boot + self.limits.stop_timeout
                return self.again(now)
            case State.ABORTING | State.KILLING:
                self.due_at = now.boot
                return self.again(now)
            case State.EMPTYING | State.CLEARING:
                # The limit that was set before still holds; once it was reached, killing goes on.
                killing = isinstance(event, e.StepLimitReached)
                return [self._kill(now) if killing else i.AwaitEmpty(self.id)]
            case State.RETRYING:
                self.due_at = now.boot + self.policy.pause(self.attempt)
                return self.again(now)
            case State.WAITING | State.SUCCEEDED | State.FAILED | State.STOPPED:
                return []
        assert_never(self.state)

    def _begin_attempt(self) -> list[i.Instruction]:
        self.attempt += 1
        self.run_id = f"{self.id}.{self.attempt}"
        self.code = self.signal = self.due_at = None
        self.output.clear()
        return [i.StartStep(self.id, self.attempt)]

    def _kill(self, now: e.Instant) -> i.KillStep:
        return i.KillStep(self.id, self.attempt, now.boot + self.limits.kill_timeout)
