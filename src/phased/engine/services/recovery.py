"""What became of services' runs while no engine was there, as events for their machines.

Knows records and the runner's port. Must not know how anything is started or saved. Nothing is ever run
twice: a run that may have run is never asked for again. One that provably never was is: its start, or its
stop, was promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service_phases import LEADING
from phased.core.service_phases import ServiceState as S
from phased.core.service_status import ServiceProgress
from phased.engine.services.live import LiveService
from phased.engine.services.performer import Arrival, Kind, ServicePerformer, event_of
from phased.ports import RunExited, RunLost, Runner, RunNotStarted, RunReport

REBOOTED = "the machine rebooted"
_GONE = "ended while the daemon was away and left no exit code"
_UNKNOWN = "the engine was lost while this was being started; it may have run"
_ABSENT = "the engine was lost before this started"


async def take_over(
    lives: Sequence[LiveService], runner: Runner, performer: ServicePerformer, boot_id: str
) -> list[Arrival]:
    """The events that happened meanwhile; runs that still go on are expected to end from now on."""
    arrivals: list[Arrival] = []
    here = [live for live in lives if live.record.boot_id == boot_id]
    expected = {live: _expected(live.progress) for live in here}
    run_ids = [run_id for runs in expected.values() for run_id, _ in runs]
    known = await runner.known(run_ids) if run_ids else {}
    for live in lives:
        if live in expected:
            for run_id, kind in expected[live]:
                arrivals += _meanwhile(live, run_id, kind, known, performer)
        else:
            arrivals += [(live, event) for event in _after_reboot(live.progress)]
    return arrivals


def _expected(p: ServiceProgress) -> list[tuple[str, Kind]]:
    """The runs whose end a machine in this state waits for."""
    runs: list[tuple[str, Kind]] = []
    if p.state in LEADING:
        runs.append((p.command_run, "start"))
    if p.state is S.PROBING:
        runs.append((p.ready_run, "ready"))
    if p.state in {S.HALTING, S.FINISHING}:
        runs.append((p.stop_run, "stop"))
    return runs


def _meanwhile(
    live: LiveService,
    run_id: str,
    kind: Kind,
    known: Mapping[str, RunReport | str],
    performer: ServicePerformer,
) -> list[Arrival]:
    fate = known.get(run_id, "absent")
    was_starting = kind == "start" and live.progress.state in {S.STARTING, S.CANCELLING}
    started: list[Arrival] = [(live, e.CommandStarted(run_id))] if was_starting else []
    if fate == "absent" and (again := _promised(live, run_id, kind)) is not None:
        return performer.prepare(live, again)
    if fate == "running":
        performer.adopt(live, run_id, kind)
        return started
    if isinstance(fate, RunNotStarted):
        started = []
    report = fate if isinstance(fate, RunExited | RunNotStarted | RunLost) else _lost(run_id, str(fate))
    if fate in {"absent", "unknown"}:
        started = []
    performer.note_end(run_id)
    event = event_of(report, kind)
    return [*started, *([(live, event)] if event is not None else [])]


def _promised(live: LiveService, run_id: str, kind: Kind) -> i.RunInstruction | None:
    """What is to be done now in place of the engine that was lost before it did it."""
    if kind == "start" and live.progress.state is S.STARTING:
        return i.StartCommand(run_id)
    return i.StartStop(run_id) if kind == "stop" else None


def _lost(run_id: str, fate: str) -> RunLost:
    reasons = {"absent": _ABSENT, "unknown": _UNKNOWN}
    return RunLost(run_id, reasons.get(fate, _GONE), 0)


def _after_reboot(p: ServiceProgress) -> list[e.ServiceEvent]:
    """Nothing that ran lives, and the deadlines of another boot mean nothing."""
    events: list[e.ServiceEvent] = []
    if p.state in LEADING:
        events.append(e.CommandLost(p.command_run, REBOOTED))
    if p.state in {S.HALTING, S.FINISHING}:
        events.append(e.StopCommandRefused(p.stop_run, REBOOTED))
    if p.state is S.BACKING_OFF and p.due_at is not None:
        events.append(e.RestartDue(p.due_at))
    if p.state in {S.CLEARING, S.EMPTYING}:
        events.append(e.Emptied(p.emptying))
    return events
