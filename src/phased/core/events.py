"""What can happen to a step or an execution, as past participles. Data alone.

A process's exit, a deadline and a user's stop are all events; an exit is split by its outcome, since
the transition table is keyed by type.

A class without fields of its own is a plain subclass: compared and frozen as its base is, and soon imported.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: `wall` in microseconds since the epoch, `boot` in seconds."""

    wall: int
    boot: float


@dataclass(frozen=True, slots=True)
class StepEvent:
    """Something happened to the step with this id."""

    step_id: str


class StepDue(StepEvent):
    """Its turn has come: its group runs and there is a free place, or its pause is over."""

    __slots__ = ()


class StepJoined(StepEvent):
    """It has no command: with its dependencies done, so is it."""

    __slots__ = ()


class StepStarted(StepEvent):
    """Its command runs."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StepRefused(StepEvent):
    """Its command could not be started, or never will be; `cause` says why."""

    cause: str


class StepSucceeded(StepEvent):
    """Its leader exited with 0."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StepFailed(StepEvent):
    """Its leader exited with another code, or by a signal; exactly one of them is set."""

    code: int | None = None
    signal: int | None = None


class StepAttemptFailed(StepEvent):
    """As StepFailed, but its task allows another attempt."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StepLost(StepEvent):
    """Nobody can tell any more how it ends; `cause` says why."""

    cause: str


@dataclass(frozen=True, slots=True)
class StepTimedOut(StepEvent):
    """This attempt ran as long as its timeout allows."""

    attempt: int


class StepStopRequested(StepEvent):
    """It is to end."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StepLimitReached(StepEvent):
    """It was asked to end and took too long, or the one who asked will not wait (`impatient`)."""

    attempt: int
    impatient: bool = False


class StepEmptied(StepEvent):
    """Its leader has ended and no process of it is left."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StepStuck(StepEvent):
    """It was killed and processes of it live on; `cause` names them. It is given up on."""

    attempt: int
    cause: str


class StepDetached(StepEvent):
    """Its run goes on for another execution that shares it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OutputRecorded:
    """A step set outputs: an empty value removes its key."""

    step_id: str
    output: dict[str, str]


@dataclass(frozen=True, slots=True)
class ExecutionBegun:
    """The execution is to start its first group."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked for the execution to stop; `by` says who, for people."""

    by: str


@dataclass(frozen=True, slots=True)
class KillRequested:
    """Somebody will not wait for a stop any longer; it is a stop as well, where none was asked for."""

    by: str = "somebody"


@dataclass(frozen=True, slots=True)
class StepRemarked:
    """Something went wrong beside a step, as `output was lost: No space left on device`; its end stands."""

    step_id: str
    remark: str


@dataclass(frozen=True, slots=True)
class LeftoversEnded:
    """What its ended steps had left behind is gone, or was given up on: `cause` names what is left then."""

    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionInterrupted:
    """Nobody will start the rest of it; `cause` says why."""

    cause: str


ExecutionEvent = (
    ExecutionBegun | StopRequested | KillRequested | OutputRecorded | StepRemarked | LeftoversEnded
    | ExecutionInterrupted
)  # fmt: skip
Event = StepEvent | ExecutionEvent
