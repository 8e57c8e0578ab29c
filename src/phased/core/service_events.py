"""What can happen to a service, as past participles; data alone.

The first part comes from outside: people, runs, clocks. The second is made by the machine itself, where
one event may lead to several states: the transition table is keyed by type, so a decision has a type too.
Times named `at` are seconds of the boot clock.

A class without fields of its own is a plain subclass: compared and frozen as its base is, and soon imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phased.core.service_policy import ServicePolicy


@dataclass(frozen=True, slots=True)
class StartRequested:
    """Somebody asked for the service; `session` is new and never used again, if a start comes of it.

    `needs_met`: who asks has already run and readied what the service depends on.
    """

    session: str
    by: str
    needs_met: bool = False


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody asked for the service to stop; `by` says who, for people."""

    by: str


@dataclass(frozen=True, slots=True)
class KillRequested:
    """Somebody asked for a stop and will not wait for it."""

    by: str


@dataclass(frozen=True, slots=True)
class DeleteRequested:
    """The service is to be no more: after a stop, or (`force`) at once."""

    by: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class DefinitionChanged:
    """It is defined anew, effective from the next start; `differs`: not what runs now."""

    policy: ServicePolicy
    differs: bool


@dataclass(frozen=True, slots=True)
class OutputRecorded:
    """It set outputs: an empty value removes its key."""

    output: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NeedsMet:
    """What the service depends on has run, and is ready."""

    session: str


@dataclass(frozen=True, slots=True)
class NeedFailed:
    """Something that the service depends on failed or was stopped; `cause` names it."""

    session: str
    cause: str


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something happened to the run with this id."""

    run_id: str


class CommandEvent(RunEvent):
    """Of the start command."""

    __slots__ = ()


class CommandStarted(CommandEvent):
    """The start command runs."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CommandRefused(CommandEvent):
    """The start command could not be started; `cause` says why."""

    cause: str


class CommandSucceeded(CommandEvent):
    """The start command's leader exited with 0."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CommandFailed(CommandEvent):
    """The start command's leader exited with another code, or by a signal; exactly one is set."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class CommandLost(CommandEvent):
    """Nobody can tell any more how the start command ends; `cause` says why."""

    cause: str


class ReadyEvent(RunEvent):
    """Of one try of the ready command."""

    __slots__ = ()


class ReadySucceeded(ReadyEvent):
    """The try exited with 0."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ReadyFailed(ReadyEvent):
    """The try exited with another code, or by a signal; exactly one is set."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class ReadyRefused(ReadyEvent):
    """The try could not be started, or nobody can tell how it ended; `cause` says why."""

    cause: str


class StopCommandEvent(RunEvent):
    """Of the stop command."""

    __slots__ = ()


class StopCommandSucceeded(StopCommandEvent):
    """The stop command exited with 0."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StopCommandFailed(StopCommandEvent):
    """The stop command exited with another code, or by a signal; exactly one is set."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class StopCommandRefused(StopCommandEvent):
    """The stop command could not be started, or nobody can tell how it ended; `cause` says why."""

    cause: str


@dataclass(frozen=True, slots=True)
class Emptied:
    """No process of any run of this session is left."""

    session: str


@dataclass(frozen=True, slots=True)
class ReadyDue:
    """The pause between two tries of the ready command is over."""

    at: float


@dataclass(frozen=True, slots=True)
class RestartDue:
    """The pause before a restart is over."""

    at: float


@dataclass(frozen=True, slots=True)
class ReadinessTimedOut:
    """It was not ready as long as its readiness timeout allows."""

    at: float


@dataclass(frozen=True, slots=True)
class LimitReached:
    """Its end takes longer than it may.

    `left`: what SIGKILL did not end, as a phrase; None where nobody has looked.
    """

    at: float
    left: str | None = None


Reminder = ReadyDue | RestartDue | ReadinessTimedOut | LimitReached
Request = StartRequested | StopRequested | KillRequested | DeleteRequested
RunReported = (
    CommandStarted
    | CommandRefused
    | CommandSucceeded
    | CommandFailed
    | CommandLost
    | ReadySucceeded
    | ReadyFailed
    | ReadyRefused
    | StopCommandSucceeded
    | StopCommandFailed
    | StopCommandRefused
)
ServiceEvent = (
    Request | DefinitionChanged | OutputRecorded | NeedsMet | NeedFailed | RunReported | Emptied | Reminder
)
"""What a machine's `handle` takes."""


# ---- decisions: made by the machine, from one of the above and its policy -----------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """Which way the machine goes."""


class NeedsAsked(Decision):
    """What it depends on comes first."""

    __slots__ = ()


class ClearingBegun(Decision):
    """What earlier runs left behind ends first."""

    __slots__ = ()


class CommandDue(Decision):
    """The start command is to be started."""

    __slots__ = ()


class TryDue(Decision):
    """The start command runs; the ready command is to be tried."""

    __slots__ = ()


class BecameReady(Decision):
    """It is ready."""

    __slots__ = ()


class RestartGranted(Decision):
    """An attempt failed or ended, and its policy allows another."""

    __slots__ = ()


class CancelBegun(Decision):
    """It is to end, but it is not known yet whether it runs."""

    __slots__ = ()


class HaltBegun(Decision):
    """Its end begins with the stop command."""

    __slots__ = ()


class EndBegun(Decision):
    """Its end begins with SIGTERM."""

    __slots__ = ()


class KillBegun(Decision):
    """Its end, or the rest of it, is SIGKILL."""

    __slots__ = ()


class EmptyingBegun(Decision):
    """Its leader has ended, or there is none; what else is left of it ends."""

    __slots__ = ()


class LeaderEnded(Decision):
    """Its leader has ended while the stop command still runs."""

    __slots__ = ()


class Stopped(Decision):
    """All is over, and nothing failed."""

    __slots__ = ()


class Failed(Decision):
    """All is over, and something failed."""

    __slots__ = ()


class Deleted(Decision):
    """It is no more."""

    __slots__ = ()
