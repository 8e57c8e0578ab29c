"""What a service depends on: its tasks are run, as executions, and its services readied, before it starts.

Knows the engine by two calls. Must not know machines' insides or how anything runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from phased.contract.execution import TaskExecutionPhase
from phased.contract.service import ServicePhase
from phased.core import service_events as e
from phased.engine.services.live import LiveService
from phased.errors import PhasedError

if TYPE_CHECKING:
    from phased.engine.registry import LiveExecution
    from phased.engine.services.performer import Arrival

RunTasks = Callable[[LiveService, Sequence[str]], Awaitable[list["LiveExecution"]]]
"""Start these tasks of a service's environment as one firing, already begun."""
ReadyServices = Callable[[LiveService, Sequence[str]], Awaitable[list[LiveService]]]
"""Ask for these services of a service's environment to be started."""
UntilReady = Callable[[LiveService], Awaitable[str | None]]
"""Wait until a service that was asked for is RUNNING, or say why it never will be."""


class Needs:
    """The waits of all services for what they depend on. `post` takes how they end."""

    def __init__(
        self, tasks: TaskGroup, run: RunTasks, ready: ReadyServices, until_ready: UntilReady
    ) -> None:
        """Nobody waits."""
        self._until_ready = until_ready
        self._tasks = tasks
        self._run = run
        self._ready = ready
        self._waits: dict[str, anyio.CancelScope] = {}
        self.post: Callable[[Sequence[Arrival]], None] = lambda _: None
        self.stop: Callable[[Sequence[LiveExecution], str], None] = lambda _lives, _by: None

    def ask(self, live: LiveService, session: str) -> None:
        """Begin; NeedsMet or NeedFailed is posted."""
        scope = self._waits[session] = anyio.CancelScope()
        self._tasks.start_soon(self._see_to, live, session, scope)

    def release(self, session: str) -> None:
        """Nobody waits any more; tasks that were run for this alone are stopped, services stay."""
        scope = self._waits.pop(session, None)
        if scope is not None:
            scope.cancel()

    async def _see_to(self, live: LiveService, session: str, scope: anyio.CancelScope) -> None:
        executions: list[LiveExecution] = []
        with scope:
            try:
                cause = await self._outcome(live, executions)
            except PhasedError as error:
                cause = str(error)
            self._waits.pop(session, None)
            event = e.NeedsMet(session) if cause is None else e.NeedFailed(session, cause)
            self.post([(live, event)])
        unfinished = [one for one in executions if not one.machine.finished]
        if unfinished:
            self.stop(unfinished, f"service {live.reference}, which does not need it any more")

    async def _outcome(self, live: LiveService, executions: list[LiveExecution]) -> str | None:
        """None, or what failed first, in the order of the definition."""
        catalog = live.catalog
        if catalog is None:
            return "a dependency failed: what it depends on is not defined any more"
        needs = live.definition.depends_on
        services = await self._ready(live, [need for need in needs if need in catalog.services])
        executions += await self._run(live, [need for need in needs if need in catalog.tasks])
        for execution in executions:
            await execution.done.wait()
        causes = [_task_cause(execution) for execution in executions]
        causes += [await self._until_ready(service) for service in services]
        cause = next((cause for cause in causes if cause), None)
        return f"a dependency failed: {cause}" if cause else None


def _task_cause(execution: LiveExecution) -> str | None:
    phase, reference = execution.machine.phase, execution.record.reference
    if phase is TaskExecutionPhase.SUCCEEDED:
        return None
    if phase is TaskExecutionPhase.STOPPED:
        return f"task {reference} was stopped"
    return f"task {reference} failed: {execution.machine.first_failure}"


def readiness(live: LiveService) -> tuple[bool, str | None]:
    """Whether it is decided that a service that was asked for is ready, and if not, why not."""
    match live.phase:
        case ServicePhase.RUNNING:
            return True, None
        case ServicePhase.FAILED:
            return True, f"service {live.reference} failed: {live.progress.cause}"
        case ServicePhase.STOPPED:
            return True, f"service {live.reference} stopped before it was ready"
        case ServicePhase.DELETED:
            return True, f"service {live.reference} was deleted before it was ready"
        case _:
            return False, None
