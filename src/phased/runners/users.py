"""Steps as several users: one runner, and so one supervisor, for each (rule 17). Only for a daemon of root.

Implements `ports.Runner`. Knows directories and who owns them. Must not know executions, statuses or the
store. Root's own supervisor lies in STATE/supervisors, another user's in STATE/users/UID/supervisors. Logs
stay root's; what a step has to reach by a path, its file of outputs, is the user's.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from anyio.abc import TaskGroup

from phased.errors import RunnerError, SettingsError
from phased.ports import Clock, RunNotStarted, RunProcess, RunReport, RunRequest
from phased.runners.identity import PASSABLE, Person, person, runs_as, user_of_steps
from phased.runners.process import ProcessRunner
from phased.supervisor.cgroups import OFF

if TYPE_CHECKING:
    from phased.settings.sections import RunSettings

_OUTPUT: Final = "PHASED_OUTPUT"
_HANDED_ON: Final = "PHASED_OUTPUTS"

MakeRunner = Callable[[Path, Person | None], ProcessRunner]
"""Makes the runner of a state directory and a user, None for this process's own."""


class RunnerOfUsers:
    """Runs each step as the owner of its directory, or as the one user that settings name."""

    def __init__(self, state_directory: Path, named: int | None, clock: Clock, make: MakeRunner) -> None:
        """`named` is the uid of the setting run.user. Enter it before use."""
        self._state = state_directory.absolute()
        self._named = named
        self._clock = clock
        self._make = make
        self._runners: dict[int, ProcessRunner] = {}
        self._reports: list[RunReport] = []
        self._arrived = anyio.Event()
        self._failure: Exception | None = None
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        """Find what earlier supervisors of all users have. Raises SupervisorLost."""
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        try:
            await self._runner(None)
            users = self._state / "users"
            for uid in sorted(int(name) for name in _names(users) if name.isdecimal()):
                await self._runner(person(uid))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of every supervisor."""
        self._tasks.cancel_scope.cancel()
        await self._stack.aclose()

    async def _runner(self, who: Person | None) -> ProcessRunner:
        uid = 0 if who is None else who.uid
        found = self._runners.get(uid)
        if found is None:
            users = self._state / "users"
            folder = self._state if who is None else users / str(uid)
            for made in () if who is None else (users, folder):
                made.mkdir(mode=0o700, exist_ok=True)
            runner = self._make(folder, who)
            found = self._runners[uid] = await self._stack.enter_async_context(runner)
            self._tasks.start_soon(self._listen, found)
        return found

    async def _listen(self, runner: ProcessRunner) -> None:
        while True:
            bunch = await runner.reports()
            self._reports += bunch
            self._arrived.set()

    # ---- ports.Runner ----------------------------------------------------------------------------

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started, each as its user. Raises SupervisorLost."""
        groups: dict[Person | None, list[RunRequest]] = {}
        for request in requests:
            try:
                who = runs_as(request.directory, self._named)
                if who is not None:
                    self._make_way(request, who)
            except (RunnerError, OSError) as error:
                self._tell(RunNotStarted(request.run_id, _phrase(error), self._clock.wall()))
                continue
            groups.setdefault(who, []).append(request)
        for who, some in groups.items():
            await (await self._runner(who)).start(some)

    def _tell(self, report: RunReport) -> None:
        self._reports.append(report)
        self._arrived.set()

    def _make_way(self, request: RunRequest, who: Person) -> None:
        """What the step has to reach by a path: the way to its outputs, and the file itself."""
        folder = os.path.dirname(request.log)
        for passed in (str(self._state), os.path.dirname(folder), folder):
            if os.stat(passed).st_mode & 0o777 != PASSABLE:
                os.chmod(passed, PASSABLE)
        handed_on = request.environment.get(_HANDED_ON)
        if handed_on is not None and os.path.dirname(handed_on) == folder:
            os.chown(handed_on, who.uid, who.gid, follow_symlinks=False)
        path = request.environment.get(_OUTPUT)
        if path is None or os.path.dirname(path) != folder:
            return
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.fchown(descriptor, who.uid, who.gid)
            finally:
                os.close(descriptor)

    async def reports(self) -> list[RunReport]:
        """The next bunch of reports; waits for at least one."""
        while not self._reports:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        reports, self._reports = self._reports, []
        return reports

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every living process of a run."""
        found = [process for runner in self._all for process in await runner.processes(run_id)]
        return list({(process.pid, process.start_time): process for process in found}.values())

    async def signal(self, run_id: str, signal: int) -> int:
        """Send a signal to every process of a run; how many there were."""
        return sum([await runner.signal(run_id, signal) for runner in self._all])

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Living processes of runs whose leader has ended, by run id."""
        found: dict[str, list[RunProcess]] = {}
        for runner in self._all:
            for run_id, processes in (await runner.leftovers()).items():
                found.setdefault(run_id, []).extend(processes)
        return found

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """What became of runs that an earlier engine asked for."""
        found: dict[str, RunReport | str] = dict.fromkeys(run_ids, "absent")
        for runner in self._all:
            told = await runner.known(run_ids)
            found |= {run_id: fate for run_id, fate in told.items() if fate != "absent"}
        return found

    async def forget(self, run_ids: Sequence[str]) -> None:
        """The results of these runs are saved."""
        for runner in self._all:
            await runner.forget(run_ids)

    @property
    def supervisors(self) -> list[int]:
        """The pids of the supervisors that live."""
        return [pid for runner in self._all for pid in runner.supervisors]

    @property
    def _all(self) -> list[ProcessRunner]:
        return list(self._runners.values())


def _names(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return ()


def _phrase(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


@asynccontextmanager
async def open_runner(
    state_directory: Path, environment: Mapping[str, str], run: RunSettings, clock: Clock
) -> AsyncIterator[RunnerOfUsers | ProcessRunner]:
    """The runner of a daemon, by who started it.

    Raises SettingsError for a run.user that it cannot run steps as, SupervisorLost.
    """
    named = user_of_steps(run.user)
    shell = run.shell or None
    if os.geteuid() == 0:
        async with RunnerOfUsers(
            state_directory, named, clock, make_runner(environment, shell, clock, run.log_budget, run.cgroup)
        ) as several:
            yield several
    elif named in {None, os.geteuid()}:
        runner = ProcessRunner(state_directory, environment, shell, clock)
        runner.keep_of_logs(run.log_budget)
        runner.use_cgroups(run.cgroup)
        async with runner as one:
            yield one
    else:
        raise SettingsError(
            f"cannot run steps as {run.user!r} (run.user): only a daemon of root can; leave it out"
        )


def make_runner(
    environment: Mapping[str, str],
    shell: str | None,
    clock: Clock,
    log_budget: int = 0,
    cgroup: str = OFF,
    **more: Any,  # noqa: ANN401 - for ProcessRunner
) -> MakeRunner:
    """Makes runners whose steps have this environment, or another user's login environment."""

    def make(folder: Path, who: Person | None) -> ProcessRunner:
        base = environment if who is None else who.environment(environment)
        runner = ProcessRunner(folder, base, shell, clock, person=who, **more)
        runner.keep_of_logs(log_budget)
        runner.use_cgroups(cgroup)
        return runner

    return make
