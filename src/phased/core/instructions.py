"""What a machine wants done, as imperatives. Data alone; the engine's performer carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartStep:
    """Start an attempt of this step."""

    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class DetachStep:
    """Report StepDetached at once if another execution shares, or will need, this step's run."""

    step_id: str


@dataclass(frozen=True, slots=True)
class AskToEnd:
    """SIGTERM to every process of this step, if it was not detached.

    `expired`: its time is up, and so it is for all who share its run: report StepTimedOut to them.
    """

    step_id: str
    expired: bool = False


@dataclass(frozen=True, slots=True)
class KillStep:
    """SIGKILL to every process of this step, again and again until none is left.

    Report StepStuck where some still live at this boot clock time (seconds).
    """

    step_id: str
    attempt: int
    until: float


@dataclass(frozen=True, slots=True)
class AwaitEmpty:
    """Report StepEmptied once no process of this step is left."""

    step_id: str


@dataclass(frozen=True, slots=True)
class EndLeftovers:
    """End what commands that have ended left behind; report LeftoversEnded.

    SIGTERM at first, SIGKILL from `kill_at`, given up `until`: boot clock times (seconds).
    """

    kill_at: float
    until: float


@dataclass(frozen=True, slots=True)
class RemindOfTimeout:
    """Report StepTimedOut at this boot clock time (seconds), if the attempt still runs then."""

    step_id: str
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class RemindOfLimit:
    """Report StepLimitReached at this boot clock time (seconds)."""

    step_id: str
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class RemindOfRetry:
    """Report StepDue at this boot clock time (seconds)."""

    step_id: str
    at: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The execution has reached its last phase."""


Reminder = RemindOfTimeout | RemindOfLimit | RemindOfRetry
Instruction = StartStep | DetachStep | AskToEnd | KillStep | AwaitEmpty | EndLeftovers | Reminder | Finish
