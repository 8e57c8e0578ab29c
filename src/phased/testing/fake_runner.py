"""A runner whose runs are scripts of a test: it starts nothing, and keeps the port's promises.

Implements `ports.Runner`. What a command does is an `Outcome`, found by its text, else by its task's label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM

import anyio

from phased.errors import SupervisorLost
from phased.ports import (
    Clock,
    RunExited,
    RunLost,
    RunNotStarted,
    RunProcess,
    RunReport,
    RunRequest,
    RunStarted,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command does. Without more words it starts and exits with 0 in one bunch."""

    code: int = 0
    signal: int | None = None
    refused: str | None = None
    """It cannot be started, because of this."""
    holds: bool = False
    """It runs until it is signalled, or until `FakeRunner.finish`."""
    starts_late: bool = False
    """That it runs is told by `FakeRunner.let_start`, not at once."""
    ignores_term: bool = False
    unreported: bool = False
    """Of its end nothing is ever told."""
    unkillable: bool = False
    """Neither signal ends it, nor its children."""
    children: int = 0
    """So many processes are left when its leader has ended; SIGKILL ends them."""
    children_obey: bool = False
    """SIGTERM ends the children as well."""
    output: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class FakeRun:
    """One run as this runner sees it."""

    request: RunRequest
    outcome: Outcome
    state: str = "starting"
    """starting, running or ended."""
    children: int = 0
    signals: list[int] = field(default_factory=list)
    last: RunReport | None = None


class FakeRunner:
    """Runs scripts. `runs` holds every run that was asked for, by id, in order."""

    def __init__(self, clock: Clock, outcomes: Mapping[str, Outcome] | None = None) -> None:
        """`outcomes` by command or by label; others succeed at once."""
        self._clock = clock
        self.outcomes = dict(outcomes or {})
        self.runs: dict[str, FakeRun] = {}
        self.bunches: list[list[str]] = []
        """The run ids of each call of `start`."""
        self.forgotten: list[str] = []
        self.lost = False
        """Every call that asks the supervisor fails."""
        self._reports: list[RunReport] = []
        self._arrived = anyio.Event()

    # ---- the port --------------------------------------------------------------------------------

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Start scripts; idempotent by run id."""
        self._ask()
        self.bunches.append([request.run_id for request in requests])
        for request in requests:
            if request.run_id not in self.runs:
                self._start(request)

    async def reports(self) -> list[RunReport]:
        """The next bunch; waits for at least one."""
        await self._arrived.wait()
        self._arrived = anyio.Event()
        reports, self._reports = self._reports, []
        return reports

    async def processes(self, run_id: str) -> list[RunProcess]:
        """The leader, if it runs, and its children."""
        self._ask()
        run = self.runs.get(run_id)
        if run is None:
            return []
        leader = [RunProcess(1000, 1, "leader", leader=True)] if run.state == "running" else []
        return leader + [RunProcess(2000 + number, 1, "child", state="S") for number in range(run.children)]

    async def signal(self, run_id: str, signal: int) -> int:
        """End what the outcome lets end."""
        self._ask()
        run = self.runs.get(run_id)
        if run is None:
            return 0
        run.signals.append(signal)
        found = len(await self.processes(run_id))
        outcome = run.outcome
        if outcome.unkillable:
            return found
        if signal == SIGKILL or (signal == SIGTERM and outcome.children_obey):
            run.children = 0
        if run.state == "running" and (signal == SIGKILL or not outcome.ignores_term):
            self._exit(run, None, signal)
        return found

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """The children of runs that have ended."""
        self._ask()
        return {
            run_id: await self.processes(run_id)
            for run_id, run in self.runs.items()
            if run.state == "ended" and run.children
        }

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """As the port says; of what was forgotten nothing is known but that it had started."""
        self._ask()
        return {run_id: self._fate(run_id) for run_id in run_ids}

    async def forget(self, run_ids: Sequence[str]) -> None:
        """Their results are saved."""
        self._ask()
        self.forgotten += run_ids

    # ---- the test's hands ------------------------------------------------------------------------

    def labels(self) -> list[str]:
        """The labels of all runs, in the order in which they were asked for."""
        return [_label(run) for run in self.runs.values()]

    def run_of(self, label: str) -> FakeRun:
        """The newest run of a task or service. Raises KeyError where there is none."""
        for run in reversed(self.runs.values()):
            if _label(run) == label:
                return run
        raise KeyError(label)

    def let_start(self, label: str) -> None:
        """A run that starts late does."""
        self._begin(self.run_of(label))

    def finish(self, label: str, code: int = 0) -> None:
        """A run that holds exits."""
        self._exit(self.run_of(label), code, None)

    def lose(self, label: str, reason: str) -> None:
        """Nobody can say any more how a run ends."""
        run = self.run_of(label)
        run.state = "ended"
        self._tell(run, RunLost(run.request.run_id, reason, self._clock.wall()))

    def _start(self, request: RunRequest) -> None:
        found = self.outcomes.get(request.command) or self.outcomes.get(
            request.environment.get("PHASED_TASK", "")
        )
        run = self.runs[request.run_id] = FakeRun(request, found or Outcome())
        if run.outcome.refused is not None:
            run.state = "ended"
            self._tell(run, RunNotStarted(request.run_id, run.outcome.refused, self._clock.wall()))
        elif not run.outcome.starts_late:
            self._begin(run)

    def _begin(self, run: FakeRun) -> None:
        run.state = "running"
        Path(run.request.log).touch()
        self._tell(run, RunStarted(run.request.run_id, self._clock.wall()))
        run.children = run.outcome.children
        if not run.outcome.holds:
            self._exit(run, run.outcome.code, run.outcome.signal)

    def _exit(self, run: FakeRun, code: int | None, signal: int | None) -> None:
        run.state = "ended"
        if run.outcome.output:
            lines = "".join(f"{key}={value}\n" for key, value in run.outcome.output.items())
            Path(run.request.environment["PHASED_OUTPUT"]).write_text(lines, encoding="utf-8")
        code = code if signal is None else None
        if run.outcome.unreported:
            return
        self._tell(run, RunExited(run.request.run_id, code, signal, self._clock.wall()))

    def _tell(self, run: FakeRun, report: RunReport) -> None:
        run.last = report
        self._reports.append(report)
        self._arrived.set()

    def _fate(self, run_id: str) -> RunReport | str:
        run = self.runs.get(run_id)
        if run is None:
            return "absent"
        if run_id in self.forgotten:
            return "gone"
        if run.state == "running":
            return "running"
        return run.last or "unknown"

    def _ask(self) -> None:
        if self.lost:
            raise SupervisorLost("cannot reach the supervisor: a test took it away")


def _label(run: FakeRun) -> str:
    """The reference of its task, else of its service."""
    return run.request.environment.get("PHASED_TASK") or run.request.environment["PHASED_SERVICE"]
