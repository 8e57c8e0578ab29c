"""The status of an execution as records: what a machine hands out, a store keeps and a feed carries.

Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from phased.contract.execution import TaskExecutionPhase


@dataclass(frozen=True, slots=True)
class StepStatus:
    """What happened to one step so far. A step that never started has no StepStatus."""

    id: str
    phase: TaskExecutionPhase
    failure_message: str | None = None
    run_id: str | None = None
    """The newest attempt; new for each, never used again (rule 1 of the supervisor)."""
    attempt: int = 1
    started_at: int | None = None
    completed_at: int | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    output: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    """The value of the inner state (`core.phases.State`), finer than the phase, for a restored machine."""
    due_at: float | None = None
    """When this state's reminder is due, in seconds of the boot clock; of that boot alone."""

    @property
    def has_begun(self) -> bool:
        """Whether a command of it was started, so that it has a log; a service or a join has none here."""
        return self.started_at is not None and bool(self.run_id)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A new status of one execution: the whole of its own fields, and only the steps that changed.

    It was made from `expected_version` (0 for the status an execution is created with).
    """

    execution_id: str
    expected_version: int
    version: int
    phase: TaskExecutionPhase
    failure_message: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    stop_requested: bool = False
    why: str | None = None
    """Who stopped it and when, why a step never started, what went wrong beside one: never in the message."""
    steps: Sequence[StepStatus] = ()
    clearing: tuple[float, float] | None = None
    """While what ended steps left behind is being ended: when that is by SIGKILL, and when it is given up.

    In seconds of the boot clock; of that boot alone. Also of an execution that has ended."""
