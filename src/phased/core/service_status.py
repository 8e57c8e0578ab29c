"""The status of a service as records: what its machine hands out, a store keeps and a feed carries.

Times are microseconds since the epoch where nothing else is said; `boot` times are seconds of the boot
clock, and mean nothing after a reboot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from phased.contract.service import ServicePhase
from phased.core.service_phases import PHASE_OF, ServiceState


@dataclass(frozen=True, slots=True)
class ServiceProgress:
    """All that a machine knows beside its policy: a machine can be restored from it alone."""

    state: ServiceState = ServiceState.STOPPED
    desired: ServicePhase = ServicePhase.STOPPED
    """What was asked for last: RUNNING, STOPPED or DELETED."""
    session: str = ""
    """What the status is about; "" if it never started."""
    wanted_session: str = ""
    """The newest that was asked for: differs from `session` while an older one is ending."""
    again: bool = False
    """A start was asked for while it was ending."""
    needs_met: bool = False
    """Who asked for the start has seen to what the service depends on."""
    emptying: str = ""
    """The session whose processes are to end, in CLEARING and EMPTYING."""
    attempt: int = 0
    """Of the start command, within the session."""
    tries: int = 0
    """Of the ready command, within the session."""
    restarts: int = 0
    """In a row."""
    cause: str | None = None
    why: str | None = None
    last_try: str | None = None
    """How the last ready try ended."""
    code: int | None = None
    signal: int | None = None
    killed: bool = False
    """SIGKILL was sent, or (CANCELLING) is to be sent, in the end that is under way."""
    outdated: bool = False
    """It is defined anew, and runs as it was defined before."""
    started_at: int | None = None
    ready_at: int | None = None
    completed_at: int | None = None
    ready_since: float | None = None
    """Boot."""
    due_at: float | None = None
    """Boot: the next ready try, or restart."""
    expires_at: float | None = None
    """Boot: the end of the readiness timeout."""
    limit_at: float | None = None
    """Boot: when its end has taken too long."""
    output: Mapping[str, str] = field(default_factory=dict)

    @property
    def phase(self) -> ServicePhase:
        """What the outside sees."""
        return PHASE_OF[self.state]

    @property
    def command_run(self) -> str:
        """The run of the start command's newest attempt."""
        return command_run(self.session, self.attempt)

    @property
    def ready_run(self) -> str:
        """The run of the newest ready try."""
        return ready_run(self.session, self.tries)

    @property
    def stop_run(self) -> str:
        """The run of the stop command that ends the newest attempt."""
        return stop_run(self.session, self.attempt)


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """A new status of one service, made from `expected_version` (0: it had none)."""

    service_id: str
    expected_version: int
    version: int
    progress: ServiceProgress


def command_run(session: str, attempt: int) -> str:
    """The id of an attempt's run."""
    return f"{session}.{attempt}"


def ready_run(session: str, number: int) -> str:
    """The id of a ready try's run."""
    return f"{uuid5(UUID(session), 'ready')}.{number}"


def stop_run(session: str, attempt: int) -> str:
    """The id of a stop command's run."""
    return f"{uuid5(UUID(session), 'stop')}.{attempt}"
