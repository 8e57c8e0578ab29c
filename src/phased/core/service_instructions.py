"""What a service's machine wants done, as imperatives. Data alone; the engine carries them out.

A session is the sum of the runs of one start: its start command (each attempt), ready tries, stop command.
Times named `at` are seconds of the boot clock; each reminder reports the event of its name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartCommand:
    """Run the start command."""

    run_id: str


@dataclass(frozen=True, slots=True)
class StartReady:
    """Run the ready command once."""

    run_id: str


@dataclass(frozen=True, slots=True)
class StartStop:
    """Run the stop command."""

    run_id: str


@dataclass(frozen=True, slots=True)
class AskForNeeds:
    """Run and ready what the service depends on; report NeedsMet or NeedFailed for this session."""

    session: str


@dataclass(frozen=True, slots=True)
class ReleaseNeeds:
    """This session does not wait for what it depends on any more; what was started for it alone may stop."""

    session: str


@dataclass(frozen=True, slots=True)
class AskToEnd:
    """SIGTERM to every process of this session."""

    session: str


@dataclass(frozen=True, slots=True)
class KillSession:
    """SIGKILL to every process of this session, again and again while AwaitEmpty waits."""

    session: str


@dataclass(frozen=True, slots=True)
class KillRun:
    """SIGKILL to every process of this run, until none is left; nothing is reported."""

    run_id: str


@dataclass(frozen=True, slots=True)
class EndLeftovers:
    """SIGTERM to every process of this session, SIGKILL after `patience` seconds; nothing is reported."""

    session: str
    patience: float


@dataclass(frozen=True, slots=True)
class AwaitEmpty:
    """Report Emptied once no process of this session is left, and none can come."""

    session: str


@dataclass(frozen=True, slots=True)
class RemindOfReady:
    """Report ReadyDue."""

    at: float


@dataclass(frozen=True, slots=True)
class RemindOfRestart:
    """Report RestartDue."""

    at: float


@dataclass(frozen=True, slots=True)
class RemindOfReadiness:
    """Report ReadinessTimedOut."""

    at: float


@dataclass(frozen=True, slots=True)
class RemindOfLimit:
    """Report LimitReached."""

    at: float


@dataclass(frozen=True, slots=True)
class Remove:
    """The service is deleted: forget it."""


RunInstruction = StartCommand | StartReady | StartStop
ReminderInstruction = RemindOfReady | RemindOfRestart | RemindOfReadiness | RemindOfLimit
ServiceInstruction = (
    RunInstruction
    | ReminderInstruction
    | AskForNeeds
    | ReleaseNeeds
    | AskToEnd
    | KillSession
    | KillRun
    | EndLeftovers
    | AwaitEmpty
    | Remove
)
