"""What can happen to a service, as past participles; data alone.

The first part comes from outside: people, runs, clocks. The second is made by the machine itself, where
one event may lead to several states: the transition table is keyed by type, so a decision has a type too.
Times named `at` are seconds of the boot clock.
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


@dataclass(frozen=True, slots=True)
class CommandEvent(RunEvent):
    """Of the start command."""


@dataclass(frozen=True, slots=True)
class CommandStarted(CommandEvent):
    """The start command runs."""


@dataclass(frozen=True, slots=True)
class CommandRefused(CommandEvent):
    """The start command could not be started; `cause` says why."""

    cause: str


@dataclass(frozen=True, slots=True)
class CommandSucceeded(CommandEvent):
    """The start command's leader exited with 0."""


@dataclass(frozen=True, slots=True)
class CommandFailed(CommandEvent):
    """The start command's leader exited with another code, or by a signal; exactly one is set."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class CommandLost(CommandEvent):
    """Nobody can tell any more how the start command ends; `cause` says why."""

    cause: str


@dataclass(frozen=True, slots=True)
class ReadyEvent(RunEvent):
    """Of one try of the ready command."""


@dataclass(frozen=True, slots=True)
class ReadySucceeded(ReadyEvent):
    """The try exited with 0."""


@dataclass(frozen=True, slots=True)
class ReadyFailed(ReadyEvent):
    """The try exited with another code, or by a signal; exactly one is set."""

    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class ReadyRefused(ReadyEvent):
    """The try could not be started, or nobody can tell how it ended; `cause` says why."""

    cause: str


@dataclass(frozen=True, slots=True)
class StopCommandEvent(RunEvent):
    """Of the stop command."""


@dataclass(frozen=True, slots=True)
class StopCommandSucceeded(StopCommandEvent):
    """The stop command exited with 0."""


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
    """Its end takes longer than it may."""

    at: float


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


@dataclass(frozen=True, slots=True)
class NeedsAsked(Decision):
    """What it depends on comes first."""


@dataclass(frozen=True, slots=True)
class ClearingBegun(Decision):
    """What earlier runs left behind ends first."""


@dataclass(frozen=True, slots=True)
class CommandDue(Decision):
    """The start command is to be started."""


@dataclass(frozen=True, slots=True)
class TryDue(Decision):
    """The start command runs; the ready command is to be tried."""


@dataclass(frozen=True, slots=True)
class BecameReady(Decision):
    """It is ready."""


@dataclass(frozen=True, slots=True)
class RestartGranted(Decision):
    """An attempt failed or ended, and its policy allows another."""


@dataclass(frozen=True, slots=True)
class CancelBegun(Decision):
    """It is to end, but it is not known yet whether it runs."""


@dataclass(frozen=True, slots=True)
class HaltBegun(Decision):
    """Its end begins with the stop command."""


@dataclass(frozen=True, slots=True)
class EndBegun(Decision):
    """Its end begins with SIGTERM."""


@dataclass(frozen=True, slots=True)
class KillBegun(Decision):
    """Its end, or the rest of it, is SIGKILL."""


@dataclass(frozen=True, slots=True)
class EmptyingBegun(Decision):
    """Its leader has ended, or there is none; what else is left of it ends."""


@dataclass(frozen=True, slots=True)
class LeaderEnded(Decision):
    """Its leader has ended while the stop command still runs."""


@dataclass(frozen=True, slots=True)
class Stopped(Decision):
    """All is over, and nothing failed."""


@dataclass(frozen=True, slots=True)
class Failed(Decision):
    """All is over, and something failed."""


@dataclass(frozen=True, slots=True)
class Deleted(Decision):
    """It is no more."""
