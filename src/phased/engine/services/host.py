"""All services of an engine: defined, started, stopped, waited for, taken over from an earlier engine.

Knows the services' driver and the ports. Must not know SQLite, processes, files or the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from phased.contract.definitions import ServiceDefinition
from phased.contract.service import ServicePhase as Phase
from phased.core import events as step_events
from phased.core import planner
from phased.core import service_events as e
from phased.core.phases import TERMINAL
from phased.core.service import ServiceMachine
from phased.core.service_phases import RESTING
from phased.core.service_policy import ServiceLimits
from phased.core.specs import Catalog, automation_id
from phased.engine.places import OptionsOf
from phased.engine.services.driver import ServiceDriver
from phased.engine.services.feed import ServiceFeed
from phased.engine.services.live import LiveService, Waiter, policy_of, restored, runs_alike
from phased.engine.services.needs import Needs, RunTasks, readiness
from phased.engine.services.performer import ServicePerformer
from phased.engine.services.recovery import take_over
from phased.errors import NotFound, StoreError, Unsupported
from phased.observability import logger
from phased.ports import Clock, Runner, RunReport, ServiceRecord, StepAccess, Store

if TYPE_CHECKING:
    from phased.engine.engine import Origin
    from phased.engine.registry import LiveExecution


class ServiceHost:
    """The services of one engine. `connect` before use."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        clock: Clock,
        log_path: Callable[[str, str], Path],
        limits: ServiceLimits,
        tasks: TaskGroup,
    ) -> None:
        """`log_path(service_id, session)` says where a service's log goes."""
        self._store = store
        self._runner = runner
        self._clock = clock
        self._limits = limits
        self._tasks = tasks
        self._services: dict[str, LiveService] = {}
        self._log = logger("phased.engine.services")
        self._owning: set[str] = set()
        self.runs_containers = False
        self.feed = ServiceFeed()
        self._performer = ServicePerformer(runner, log_path, tasks, clock, limits.kill_timeout)
        self._driver = ServiceDriver(store, self.feed, self._performer, clock)
        self._post_steps: Callable[[Sequence[tuple[LiveExecution, step_events.Event]]], None] = lambda _: None

    def connect(
        self,
        run_tasks: RunTasks,
        stop: Callable[[Sequence[LiveExecution], str], None],
        post_steps: Callable[[Sequence[tuple[LiveExecution, step_events.Event]]], None],
    ) -> None:
        """Begin to drive. The engine says how tasks are run and stopped, and takes the events of steps."""
        needs = Needs(self._tasks, run_tasks, self._ready, self.until_ready)
        needs.post, needs.stop = self._driver.post, stop
        self._performer.post = self._driver.post
        self._performer.ask_for_needs = needs.ask
        self._performer.release_needs = lambda _live, session: needs.release(session)
        self._performer.remove = self._begin_to_remove
        self._post_steps = post_steps
        self._tasks.start_soon(self._driver.run)

    def use_variables(self, variables_of: Callable[[str], Mapping[str, str]], access: StepAccess) -> None:
        """Every command of an environment's services gets these, by the environment's id, and secrets."""
        self._performer.variables_of = variables_of
        self._performer.access = access

    def use_containers(self, options_of: OptionsOf) -> None:
        """Services may run in containers, for which the environment's class says this."""
        self._performer.container_options = options_of
        self.runs_containers = True

    def report(self, reports: Sequence[RunReport]) -> None:
        """Reports of runs; those that are of no service are left aside."""
        self._driver.post(self._performer.arrivals(reports))

    # ---- what there is ---------------------------------------------------------------------------

    def get(self, service_id: str) -> LiveService:
        """One service. Raises NotFound."""
        try:
            return self._services[service_id]
        except KeyError:
            raise NotFound(
                f"cannot find a service {service_id!r}; `phased service list` shows them"
            ) from None

    def all(self) -> list[LiveService]:
        """Every service, in the order in which they were defined."""
        return list(self._services.values())

    def of(self, environment_id: str) -> list[LiveService]:
        """The services of an environment, in the order in which they were defined."""
        return [live for live in self._services.values() if live.record.environment_id == environment_id]

    async def define(
        self, catalog: Catalog, references: Iterable[str], workspace: Path | str, origin: Origin
    ) -> list[LiveService]:
        """These services of a catalog, new ones and known ones; new ones are saved when this returns.

        What is changed is saved once it is `settled`.
        One that runs keeps its old definition until its next start. Raises Unsupported, StoreError.
        """
        chosen = [catalog.services[reference] for reference in references]
        for definition in chosen:
            if not self.runs_containers:
                _refuse_container(definition)
        ids = [automation_id(catalog.environment, definition.reference) for definition in chosen]
        new = [
            self._new(catalog, definition, service_id, str(workspace), origin)
            for service_id, definition in zip(ids, chosen, strict=True)
            if service_id not in self._services
        ]
        if new:
            await self._store.save_services([live.record for live in new], durable=True)
            self._services.update((live.id, live) for live in new)
            self.feed.publish([live.record for live in new])
        lives = [self._services[service_id] for service_id in ids]
        for live, definition in zip(lives, chosen, strict=True):
            live.catalog = catalog
            self._redefine(live, definition)
        return lives

    def _new(
        self, catalog: Catalog, definition: ServiceDefinition, service_id: str, workspace: str, origin: Origin
    ) -> LiveService:
        now = self._driver.now()
        machine = ServiceMachine(service_id, policy_of(definition, self._limits))
        record = ServiceRecord(
            service_id, catalog.environment, definition.reference, workspace, definition, definition,
            now.wall, origin.creator_id, origin.creator_principal, self._clock.boot_id(), now.wall,
            machine.change(now),
        )  # fmt: skip
        return LiveService(record, machine, catalog)

    def _redefine(self, live: LiveService, definition: ServiceDefinition) -> None:
        if definition == live.definition:
            return
        live.definition = definition
        differs = not runs_alike(definition, live.running)
        self._driver.post([(live, e.DefinitionChanged(policy_of(definition, self._limits), differs=differs))])

    async def settled(self) -> None:
        """Wait until all that was asked for so far is decided and saved. Raises StoreError if it is not."""
        await self._driver.settled()

    # ---- what is asked for -----------------------------------------------------------------------

    def start(
        self,
        live: LiveService,
        by: str,
        *,
        given: Mapping[str, str] | None = None,
        needs_met: bool = False,
        asked: tuple[str, str] = ("manual", ""),
    ) -> None:
        """Ask for a service; returns at once. One that runs, or is about to, is left as it is.

        `given`: variables that it gets if this starts it; `needs_met`: what it depends on was seen to;
        `asked`: the trigger and the firing that it is started for.
        """
        session = str(uuid4())
        kept = {live.progress.wanted_session, live.progress.session}
        live.given = {known: one for known, one in live.given.items() if known in kept}
        live.asked = {known: one for known, one in live.asked.items() if known in kept}
        live.asked[session] = asked
        if given:
            live.given[session] = given
        self._driver.post([(live, e.StartRequested(session, by, needs_met))])

    def stop(self, live: LiveService, by: str) -> None:
        """Ask a service to stop; returns at once. Of one that has ended, what it left behind is ended."""
        self._driver.post([(live, e.StopRequested(by))])

    def kill(self, live: LiveService, by: str) -> None:
        """Stop a service without waiting for it to end by itself."""
        self._driver.post([(live, e.KillRequested(by))])

    def restart(self, live: LiveService, by: str) -> None:
        """Stop, and start as soon as it has stopped."""
        self.stop(live, by)
        self.start(live, by)

    def delete(self, live: LiveService, by: str, *, force: bool = False) -> None:
        """Stop and forget a service; `force`: at once, what lives of it is killed."""
        self._driver.post([(live, e.DeleteRequested(by, force))])

    async def until_ready(self, live: LiveService) -> str | None:
        """Wait, after `start`, until it is RUNNING; else why it never will be: a phrase that names it."""
        found: list[str | None] = []

        def look(service: LiveService) -> bool:
            settled, cause = readiness(service)
            found.extend([cause] if settled else [])
            return settled

        await self._wait(live, look)
        return found[0]

    async def until_rest(self, live: LiveService) -> Phase:
        """Wait, after `stop`, until nothing is under way: STOPPED, FAILED or DELETED."""
        await self._wait(live, lambda service: service.progress.state in RESTING)
        return live.phase

    async def _wait(self, live: LiveService, seen_enough: Waiter) -> None:
        done = anyio.Event()

        def look(service: LiveService) -> bool:
            if not done.is_set() and seen_enough(service):
                done.set()
            return done.is_set()

        live.waiters.append(look)
        self._driver.post([(live, None)])
        try:
            await done.wait()
        finally:
            live.waiters = [waiter for waiter in live.waiters if waiter is not look]

    def _begin_to_remove(self, live: LiveService) -> None:
        self._tasks.start_soon(self._remove, live)

    async def _remove(self, live: LiveService) -> None:
        try:
            await self._store.remove_services([live.id])
        except StoreError as error:  # its record says DELETED: the next engine removes it
            self._log.error("service_not_removed", service_id=live.id, reason=str(error))
        self._services.pop(live.id, None)

    async def _ready(self, live: LiveService, references: Sequence[str]) -> list[LiveService]:
        if live.catalog is None or not references:
            return []
        origin = _origin_of(live)
        services = await self.define(live.catalog, references, live.record.workspace, origin)
        for service in services:
            if service.progress.state in RESTING:
                service.owner = service.owner or live.owner
            service.users |= live.users
            asked = (live.record.started_by or "manual", live.firing_id)
            self.start(service, f"service {live.reference}, which needs it", asked=asked)
        return services

    # ---- for steps of executions -----------------------------------------------------------------

    def own(self, firing: str) -> None:
        """The services that are started for this firing are to end with it: `release` ends them."""
        self._owning.add(firing)

    def need(
        self, execution: LiveExecution, step_id: str, given: Mapping[str, str], again: bool = False
    ) -> None:
        """A plan's step needs its service: it succeeds as soon as that is RUNNING, at once if it is.

        What the service depends on stands in earlier groups of the plan. `again`: an earlier engine has asked
        for it; where the session that came of that is over, so is the step. Raises NotFound.
        """
        live = self.get(execution.steps[step_id].service_id or "")
        firing = execution.firing.id
        self._note_user(live, firing)

        def look(service: LiveService) -> bool:
            if execution.machine.steps[step_id].state in TERMINAL:
                return True
            settled, cause = readiness(service)
            if settled:
                self._post_steps(_step_ended(execution, step_id, service, cause))
            return settled

        asked = (execution.record.started_by, firing)
        if not (again and live.firing_id == firing):
            self.start(live, f"execution {execution.record.id}", given=given, needs_met=True, asked=asked)
        live.waiters.append(look)
        self._driver.post([(live, None)])

    def _note_user(self, live: LiveService, firing: str) -> None:
        if firing in self._owning:
            if live.progress.state in RESTING or live.ended_by:
                live.owner = firing
            live.users.add(firing)

    def start_for(self, live: LiveService, firing: str, trigger: str) -> None:
        """A firing of a trigger asks for a service; where it owns what it starts, `release` ends it."""
        self._note_user(live, firing)
        self.start(live, f"trigger {trigger}", asked=(trigger, firing))

    async def release(self, firings: Iterable[str], by: str) -> None:
        """These firings are over: stop the services that were started for them and that nobody else uses.

        In reverse order of dependency, each as soon as nothing that is left depends on it; returns when all
        have ended.
        """
        over = set(firings)
        self._owning -= over
        used = [live for live in self._services.values() if live.users & over]
        for live in used:
            live.users -= over
        waiting = [live for live in used if live.owner and not live.users]
        while waiting:
            needed = {need for live in waiting for need in needs_of(live)}
            free = [live for live in waiting if live.reference not in needed] or waiting
            async with anyio.create_task_group() as tasks:
                for live in free:
                    live.ended_by |= over
                    tasks.start_soon(self._end, live, over, by)
            waiting = [live for live in waiting if live not in free]

    async def _end(self, live: LiveService, over: set[str], by: str) -> None:
        """Stop a service, for firings that are over; who needs it meanwhile takes it from them."""
        self.stop(live, by)
        await self._wait(live, _is_over)
        live.ended_by -= over
        if live.owner in over:
            live.owner = ""

    def hurry(self, firings: Iterable[str], by: str) -> None:
        """Kill the services that were started for these firings."""
        over = set(firings)
        for live in self._services.values():
            theirs = live.owner in over and live.users <= over
            if (theirs or live.ended_by & over) and not _is_over(live):
                self.kill(live, by)

    # ---- taking over -----------------------------------------------------------------------------

    async def restore(self, catalogs: Mapping[str, Catalog] | None = None) -> list[LiveService]:
        """Take over what an earlier engine left: each service as it was, with what happened meanwhile.

        Those that were started for a run in the foreground are stopped: that run is over.
        `catalogs`: what environments define, by their ids. Raises StoreError.
        """
        records = await self._store.list_services()
        lives = [restored(record, self._limits) for record in records]
        for live in lives:
            live.catalog = (catalogs or {}).get(live.record.environment_id)
            self._services[live.id] = live
        self._driver.post(await take_over(lives, self._runner, self._performer, self._clock.boot_id()))
        for live in lives:
            self._driver.resume(live)
            if live.owner and live.progress.state not in RESTING:
                live.ended_by = {live.owner}
                self.stop(live, "a later run: its own was lost")
                self._tasks.start_soon(self._end, live, {live.owner}, "a later run: its own was lost")
            else:
                live.owner = ""
        return lives


