"""Carries out what the machines of services want: commands become runs, a run's reports become events.

Knows the runner's port, the variables of a service and where its logs go. Must not know statuses or the
store. A session's runs bear its id, or an id made from it, before the dot; so they are known by their name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final, Literal, assert_never
from uuid import UUID, uuid5

import anyio
from anyio.abc import TaskGroup

from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service_phases import LEADING
from phased.engine.ending import Ending, Left, Look, stuck
from phased.engine.outputs import bounded, outputs_of
from phased.engine.places import OptionsOf, container_of
from phased.engine.services.live import LiveService
from phased.engine.surroundings import missing_secret, of_service, variables
from phased.errors import PhasedError, RunnerError
from phased.observability import logger
from phased.ports import (
    Clock,
    NoAccess,
    RunExited,
    RunLost,
    Runner,
    RunNotStarted,
    RunProcess,
    RunReport,
    RunRequest,
    RunStarted,
    StepAccess,
)

Arrival = tuple[LiveService, e.ServiceEvent | None]
"""An event for a service; None: only tell who waits for it how it stands."""
Kind = Literal["start", "ready", "stop"]
LogPath = Callable[[str, str], Path]

_LOOK_AGAIN = (0.01, 0.25)
"""Seconds between two looks for processes that are left: at first, and at most."""
_LAST_LOOK = 5.0
"""Seconds that a look may take at what SIGKILL did not end: the wait for its end is over."""
_UNREPORTED = "its end was not reported"


@dataclass(slots=True)
class _ServiceRun:
    live: LiveService
    kind: Kind


def stems(session: str) -> frozenset[str]:
    """What stands before the dot in the ids of a session's runs."""
    return frozenset({session, ready_log(session), stop_log(session)})


def ready_log(session: str) -> str:
    """The name under which the output of a session's ready tries is kept."""
    return str(uuid5(UUID(session), "ready"))


def stop_log(session: str) -> str:
    """The name under which the output of a session's stop command is kept."""
    return str(uuid5(UUID(session), "stop"))


SERVICE_LOGS: Final[Mapping[str, Callable[[str], str]]] = {"start": str, "ready": ready_log, "stop": stop_log}
"""The commands of a service, and the name under which the output of each is kept, by session."""


