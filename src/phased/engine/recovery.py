"""What becomes of executions that an earlier engine left unfinished: each ends, with its cause.

Nothing is started again and nothing stays open: a step whose exit is on record gets its true result; one
that still runs is ended, since this version cannot take it over yet; of all others the cause says that
the engine was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from signal import SIGKILL, SIGTERM

import anyio

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import events as e
from phased.core.execution import exit_cause
from phased.core.status import StatusChange, StepStatus
from phased.core.versions import next_version
from phased.ports import Clock, RunExited, Runner, RunNotStarted, RunReport, Store, StoredExecution

LOST = "the engine was lost"
_ENDED_AWAY = "ended while the daemon was away and left no exit code"
_UNFINISHED = (Phase.PENDING, Phase.RUNNING)


async def recover(store: Store, runner: Runner, clock: Clock, stop_timeout: float) -> list[StoredExecution]:
    """Finish every unfinished execution of the store; those that were found, with their last status."""
    found = await store.list(unfinished=True, limit=1_000_000)
    if not found:
        return []
    run_ids = [step.run_id for one in found for step in _open_steps(one.status) if step.run_id]
    known = await runner.known(run_ids)
    await _end(runner, [run_id for run_id, fate in known.items() if fate == "running"], stop_timeout)
    now = e.Instant(clock.wall(), clock.boot())
    changes = [_finish(one, known, now) for one in found]
    await store.save(changes)
    await runner.forget(run_ids)
    return [StoredExecution(one.record, change) for one, change in zip(found, changes, strict=True)]


async def _end(runner: Runner, run_ids: Sequence[str], stop_timeout: float) -> None:
    for run_id in run_ids:
        await runner.signal(run_id, int(SIGTERM))
    with anyio.move_on_after(stop_timeout):
        for run_id in run_ids:
            while await runner.processes(run_id):
                await anyio.sleep(0.02)
    for run_id in run_ids:
        while await runner.processes(run_id):
            await runner.signal(run_id, int(SIGKILL))
            await anyio.sleep(0.02)


def _open_steps(status: StatusChange) -> list[StepStatus]:
    return [step for step in status.steps if step.phase in _UNFINISHED]


def _finish(one: StoredExecution, known: Mapping[str, RunReport | str], now: e.Instant) -> StatusChange:
    steps = [_finish_step(step, known, now) for step in _open_steps(one.status)]
    states = {step.id: step for step in [*one.status.steps, *steps]}
    labels = {step.id: step.label or "" for group in one.record.spec.plan for step in group.steps}
    failed = next((s for s in states.values() if s.phase is Phase.FAILED), None)
    never = [label for step_id, label in labels.items() if step_id not in states]
    message = one.status.failure_message
    if message is None and failed is not None:
        message = f"step {labels.get(failed.id, failed.id)} failed: {failed.failure_message}"
    if message is None and never:
        message = LOST
    return replace(
        one.status,
        expected_version=one.status.version,
        version=next_version(one.status.version, now.wall),
        phase=Phase.SUCCEEDED if message is None else Phase.FAILED,
        failure_message=message,
        completed_at=now.wall,
        why=f"{LOST}; never started: {', '.join(never)}" if never else one.status.why,
        steps=tuple(steps),
    )


def _finish_step(step: StepStatus, known: Mapping[str, RunReport | str], now: e.Instant) -> StepStatus:
    fate = known.get(step.run_id or "", "absent")
    match fate:
        case RunExited(code=0):
            return replace(step, phase=Phase.SUCCEEDED, exit_code=0, completed_at=fate.at)
        case RunExited():
            cause = exit_cause(fate.code, fate.signal)
            return replace(
                step, phase=Phase.FAILED, failure_message=cause, exit_code=fate.code,
                exit_signal=fate.signal, completed_at=fate.at,
            )  # fmt: skip
        case RunNotStarted():
            cause = f"could not start: {fate.reason}"
        case "running":
            cause = f"{LOST} while this ran; it was ended"
        case "absent":
            cause = f"{LOST} before this started"
        case "unknown":
            cause = f"{LOST} while this was being started; it may have run"
        case _:
            cause = _ENDED_AWAY
    return replace(step, phase=Phase.FAILED, failure_message=cause, completed_at=now.wall)
