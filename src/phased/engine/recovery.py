"""How executions that an earlier engine left unfinished end, each with its cause, where none may go on.

So it is for a run in the foreground, which goes on with nobody else's work, and for all that ran before a
reboot; a daemon takes over (`adoption`). Nothing is started again and nothing stays open: a step whose exit
is on record gets its true result; one that still runs is ended; of all others the cause says what was lost.
Each goes through its own machine, restored from what is stored, so an end found here is told as any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.core.phases import State
from phased.core.step import StepProgress
from phased.engine.ending import Ending, Left
from phased.engine.registry import attempts_of, event_of
from phased.ports import Clock, RunExited, RunLost, Runner, RunNotStarted, RunReport, Store, StoredExecution

LOST = "the engine was lost"
REBOOTED = "the machine rebooted"
ENDED_AWAY = "ended while the daemon was away and left no exit code"
_BEFORE_START = {State.STARTING, State.CANCELLING, State.ABORTING}
_LEADER_GONE = {State.EMPTYING, State.CLEARING}

Fate = RunReport | str
"""What the runner knows of a run: its last report, or one of the words of `Runner.known`."""


async def recover(
    store: Store, runner: Runner, clock: Clock, stop_timeout: float, kill_timeout: float = 10.0
) -> list[StoredExecution]:
    """Finish every unfinished execution of the store; those that were found, with their last status.

    What others, which had ended, left behind is ended where somebody had asked for that. Takes as long as it
    takes to end what still runs, at most both timeouts (seconds). Raises StoreError.
    """
    unfinished = await store.list(unfinished=True, limit=1_000_000)
    found = [*unfinished, *await store.clearing()]
    return (await end_all(found, store, runner, clock, (stop_timeout, kill_timeout)))[: len(unfinished)]


def is_of_another_boot(stored: StoredExecution, clock: Clock) -> bool:
    """Whether the machine has booted since it was created: nothing that ran lives."""
    return bool(stored.record.boot_id) and clock.boot_id() not in {"", stored.record.boot_id}


def restored_machine(stored: StoredExecution) -> ExecutionMachine:
    """The machine as it was."""
    policy = replace(stored.record.policy, max_parallel=max(stored.record.policy.max_parallel, 1))
    return ExecutionMachine.restore(stored.record.spec, policy, stored.status)


async def end_all(
    unfinished: Sequence[StoredExecution],
    store: Store,
    runner: Runner,
    clock: Clock,
    timeouts: tuple[float, float],
) -> list[StoredExecution]:
    """Finish these; with their last status. `timeouts`: seconds until SIGKILL, and until it is given up."""
    found = [_Found(stored, clock) for stored in unfinished]
    if not found:
        return []
    run_ids = list({step.run_id or "": None for one in found for step in one.runs})
    fates = dict(await runner.known(run_ids)) if run_ids else {}
    cause = await _end_running(found, fates, runner, clock, timeouts)
    now = e.Instant(clock.wall(), clock.boot())
    for one in found:
        one.finish(fates, cause, now)
    changes = [one.machine.change(now) for one in found]
    await store.save(changes)
    await runner.forget(run_ids)
    return [StoredExecution(one.record, one.machine.status()) for one in found]


class _Found:
    """One unfinished execution, with its machine as it was."""

    def __init__(self, stored: StoredExecution, clock: Clock) -> None:
        self.record = stored.record
        self.rebooted = is_of_another_boot(stored, clock)
        self.machine = restored_machine(stored)

    @property
    def runs(self) -> list[StepProgress]:
        """The steps between start and end that have a run; of a service, that is nobody's here."""
        services = {one.id for group in self.record.spec.plan for one in group.steps if one.service_id}
        return [
            step
            for step in self.machine.live_steps
            if step.run_id and step.state is not State.RETRYING and step.id not in services
        ]

    @property
    def left_behind(self) -> list[str]:
        """The runs whose leftovers were being ended."""
        if self.machine.clearing is None or self.rebooted:
            return []
        run_ids = [step.run_id for step in self.machine.steps.values() if step.run_id]
        return [one for run_id in run_ids for one in attempts_of(run_id)]

    def finish(self, fates: Mapping[str, Fate], stuck: str | None, now: e.Instant) -> None:
        """Hand the machine what has become of its steps; it ends by that."""
        cause = REBOOTED if self.rebooted else LOST
        self.machine.handle(e.ExecutionInterrupted(cause), now)
        for step in self.machine.live_steps:
            fate = fates.get(step.run_id or "", "absent")
            at = e.Instant(fate.at, now.boot) if isinstance(fate, RunExited) else now
            for event in self._events(step, fate, stuck):
                self.machine.handle(event, at)
        self.machine.handle(e.LeftoversEnded(None if self.rebooted else stuck), now)

    def _events(self, step: StepProgress, fate: Fate, stuck: str | None) -> Iterator[e.StepEvent]:
        """What is to be told of one step; asked for one by one, since each depends on the state before."""
        if step.state is State.RETRYING:
            yield e.StepLost(step.id, f"{self._lost} before the next attempt")
            return
        if step.state in _BEFORE_START:
            if isinstance(fate, RunNotStarted):
                yield event_of(fate, step.id)
                return
            if fate == "absent" and not self.rebooted:
                yield e.StepRefused(step.id, f"{LOST} before this started")
                return
        if step.state not in _LEADER_GONE:
            if isinstance(fate, RunExited):
                if step.state in _BEFORE_START:
                    yield e.StepStarted(step.id)
                yield event_of(fate, step.id)
            else:
                yield e.StepLost(step.id, self._cause(step, fate, stuck))
        if step.state in _LEADER_GONE:
            yield e.StepStuck(step.id, step.attempt, stuck) if stuck else e.StepEmptied(step.id)

    @property
    def _lost(self) -> str:
        return REBOOTED if self.rebooted else LOST

    def _cause(self, step: StepProgress, fate: Fate, stuck: str | None) -> str:
        if isinstance(fate, RunLost):
            return fate.reason
        if self.rebooted:
            return REBOOTED
        if fate == "running":
            return f"{LOST} while this ran; it {stuck or 'was ended'}"
        if fate == "unknown" and step.state in _BEFORE_START:
            return f"{LOST} while this was being started; it may have run"
        return ENDED_AWAY


async def _end_running(
    found: Sequence[_Found],
    fates: dict[str, Fate],
    runner: Runner,
    clock: Clock,
    timeouts: tuple[float, float],
) -> str | None:
    """End what runs of these still; what could not be ended. The exits of those that were stopping count."""
    steps = [step for one in found if not one.rebooted for step in one.runs]
    running = [step.run_id for step in steps if step.run_id and fates.get(step.run_id) == "running"]
    emptying = [step.run_id for step in steps if step.run_id and step.state in _LEADER_GONE]
    ending = Ending(runner, clock)
    behind = [run_id for one in found for run_id in one.left_behind]
    run_ids = list(dict.fromkeys([*running, *emptying, *behind]))

    async def look() -> Left:
        found = [(run_id, await runner.processes(run_id)) for run_id in run_ids]
        return {run_id: left for run_id, left in found if left}

    stuck = await ending.end(look, ending.patience(*timeouts)) if run_ids else None
    stopping = [
        step.run_id
        for step in steps
        if step.run_id in running and step.state not in {State.STARTING, State.RUNNING}
    ]
    if stopping:
        known = await runner.known([run_id for run_id in stopping if run_id])
        fates.update({run_id: fate for run_id, fate in known.items() if isinstance(fate, RunExited)})
    return stuck
