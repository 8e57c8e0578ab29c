"""What a machine wants done, as imperatives. Data alone; the engine's performer carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartStep:
    """Start an attempt of this step."""

    step_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class AskToEnd:
    """SIGTERM to every process of this step; `detach`: only if no other execution shares its run."""

    step_id: str
    detach: bool


@dataclass(frozen=True, slots=True)
class KillStep:
    """SIGKILL to every process of this step."""

    step_id: str


@dataclass(frozen=True, slots=True)
class AwaitEmpty:
    """Report StepEmptied once no process of this step is left."""

    step_id: str


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


Instruction = (
    StartStep | AskToEnd | KillStep | AwaitEmpty | RemindOfTimeout | RemindOfLimit | RemindOfRetry | Finish
)
