"""Builders for service machines, and ways that bring one into every state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid5

from phased.contract.service import ServicePhase as Phase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service import ServiceMachine
from phased.core.service_phases import ServiceState as S
from phased.core.service_policy import ServicePolicy
from tests.core.build import at

SERVICE = "2c1f4e63-50d4-4a5e-8df4-3a3e6a3f0b52"
PLAIN = ServicePolicy()
PROBED = ServicePolicy(has_ready=True, readiness_timeout=30.0)
HALTED = ServicePolicy(has_stop=True)
NEEDY = ServicePolicy(has_needs=True)
RESTARTED = ServicePolicy(restart="always", restart_limit=2)
FULL = ServicePolicy(
    has_ready=True, has_stop=True, has_needs=True, readiness_timeout=30.0, restart="on-failure"
)


def session(number: int) -> str:
    """The id of the n-th session."""
    return str(uuid5(UUID(SERVICE), f"session {number}"))


def service(policy: ServicePolicy = PLAIN) -> ServiceMachine:
    """A machine that was never started."""
    return ServiceMachine(SERVICE, policy)


def start(number: int = 1, *, needs_met: bool = False) -> e.StartRequested:
    """Somebody asks for the n-th session."""
    return e.StartRequested(session(number), "somebody", needs_met)


def phase_of(m: ServiceMachine) -> Phase:
    """What the outside sees now."""
    return m.phase


STOP = e.StopRequested("somebody")
KILL = e.KillRequested("somebody")
DELETE = e.DeleteRequested("somebody")
FORCE = e.DeleteRequested("somebody", force=True)


def occurrence(kind: str, m: ServiceMachine) -> e.ServiceEvent:
    """The event of this name as it would come now: of the runs and deadlines that count."""
    p = m.progress
    known = p.session or session(0)
    p = replace(p, session=known)
    made: dict[str, e.ServiceEvent] = {
        "start": start(p.attempt + 100),
        "stop": STOP,
        "kill": KILL,
        "delete": DELETE,
        "force": FORCE,
        "define": e.DefinitionChanged(replace(m.newest, backoff=m.newest.backoff + 1), differs=True),
        "output": e.OutputRecorded({"PORT": "80"}),
        "met": e.NeedsMet(known),
        "unmet": e.NeedFailed(known, "task seed failed: exit code 1"),
        "started": e.CommandStarted(p.command_run),
        "refused": e.CommandRefused(p.command_run, "no such directory: /x"),
        "exit 0": e.CommandSucceeded(p.command_run),
        "exit 1": e.CommandFailed(p.command_run, code=1),
        "lost": e.CommandLost(p.command_run, "the engine was lost"),
        "ready": e.ReadySucceeded(p.ready_run),
        "unready": e.ReadyFailed(p.ready_run, code=1),
        "ready refused": e.ReadyRefused(p.ready_run, "could not start: no such directory: /x"),
        "halted": e.StopCommandSucceeded(p.stop_run),
        "halt failed": e.StopCommandFailed(p.stop_run, code=3),
        "halt refused": e.StopCommandRefused(p.stop_run, "could not start: no such directory: /x"),
        "empty": e.Emptied(p.emptying),
        "ready due": e.ReadyDue(p.due_at or 0.0),
        "restart due": e.RestartDue(p.due_at or 0.0),
        "expired": e.ReadinessTimedOut(p.expires_at or 0.0),
        "limit": e.LimitReached(p.limit_at or 0.0),
    }
    return made[kind]


KINDS = (
    "start", "stop", "kill", "delete", "force", "define", "output", "met", "unmet", "started", "refused",
    "exit 0", "exit 1", "lost", "ready", "unready", "ready refused", "halted", "halt failed", "halt refused",
    "empty", "ready due", "restart due", "expired", "limit",
)  # fmt: skip
"""Every kind of event, as tables and properties spell it."""


def drive(m: ServiceMachine, *kinds: str, begin: float = 0.0) -> list[i.ServiceInstruction]:
    """Let these happen, a second apart; the instructions of the last."""
    done: list[i.ServiceInstruction] = []
    for position, kind in enumerate(kinds):
        done = m.handle(occurrence(kind, m), at(begin + position))
        m.check()
    return done


WAYS: dict[S, tuple[ServicePolicy, Sequence[str]]] = {
    S.STOPPED: (PLAIN, ("start", "started", "exit 0")),
    S.FAILED: (PLAIN, ("start", "started", "exit 1")),
    S.DELETED: (PLAIN, ("force",)),
    S.NEEDING: (NEEDY, ("start",)),
    S.CLEARING: (PLAIN, ("start", "started", "exit 1", "start")),
    S.STARTING: (PLAIN, ("start",)),
    S.PROBING: (PROBED, ("start", "started")),
    S.PAUSING: (PROBED, ("start", "started", "unready")),
    S.RUNNING: (PLAIN, ("start", "started")),
    S.BACKING_OFF: (RESTARTED, ("start", "started", "exit 1")),
    S.CANCELLING: (PLAIN, ("start", "stop")),
    S.HALTING: (HALTED, ("start", "started", "stop")),
    S.FINISHING: (HALTED, ("start", "started", "stop", "exit 1")),
    S.STOPPING: (PLAIN, ("start", "started", "stop")),
    S.KILLING: (PLAIN, ("start", "started", "kill")),
    S.EMPTYING: (PLAIN, ("start", "started", "stop", "exit 1")),
}
"""How to bring a machine into a state: its policy, and what happens."""


def brought_to(state: S) -> ServiceMachine:
    """A machine in this state."""
    policy, kinds = WAYS[state]
    m = service(policy)
    drive(m, *kinds)
    assert m.progress.state is state
    return m