class ServicePerformer:
    """One engine's hands for services. `post` takes the events that come of what it did."""

    def __init__(
        self, runner: Runner, log_path: LogPath, tasks: TaskGroup, clock: Clock, kill_timeout: float
    ) -> None:
        """`log_path(service_id, name)` says where a log goes; the service's own has its session's name."""
        self._runner = runner
        self._ending = Ending(runner, clock)
        self._kill_timeout = kill_timeout
        self._log = logger("phased.engine.services")
        self._log_path = log_path
        self._tasks = tasks
        self._runs: dict[str, _ServiceRun] = {}
        """Those whose end is still to be reported."""
        self._lost: set[str] = set()
        """Those whose end nobody will report: they may live."""
        self._killing: set[str] = set()
        """Sessions that are killed until nothing of them is left."""
        self._requests: list[RunRequest] = []
        self._forget: list[str] = []
        self.post: Callable[[Sequence[Arrival]], None] = lambda _: None
        self.ask_for_needs: Callable[[LiveService, str], None] = lambda _live, _session: None
        self.release_needs: Callable[[LiveService, str], None] = lambda _live, _session: None
        self.remove: Callable[[LiveService], None] = lambda _: None
        self.access: StepAccess = NoAccess()
        self.container_options: OptionsOf = lambda _: {}
        self.variables_of: Callable[[str], Mapping[str, str]] = lambda _: {}
        """The variables of an environment, by its id."""

    # ---- starting --------------------------------------------------------------------------------

    def prepare(self, live: LiveService, instruction: i.RunInstruction) -> list[Arrival]:
        """Make ready to start a command, whose intent is saved; what is known at once: that it cannot."""
        kind = _kind(instruction)
        try:
            missing = missing_secret(of_service(live, ""), self.access)
        except PhasedError as error:
            missing = str(error)
        if missing:
            return [(live, _refused(instruction.run_id, kind, missing))]
        try:
            request = self._request(live, instruction.run_id, kind)
        except OSError as error:
            reason = f"cannot make the folder of its log: {error.strerror}"
            return [(live, _refused(instruction.run_id, kind, reason))]
        except PhasedError as error:
            return [(live, _refused(instruction.run_id, kind, str(error)))]
        self._runs[instruction.run_id] = _ServiceRun(live, kind)
        self._requests.append(request)
        return []

    def _request(self, live: LiveService, run_id: str, kind: Kind) -> RunRequest:
        session = live.progress.session
        own = self._log_path(live.id, session)
        log = own if kind == "start" else self._log_path(live.id, run_id.partition(".")[0])
        os.makedirs(log.parent, mode=0o700, exist_ok=True)
        command = {"start": live.running.start, "ready": live.running.ready, "stop": live.running.stop}[kind]
        around = of_service(live, str(own), self.variables_of(live.record.environment_id))
        around = replace(around, outputs=bounded(around.outputs, str(own)))
        found = variables(around, self.access)
        options = self.container_options(live.record.environment_id)
        inside = "" if kind == "start" else live.progress.command_run
        place = container_of(live.running.runs_on, options, inside)
        return RunRequest(
            run_id, command, found, live.record.workspace, str(log), lasting=kind == "start", container=place
        )

    async def start(self) -> list[Arrival]:
        """Start what was prepared."""
        requests, self._requests = self._requests, []
        if not requests:
            return []
        try:
            await self._runner.start(requests)
        except RunnerError as error:
            return self._refuse(requests, str(error))
        return []

    def refuse(self, reason: str) -> list[Arrival]:
        """What was prepared cannot be started, since its intent could not be saved."""
        requests, self._requests = self._requests, []
        return self._refuse(requests, reason)

    def _refuse(self, requests: Sequence[RunRequest], reason: str) -> list[Arrival]:
        runs = [(request.run_id, self._runs.pop(request.run_id)) for request in requests]
        return [(run.live, _refused(run_id, run.kind, reason)) for run_id, run in runs]

    # ---- reports ---------------------------------------------------------------------------------

    def arrivals(self, reports: Sequence[RunReport]) -> list[Arrival]:
        """The events that reports mean, those of other runs aside."""
        arrivals: list[Arrival] = []
        for report in reports:
            run = self._runs.get(report.run_id)
            if run is None:
                continue
            if not isinstance(report, RunStarted):
                del self._runs[report.run_id]
                self._forget.append(report.run_id)
            elif run.kind == "start" and not _is_wanted(run.live, report.run_id):
                self._tasks.start_soon(self._kill_run, report.run_id)
            if isinstance(report, RunLost):
                self._lost.add(report.run_id)
            if isinstance(report, RunExited):
                arrivals += self._outputs(run.live)
            event = event_of(report, run.kind)
            if event is not None:
                arrivals.append((run.live, event))
        return arrivals

    def _outputs(self, live: LiveService) -> list[Arrival]:
        session = live.progress.session
        output = outputs_of(str(self._log_path(live.id, session))) if session else {}
        known = live.progress.output
        return [(live, e.OutputRecorded(output))] if any(known.get(k) != v for k, v in output.items()) else []

    def adopt(self, live: LiveService, run_id: str, kind: Kind) -> None:
        """Expect the end of a run that an earlier engine started."""
        self._runs[run_id] = _ServiceRun(live, kind)

    def note_end(self, run_id: str) -> None:
        """The end of a run came some other way than by a report."""
        self._forget.append(run_id)

    async def forget(self) -> None:
        """Results are saved: nobody else needs to keep them."""
        if self._forget:
            run_ids, self._forget = self._forget, []
            try:
                await self._runner.forget(run_ids)
            except RunnerError as error:
                self._log.warning("results_not_forgotten", reason=str(error))

    # ---- ending ----------------------------------------------------------------------------------

    def perform(self, live: LiveService, instruction: i.ServiceInstruction) -> None:
        """Begin what takes its time; what comes of it is posted."""
        match instruction:
            case i.AskToEnd():
                self._tasks.start_soon(self._signal, instruction.session, SIGTERM)
            case i.KillSession():
                self._killing.add(instruction.session)
                self._tasks.start_soon(self._signal, instruction.session, SIGKILL)
            case i.KillRun():
                self._tasks.start_soon(self._kill_run, instruction.run_id)
            case i.EndLeftovers():
                self._tasks.start_soon(self._end_leftovers, instruction.session, instruction.patience)
            case i.AwaitEmpty():
                self._tasks.start_soon(self._await_empty, live, instruction.session)
            case i.AskForNeeds():
                self.ask_for_needs(live, instruction.session)
            case i.ReleaseNeeds():
                self.release_needs(live, instruction.session)
            case i.Remove():
                self.remove(live)
            case _:
                raise TypeError(f"cannot perform {instruction}")

    async def _await_empty(self, live: LiveService, session: str) -> None:
        pause = _LOOK_AGAIN[0]
        while (left := await self._left(session)) is None or left:
            for run_id in left or ():
                if session in self._killing:
                    await self._ending.signal(run_id, SIGKILL)
            await anyio.sleep(pause)
            pause = min(pause * 2, _LOOK_AGAIN[1])
        self._killing.discard(session)
        self.post([(live, e.Emptied(session))])

    async def _signal(self, session: str, signal: int) -> None:
        for run_id in await self._left(session) or ():
            await self._ending.signal(run_id, signal)

    async def _end_leftovers(self, session: str, patience: float) -> None:
        await self._end(lambda: self._look(session), patience)

    async def _kill_run(self, run_id: str) -> None:
        async def look() -> Left:
            left = await self._runner.processes(run_id)
            return {run_id: left} if left or run_id in self._runs else {}

        await self._end(look, 0.0)

    async def _end(self, look: Look, patience: float) -> None:
        cause = await self._ending.end(look, self._ending.patience(patience, self._kill_timeout))
        if cause:
            self._log.warning("processes_not_ended", reason=cause)

    def look_what_is_left(self, live: LiveService, event: e.LimitReached) -> None:
        """Post this end of the wait again, with what SIGKILL did not end."""
        self._tasks.start_soon(self._look_what_is_left, live, event)

    async def _look_what_is_left(self, live: LiveService, event: e.LimitReached) -> None:
        left = ""
        with anyio.move_on_after(_LAST_LOOK):
            left = await self._survivors(live.progress.emptying or live.progress.session)
        self.post([(live, replace(event, left=left))])

    async def _survivors(self, session: str) -> str:
        """What lives of a session that was killed, as a phrase; of what only seems to, why."""
        try:
            runs = {run_id: await self._runner.processes(run_id) for run_id in await self._look(session)}
        except RunnerError as error:
            return str(error)
        left = {run_id: found for run_id, found in runs.items() if found}
        return stuck(left) if left else _UNREPORTED

    async def _left(self, session: str) -> Left | None:
        """As `_look`; None where that cannot be said now."""
        try:
            return await self._look(session)
        except RunnerError as error:
            self._log.warning("processes_unknown", session=session, reason=str(error))
            return None

    async def _look(self, session: str) -> Left:
        """The runs of a session that have processes, or may still get some. Raises RunnerError."""
        names = stems(session)
        left: dict[str, Sequence[RunProcess]] = {
            run_id: () for run_id in self._runs if run_id.partition(".")[0] in names
        }
        everywhere = await self._runner.leftovers()
        left |= {run_id: found for run_id, found in everywhere.items() if run_id.partition(".")[0] in names}
        for run_id in [lost for lost in self._lost if lost.partition(".")[0] in names]:
            processes = await self._runner.processes(run_id)
            if processes:
                left[run_id] = processes
            else:
                self._lost.discard(run_id)
        return left


