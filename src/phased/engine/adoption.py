"""Takes over what an earlier engine left: executions go on as if it had never gone away.

Each machine is restored from what is stored, the runs that steps share are put together again by their ids,
and what became of those meanwhile comes as reports, through the same door as any. Nothing that may have run
is started again. Must not know SQLite, processes or files. What ran before a reboot ends, with that cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phased.core import events as e
from phased.core.phases import LIVE, TERMINAL, State
from phased.core.service_phases import ServiceState
from phased.core.step import StepProgress
from phased.engine.driver import Driver
from phased.engine.performer import Performer
from phased.engine.recovery import ENDED_AWAY, LOST, end_all, is_of_another_boot, restored_machine
from phased.engine.registry import Firing, LiveExecution, Registry, SharedRun, attempts_of
from phased.observability import logger
from phased.ports import (
    Clock,
    RunExited,
    RunLost,
    Runner,
    RunNotStarted,
    RunReport,
    RunStarted,
    ServiceRecord,
    Store,
    StoredExecution,
)

Fate = RunReport | str
"""What the runner knows of a run: its last report, or one of the words of `Runner.known`."""

_MAY_HAVE_RUN = f"{LOST} while this was being started; it may have run"
_UNSTARTED = {State.STARTING, State.CANCELLING, State.ABORTING}
_MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    """Of the engine that takes over."""

    store: Store
    runner: Runner
    clock: Clock
    registry: Registry
    performer: Performer
    driver: Driver


class Adoption:
    """One taking over: `load`, then services are restored, then `go_on`."""

    def __init__(self, parts: Parts) -> None:
        """Nothing is read yet."""
        self._parts = parts
        self._log = logger("phased.engine")
        self._firings: dict[str, Firing] = {}
        self._lives: list[LiveExecution] = []
        self._clearing: list[LiveExecution] = []
        self._owners: dict[str, LiveExecution] = {}
        self._runs: dict[str, SharedRun] = {}
        self.known: dict[tuple[str, str], LiveExecution] = {}
        """By firing and reference: every execution that was read, also those that have ended."""

    async def load(self, services: Sequence[ServiceRecord], timeouts: tuple[float, float]) -> None:
        """Read what is unfinished, and what belongs to the same firings; nothing goes on yet.

        `timeouts`: seconds that the ending of what ran before a reboot may take. Raises StoreError.
        """
        parts = self._parts
        unfinished = await parts.store.list(unfinished=True, limit=_MANY) + await parts.store.clearing()
        of_old = [one for one in unfinished if is_of_another_boot(one, parts.clock)]
        if of_old:
            await end_all(of_old, parts.store, parts.runner, parts.clock, timeouts)
        ended = {one.record.id for one in of_old}
        wanted = [one.record.firing_id for one in unfinished if one.record.id not in ended]
        wanted += [_needs_of(one) for one in services if one.status.progress.state is ServiceState.NEEDING]
        for stored in await parts.store.of_firings([firing_id for firing_id in wanted if firing_id]):
            self._restore(stored)
        for live in self._owners_in_order():
            self._connect(live)

    def _restore(self, stored: StoredExecution) -> None:
        record = stored.record
        firing = self._firings.setdefault(record.firing_id, Firing(record.firing_id))
        live = LiveExecution.of(record, restored_machine(stored), firing, record.workspace)
        self.known[record.firing_id, record.reference] = live
        self._owners.update(dict.fromkeys(live.steps, live))
        if live.machine.finished:
            live.done.set()
            self._parts.registry.known[record.id] = live
            if live.machine.clearing:
                self._clearing.append(live)
        else:
            self._lives.append(live)
            self._parts.registry.add(live)

    def _owners_in_order(self) -> list[LiveExecution]:
        return list(dict.fromkeys(self._owners.values()))

    def _connect(self, live: LiveExecution) -> None:
        """Put together the runs that its steps show."""
        for step in live.machine.steps.values():
            if step.run_id and not live.steps[step.id].service_id and step.state is not State.WAITING:
                self._connect_step(live, step, step.run_id)

    def _connect_step(self, live: LiveExecution, step: StepProgress, run_id: str) -> None:
        owner_step, _, last = run_id.rpartition(".")
        owner = self._owners.get(owner_step, live)
        for attempt in range(1, int(last) + 1):
            run = self._run_of(owner, owner_step, attempt)
            if attempt < step.attempt:
                told = _ended(run.run_id)
                live.earlier.append(run)
            else:
                told = _told_of(step, run.run_id)
                if not _was_detached(step):
                    live.runs[step.id] = run
                    if not live.machine.finished:
                        run.members.append((live, step.id))
            if len(told) > len(run.told):
                run.told = told
                run.output = dict(step.output) if step.state in TERMINAL else {}
            run.expired = run.expired or step.state is State.EXPIRING

    def _run_of(self, owner: LiveExecution, owner_step: str, attempt: int) -> SharedRun:
        key = (owner.task_of(owner_step) if owner_step in owner.steps else owner_step, attempt)
        run = owner.firing.runs.get(key)
        if run is None:
            log = str(self._parts.performer.log_path(owner.record.id, owner_step))
            run = SharedRun(f"{owner_step}.{attempt}", owner, owner_step, log)
            owner.firing.runs[key] = self._runs[run.run_id] = run
        return run

    # ---- going on --------------------------------------------------------------------------------

    async def go_on(self) -> list[LiveExecution]:
        """Let every machine have what happened meanwhile, and do what is still to be done; those that go on.

        Raises RunnerError.
        """
        parts = self._parts
        open_runs = {run_id: run for run_id, run in self._runs.items() if not run.ended}
        parts.registry.runs.update(open_runs)
        fates = await parts.runner.known(list(open_runs)) if open_runs else {}
        for live in self._lives + self._clearing:
            parts.driver.resume(live)
        for run in open_runs.values():
            self._meanwhile(run, fates.get(run.run_id, "absent"))
        ended = [run_id for run_id, run in self._runs.items() if run_id not in open_runs]
        if ended:
            await parts.runner.forget(ended)
        for live in self._lives:
            self._link_services(live)
        parts.driver.post((live, e.ExecutionBegun()) for live in self._lives if not live.machine.begun)
        for firing in self._firings.values():
            parts.performer.sweep(firing)
        if self._lives:
            self._log.info("executions_adopted", executions=len(self._lives), runs=len(open_runs))
        return list(self._lives)

    def _meanwhile(self, run: SharedRun, fate: Fate) -> None:
        performer, driver = self._parts.performer, self._parts.driver
        if fate == "absent" and not run.started:
            if any(live.machine.steps[step_id].state is State.STARTING for live, step_id in run.members):
                driver.post(performer.start_again(run))
                return
            if not run.members:  # it never was: who needs it starts one
                self._drop(run)
                return
        driver.post(performer.arrivals(list(self._reports(run, fate))))

    def _drop(self, run: SharedRun) -> None:
        runs = run.owner.firing.runs
        for key in [key for key, one in runs.items() if one is run]:
            del runs[key]
        del self._parts.registry.runs[run.run_id]

    def _reports(self, run: SharedRun, fate: Fate) -> Iterator[RunReport]:
        """What an engine that had been there would have been told."""
        run_id, now = run.run_id, self._parts.clock.wall()
        match fate:
            case RunStarted() | "running":
                yield RunStarted(run_id, now)
            case RunExited() | RunNotStarted() | RunLost():
                yield fate
            case "absent" if not run.started:
                yield RunNotStarted(run_id, f"{LOST} before this started", now)
            case "unknown" if not run.started:
                yield RunLost(run_id, _MAY_HAVE_RUN, now)
            case _:
                yield RunLost(run_id, ENDED_AWAY, now)

    def _link_services(self, live: LiveExecution) -> None:
        """Steps that wait for a service go on waiting for it."""
        for step in live.machine.live_steps:
            if live.steps[step.id].service_id:
                self._parts.driver.post(self._parts.performer.need_again(live, step.id))


def ended_execution(stored: StoredExecution, registry: Registry) -> LiveExecution:
    """One that has ended, with its runs, so that what it left behind can be ended.

    Where it is not known any more, none of its firing lives that could share a run with it.
    """
    record = stored.record
    known = registry.known.get(record.id)
    if known is not None:
        return known
    live = LiveExecution.of(record, restored_machine(stored), Firing(record.firing_id), record.workspace)
    live.done.set()
    registry.known[record.id] = live
    for step in live.machine.steps.values():
        if step.run_id and not live.steps[step.id].service_id and not _was_detached(step):
            runs = [
                SharedRun(run_id, live, run_id.rpartition(".")[0], told=_ended(run_id))
                for run_id in attempts_of(step.run_id)
            ]
            live.earlier += runs[:-1]
            live.runs[step.id] = runs[-1]
    return live


def _ended(run_id: str) -> list[RunReport]:
    """The reports of a run that has ended; how does not matter any more."""
    return [RunStarted(run_id, 0), RunExited(run_id, None, None, 0)]


def _told_of(step: StepProgress, run_id: str) -> list[RunReport]:
    """The reports that brought a step to where it is stored."""
    if step.state in _UNSTARTED:
        return []
    started = RunStarted(run_id, step.started_at or 0)
    known = step.code is not None or step.signal is not None or step.state is State.SUCCEEDED
    if step.state in LIVE - {State.EMPTYING, State.CLEARING, State.RETRYING}:
        return [started]
    if step.state in TERMINAL and not known:
        return [] if _was_detached(step) else [started, RunLost(run_id, step.cause or LOST, 0)]
    at = step.completed_at or 0
    return [started, RunExited(run_id, step.code, step.signal, at)]


def _was_detached(step: StepProgress) -> bool:
    """Stopped without an end of its own: its run went on for others, or never was."""
    return step.state is State.STOPPED and step.code is None and step.signal is None


def _needs_of(service: ServiceRecord) -> str:
    """The firing of what a service waits for (`Engine._run_for_service`)."""
    return service.firing_id or service.status.progress.session
