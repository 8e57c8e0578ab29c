"""What follows from a service's progress alone: what comes late, what is waited for, what must hold.

Knows the record and the events. Must not change anything.
"""

from __future__ import annotations

from typing import assert_never

from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service_phases import ENDING, LEADING, RESTING, UP
from phased.core.service_phases import ServiceState as S
from phased.core.service_status import ServiceProgress


def is_late(p: ServiceProgress, event: e.ServiceEvent) -> bool:  # noqa: PLR0911 - one answer an event
    """Whether an event is about what has long changed: an earlier run, a deadline that does not count."""
    match event:
        case e.CommandEvent():
            return p.state not in LEADING or event.run_id != p.command_run
        case e.ReadyEvent():
            return p.state is not S.PROBING or event.run_id != p.ready_run
        case e.StopCommandEvent():
            return p.state not in {S.HALTING, S.FINISHING} or event.run_id != p.stop_run
        case e.NeedsMet() | e.NeedFailed():
            return p.state is not S.NEEDING or event.session != p.session
        case e.Emptied():
            return p.state not in {S.CLEARING, S.EMPTYING} or event.session != p.emptying
        case e.ReadyDue():
            return p.state is not S.PAUSING or event.at != p.due_at
        case e.RestartDue():
            return p.state is not S.BACKING_OFF or event.at != p.due_at
        case e.ReadinessTimedOut():
            return p.state not in {S.PROBING, S.PAUSING} or event.at != p.expires_at
        case e.LimitReached():
            return event.at != p.limit_at
        case _:
            return p.state is S.DELETED


def outstanding(p: ServiceProgress) -> list[i.ServiceInstruction]:  # noqa: PLR0911 - one answer a state
    """What is waited for in this state: performed anew, it makes a restored machine go on."""
    limit = [i.RemindOfLimit(p.limit_at)] if p.limit_at is not None else []
    readiness = [i.RemindOfReadiness(p.expires_at)] if p.expires_at is not None else []
    push = i.KillSession if p.killed else i.AskToEnd
    match p.state:
        case S.NEEDING:
            return [i.AskForNeeds(p.session)]
        case S.CLEARING | S.EMPTYING:
            return [push(p.emptying), i.AwaitEmpty(p.emptying), *limit]
        case S.STOPPING | S.KILLING:
            return [push(p.session), *limit]
        case S.CANCELLING | S.HALTING | S.FINISHING:
            return [*limit]
        case S.PROBING:
            return [*readiness]
        case S.PAUSING:
            return [i.RemindOfReady(p.due_at or 0.0), *readiness]
        case S.BACKING_OFF:
            return [i.RemindOfRestart(p.due_at or 0.0)]
        case S.DELETED:
            return [i.Remove()]
        case S.STOPPED | S.FAILED | S.STARTING | S.RUNNING:
            return []
    assert_never(p.state)


def check(p: ServiceProgress) -> None:
    """Raise AssertionError where the parts of a record contradict each other."""
    deadlines = (p.due_at, p.expires_at, p.limit_at)
    expected = {
        "what leads has an attempt": p.state not in LEADING or p.attempt > 0,
        "rest has no deadline": p.state not in RESTING or deadlines == (None, None, None),
        "a failure has a cause": p.state is not S.FAILED or bool(p.cause),
        "a good end has none": p.state is not S.STOPPED or p.cause is None,
        "what empties is named": p.state not in {S.CLEARING, S.EMPTYING} or bool(p.emptying),
        "a pause has an end": p.state not in {S.PAUSING, S.BACKING_OFF} or p.due_at is not None,
        "an end has a limit": p.state not in ENDING or p.limit_at is not None,
        "up only where that is wanted": p.state not in UP or str(p.desired).endswith("RUNNING"),
        "again only while ending": not p.again or p.state in ENDING,
    }
    for name, holds in expected.items():
        if not holds:
            raise AssertionError(f"{name}: {p}")
