"""Every process of what runs, and of what ended commands left behind, with whose it is.

Knows the engine and the runner's port. Must not know /proc or messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from phased.engine.engine import Engine
from phased.engine.registry import LiveExecution
from phased.engine.services.live import LiveService
from phased.engine.services.performer import ready_log, stop_log
from phased.ports import RunProcess


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a run is; what is not known is empty."""

    environment_id: str = ""
    execution_id: str = ""
    step_id: str = ""
    service_id: str = ""
    reference: str = ""
    part: str = ""
    """Of a service: `start`, `ready` or `stop`."""


@dataclass(frozen=True, slots=True)
class Found:
    """One process."""

    owner: Owner
    process: RunProcess
    left_behind: bool = False
    """The command that it comes from has ended."""


async def processes_of_all(engine: Engine) -> list[Found]:
    """All of them, runs together. Raises RunnerError where they cannot be asked for."""
    running, known = _owners(engine)
    found: dict[tuple[int, int], Found] = {}
    for run_id, owner in running.items():
        for process in await engine.processes(run_id):
            found[process.pid, process.start_time] = Found(owner, process)
    for one in await _left_behind(engine, {**known, **running}):
        found[one.process.pid, one.process.start_time] = one
    return list(found.values())


async def left_behind(engine: Engine) -> list[Found]:
    """What ended commands left behind. Raises RunnerError where it cannot be asked for."""
    running, known = _owners(engine)
    return await _left_behind(engine, {**known, **running})


async def _left_behind(engine: Engine, owners: Mapping[str, Owner]) -> list[Found]:
    return [
        Found(
            owners.get(run_id) or owners.get(run_id.partition(".")[0]) or Owner(), process, left_behind=True
        )
        for run_id, left in (await engine.leftovers()).items()
        for process in left
    ]


def owner_told(variables: Mapping[str, str]) -> Owner:
    """Whose a process is by the variables that its command was started with."""
    return Owner(
        variables.get("PHASED_ENVIRONMENT_ID", ""),
        variables.get("PHASED_EXECUTION_ID", ""),
        variables.get("PHASED_STEP_ID", ""),
        variables.get("PHASED_SERVICE_ID", ""),
        variables.get("PHASED_TASK", "") or variables.get("PHASED_SERVICE", ""),
    )


def _owners(engine: Engine) -> tuple[dict[str, Owner], dict[str, Owner]]:
    """By run id those whose command goes on; and the others, some by what stands before the dot."""
    running: dict[str, Owner] = {}
    known: dict[str, Owner] = {}
    for live in engine.lives:
        for step_id, run in live.runs.items():
            target = known if run.ended else running
            target.setdefault(
                run.run_id, _of_step(run.owner if run.owner_step else live, run.owner_step or step_id)
            )
        for run in live.earlier:
            known.setdefault(run.run_id, _of_step(run.owner, run.owner_step))
    for service in engine.services.all():
        if service.progress.session:
            running |= dict(_running(service))
            known |= dict(_stems(service))
    return running, known


def _of_step(live: LiveExecution, step_id: str) -> Owner:
    label = live.steps[step_id].label if step_id in live.steps else ""
    return Owner(live.record.environment_id, live.record.id, step_id, reference=label or "")


def _of_service(live: LiveService) -> Owner:
    return Owner(live.record.environment_id, service_id=live.id, reference=live.reference)


def _running(live: LiveService) -> Iterator[tuple[str, Owner]]:
    progress, owner = live.progress, _of_service(live)
    yield progress.command_run, replace(owner, part="start")
    if progress.tries:
        yield progress.ready_run, replace(owner, part="ready")
    if live.running.stop:
        yield progress.stop_run, replace(owner, part="stop")


def _stems(live: LiveService) -> Iterator[tuple[str, Owner]]:
    session, owner = live.progress.session, _of_service(live)
    yield session, replace(owner, part="start")
    yield ready_log(session), replace(owner, part="ready")
    yield stop_log(session), replace(owner, part="stop")
