"""A runner whose runs may be containers, without a price for those who have none.

Implements `ports.Runner` over another one. Until the first container is asked for, or one was left by an
earlier engine, everything goes straight to the inner runner, and nothing of containers is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from anyio.abc import TaskGroup

from phased.ports import Clock, Runner, RunProcess, RunReport, RunRequest

if TYPE_CHECKING:
    from phased.runners.docker.runner import DockerRunner
    from phased.runners.identity import Person
    from phased.settings.sections import DockerSettings

_FAREWELL = 10.0
"""Seconds that leaving waits at most for containers to be removed."""
_FINDS_ENGINE = ("DOCKER_", "CONTAINER_HOST", "CONTAINER_SSHKEY")
"""Variables by which a client finds its engine; another user's login environment has none."""


class RunnerWithContainers:
    """Sends runs to a machine's runner, or to a container engine. Enter it after the inner one."""

    def __init__(
        self,
        inner: Runner,
        state_directory: Path,
        environment: Mapping[str, str],
        settings: DockerSettings,
        clock: Clock,
        person_of: Callable[[str], Person | None] = lambda _: None,
    ) -> None:
        """`environment` is the base of steps; `person_of` says as whom steps in a directory run."""
        self._inner = inner
        self._state = state_directory.absolute()
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._person_of = person_of
        self._at_work = inner
        self._docker: DockerRunner | None = None
        self._waiting: anyio.CancelScope | None = None
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        """Look whether an earlier engine left containers."""
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        if (self._state / "containers").is_dir():
            from phased.runners.docker.records import are_there  # noqa: PLC0415 - see the module's opening

            if are_there(self._state):
                self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go; containers go on."""
        self._tasks.cancel_scope.cancel()
        if self._docker is not None:
            await self._docker.leave(_FAREWELL)
        await self._tasks.__aexit__(None, None, None)

    def _begin(self) -> None:
        """Have containers from now on."""
        from phased.runners.docker.commands import Engine  # noqa: PLC0415 - see the module's opening
        from phased.runners.docker.making import House  # noqa: PLC0415 - the same
        from phased.runners.docker.runner import DockerRunner  # noqa: PLC0415 - the same

        settings = self._settings
        variables = {
            name: value for name, value in self._environment.items() if name.startswith(_FINDS_ENGINE)
        }
        if settings.host:
            variables |= {"DOCKER_HOST": settings.host, "CONTAINER_HOST": settings.host}
        engine = Engine(settings.engine, settings.network, settings.pull_policy, settings.options, variables)
        house = House(engine, self._state, self._environment, settings.patience, self._person_of)
        docker = DockerRunner(self._inner, house, self._clock, self._tasks)
        docker.begin()
        self._at_work = self._docker = docker
        if self._waiting is not None:
            self._waiting.cancel()

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started. Raises SupervisorLost."""
        if self._at_work is self._inner and any(request.container for request in requests):
            self._begin()
        await self._at_work.start(requests)

    async def reports(self) -> list[RunReport]:
        """The next bunch of reports; waits for at least one."""
        if self._at_work is self._inner:
            with anyio.CancelScope() as scope:
                self._waiting = scope
                return await self._inner.reports()
        return await self._at_work.reports()

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every living process of a run."""
        return await self._at_work.processes(run_id)

    async def signal(self, run_id: str, signal: int) -> int:
        """Send a signal to every process of a run; how many there were."""
        return await self._at_work.signal(run_id, signal)

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Living processes of runs whose leader has ended, by run id."""
        return await self._at_work.leftovers()

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """What became of runs that an earlier engine asked for."""
        return await self._at_work.known(run_ids)

    async def forget(self, run_ids: Sequence[str]) -> None:
        """The results of these runs are saved."""
        await self._at_work.forget(run_ids)