def _is_wanted(live: LiveService, run_id: str) -> bool:
    """Whether its machine still waits for this run; it may have been deleted, or given up."""
    return live.progress.state in LEADING and live.progress.command_run == run_id


def event_of(report: RunReport, kind: Kind) -> e.ServiceEvent | None:
    """The event that a report of a service's run is; None where nobody needs to know."""
    run_id = report.run_id
    match report:
        case RunStarted():
            return e.CommandStarted(run_id) if kind == "start" else None
        case RunNotStarted():
            return _refused(run_id, kind, report.reason)
        case RunExited():
            return _exited(run_id, kind, report.code, report.signal)
        case RunLost():
            return (
                e.CommandLost(run_id, report.reason)
                if kind == "start"
                else _refused(run_id, kind, report.reason)
            )
    assert_never(report)


def _exited(run_id: str, kind: Kind, code: int | None, signal: int | None) -> e.ServiceEvent:
    match kind:
        case "start":
            return e.CommandSucceeded(run_id) if code == 0 else e.CommandFailed(run_id, code, signal)
        case "ready":
            return e.ReadySucceeded(run_id) if code == 0 else e.ReadyFailed(run_id, code, signal)
        case "stop":
            return e.StopCommandSucceeded(run_id) if code == 0 else e.StopCommandFailed(run_id, code, signal)
    assert_never(kind)


def _refused(run_id: str, kind: Kind, reason: str) -> e.ServiceEvent:
    match kind:
        case "start":
            return e.CommandRefused(run_id, reason)
        case "ready":
            return e.ReadyRefused(run_id, f"could not start: {reason}")
        case "stop":
            return e.StopCommandRefused(run_id, f"could not start: {reason}")
    assert_never(kind)


def _kind(instruction: i.RunInstruction) -> Kind:
    match instruction:
        case i.StartCommand():
            return "start"
        case i.StartReady():
            return "ready"
        case i.StartStop():
            return "stop"
    assert_never(instruction)