def _is_over(live: LiveService) -> bool:
    """Nothing of it is under way, or it goes on for somebody who came while it was ending."""
    return live.progress.state in RESTING or bool(live.ended_by and live.users)


def _step_ended(
    execution: LiveExecution, step_id: str, service: LiveService, cause: str | None
) -> list[tuple[LiveExecution, step_events.Event]]:
    if cause is not None:
        return [(execution, step_events.StepLost(step_id, cause))]
    output = dict(service.progress.output)
    recorded = [(execution, step_events.OutputRecorded(step_id, output))] if output else []
    return [*recorded, (execution, step_events.StepSucceeded(step_id))]


def needs_of(live: LiveService) -> list[str]:
    """All that a service depends on, also by way of others, by reference."""
    closure = planner.closure(live.catalog.needs, live.reference) if live.catalog else []
    return [reference for reference in closure if reference != live.reference]


def _origin_of(live: LiveService) -> Origin:
    from phased.engine.engine import Origin  # noqa: PLC0415 - the engine knows this module

    return Origin("manual", live.record.creator_id, live.record.creator_principal)


def _refuse_container(definition: ServiceDefinition) -> None:
    if definition.runs_on and definition.runs_on.docker:
        raise Unsupported(
            f"cannot run the service {definition.reference}: it would run in a container (runsOn.docker), "
            "and nothing here runs containers; remove runsOn to run on this machine"
        )
