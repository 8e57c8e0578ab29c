"""The tasks and services of all environments: what is defined, how it is changed, and the catalog of each.

Knows the store of definitions and the services' host. Must not know SQLite, files or messages. A change is
saved, durably, before it is told; of several at once each is checked against what the one before left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.contract.service import ServicePhase
from phased.core.environment import TaskRecord
from phased.core.service_phases import RESTING
from phased.core.specs import Catalog, automation_id
from phased.core.versions import next_version
from phased.engine.bulletin import Bulletin
from phased.engine.definitions.checks import checked, merged
from phased.engine.engine import Origin
from phased.engine.services.host import ServiceHost
from phased.engine.services.live import LiveService, runs_alike
from phased.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from phased.ports import Clock, DefinitionStore, ServiceRecord


@dataclass(frozen=True, slots=True)
class Applied:
    """What a file has, in its order, and what applying it removed, by ids."""

    task_ids: tuple[str, ...] = ()
    service_ids: tuple[str, ...] = ()
    removed_task_ids: tuple[str, ...] = ()
    removed_service_ids: tuple[str, ...] = ()


class Automations:
    """All tasks and services of a daemon. `load` before use.

    Methods that change something raise NotFound, AlreadyExists, FailedPrecondition, InvalidArgument,
    PlanError (unknown references, cycles), Unsupported or StoreError, and have changed nothing then.
    """

    def __init__(
        self,
        store: DefinitionStore,
        host: ServiceHost,
        clock: Clock,
        bulletin: Bulletin,
        workspace_of: Callable[[str], str],
    ) -> None:
        """`workspace_of` says where an environment's commands run; it raises NotFound."""
        self._store = store
        self._host = host
        self._clock = clock
        self._bulletin = bulletin
        self._workspace_of = workspace_of
        self._tasks: dict[str, dict[str, TaskRecord]] = {}
        """By environment and reference, oldest first."""
        self._by_id: dict[str, TaskRecord] = {}
        self._catalogs: dict[str, Catalog] = {}
        self._changing = anyio.Lock()

    async def load(self, services: Iterable[ServiceRecord]) -> Mapping[str, Catalog]:
        """Read what is defined; the catalogs by environment, which `ServiceHost.restore` needs."""
        for record in await self._store.list_tasks():
            self._keep(record)
        of_services: dict[str, list[ServiceDefinition]] = {}
        for service in services:
            of_services.setdefault(service.environment_id, []).append(service.definition)
        return {
            environment: Catalog(
                environment,
                Definitions(
                    tasks=tuple(task.definition for task in self.tasks_of(environment)),
                    services=tuple(of_services.get(environment, ())),
                ),
            )
            for environment in {*self._tasks, *of_services}
        }

    # ---- what there is ---------------------------------------------------------------------------

    def catalog(self, environment_id: str) -> Catalog:
        """Everything that an environment defines now."""
        services = tuple(live.definition for live in self.services_of(environment_id))
        found = self._catalogs.get(environment_id)
        if found is None or tuple(found.services.values()) != services:  # a foreground run defines some, too
            tasks = tuple(task.definition for task in self.tasks_of(environment_id))
            found = Catalog(environment_id, Definitions(tasks=tasks, services=services))
            self._catalogs[environment_id] = found
        return found

    def task(self, task_id: str) -> TaskRecord:
        """One task. Raises NotFound."""
        try:
            return self._by_id[task_id]
        except KeyError:
            raise NotFound(f"cannot find a task {task_id!r}; `phased task list` shows them") from None

    def tasks(self) -> list[TaskRecord]:
        """The tasks of all environments."""
        return list(self._by_id.values())

    def tasks_of(self, environment_id: str) -> list[TaskRecord]:
        """The tasks of an environment, oldest first."""
        return list(self._tasks.get(environment_id, {}).values())

    def service(self, service_id: str) -> LiveService:
        """One service; `record` of it is what is saved. Raises NotFound."""
        live = self._host.get(service_id)
        if live.phase is ServicePhase.DELETED:
            raise NotFound(f"cannot find a service {service_id!r}: it was deleted")
        return live

    def services(self) -> list[LiveService]:
        """The services of all environments that know any."""
        return [live for live in self._host.all() if live.phase is not ServicePhase.DELETED]

    def services_of(self, environment_id: str) -> list[LiveService]:
        """The services of an environment that are not being deleted, oldest first."""
        return [live for live in self._host.of(environment_id) if not _is_going(live)]

    def references_of(self, environment_id: str, ids: Sequence[str]) -> tuple[str, ...]:
        """The references of tasks and services of an environment, by ids. Raises InvalidArgument."""
        known = {automation_id(environment_id, one): one for one in self.catalog(environment_id).needs}
        unknown = [one for one in ids if one not in known]
        if unknown:
            raise InvalidArgument(
                f"cannot depend on {unknown[0]!r}: dependsOn holds ids of tasks and services of the same "
                "environment"
            )
        return tuple(dict.fromkeys(known[one] for one in ids))

    # ---- tasks -----------------------------------------------------------------------------------

    async def create_task(
        self, environment_id: str, definition: TaskDefinition, origin: Origin
    ) -> TaskRecord:
        """Define a new task."""
        async with self._changing:
            self._workspace_of(environment_id)
            self._check_free(environment_id, definition.reference)
            before = self.catalog(environment_id)
            checked(environment_id, [*before.tasks.values(), definition], before.services.values())
            record = self._new_task(environment_id, definition, origin, self._next_moment(environment_id))
            await self._store.save_tasks([record])
            self._took_effect(environment_id, [record])
            return record

    async def update_task(self, task_id: str, definition: TaskDefinition) -> TaskRecord:
        """Define a task anew; its reference stays. Executions that exist are not touched."""
        async with self._changing:
            before = self.task(task_id)
            if definition == before.definition:
                return before
            catalog = self.catalog(before.environment_id)
            tasks = catalog.tasks | {before.reference: definition}
            checked(before.environment_id, tasks.values(), catalog.services.values())
            record = self._changed_task(before, definition)
            await self._store.save_tasks([record])
            self._took_effect(before.environment_id, [record])
            return record

    async def delete_task(self, task_id: str) -> None:
        """Forget a task. Raises FailedPrecondition where others depend on it, naming them."""
        async with self._changing:
            record = self.task(task_id)
            self._check_unneeded("task", record.environment_id, record.reference)
            await self._store.save_tasks([], remove=[task_id])
            self._took_effect(record.environment_id, [], [record])

    # ---- services --------------------------------------------------------------------------------

    async def create_service(
        self, environment_id: str, definition: ServiceDefinition, origin: Origin
    ) -> LiveService:
        """Define a new service; it is not started."""
        async with self._changing:
            workspace = self._workspace_of(environment_id)
            self._check_free(environment_id, definition.reference)
            before = self.catalog(environment_id)
            after = checked(environment_id, before.tasks.values(), [*before.services.values(), definition])
            (live,) = await self._host.define(after, [definition.reference], workspace, origin)
            self._took_effect(environment_id)
            return live

    async def update_service(
        self, service_id: str, definition: ServiceDefinition, origin: Origin
    ) -> LiveService:
        """Define a service anew; its reference stays.

        Raises FailedPrecondition where its spec would change while it is not stopped.
        """
        async with self._changing:
            live = self.service(service_id)
            if live.progress.state not in RESTING and not runs_alike(definition, live.definition):
                raise FailedPrecondition(
                    f"cannot change the spec of the service {live.reference}: it is {live.phase.name}; "
                    "stop it first"
                )
            environment_id = live.record.environment_id
            self._check_not_going(environment_id, live.reference)
            before = self.catalog(environment_id)
            services = before.services | {live.reference: definition}
            after = checked(environment_id, before.tasks.values(), services.values())
            await self._host.define(after, [live.reference], live.record.workspace, origin)
            await self._host.settled()
            self._took_effect(environment_id)
            return live

    async def delete_service(self, service_id: str, by: str, *, force: bool = False) -> None:
        """Stop and forget a service; `force`: at once.

        Raises FailedPrecondition where others depend on it, naming them.
        """
        async with self._changing:
            live = self.service(service_id)
            if not _is_going(live):
                self._check_unneeded("service", live.record.environment_id, live.reference)
            self._host.delete(live, by, force=force)
            await self._host.settled()
            self._took_effect(live.record.environment_id)

    # ---- files -----------------------------------------------------------------------------------

    async def apply(
        self, environment_id: str, definitions: Definitions, origin: Origin, *, prune: bool = False
    ) -> Applied:
        """Define what a file says: what has the same reference is changed, and keeps its id.

        What the file does not have stays, unless `prune`. A service that runs keeps its old spec until its
        next start.
        """
        async with self._changing:
            workspace = self._workspace_of(environment_id)
            before = self.catalog(environment_id)
            tasks = merged(before.tasks, definitions.tasks, prune=prune)
            services = merged(before.services, definitions.services, prune=prune)
            after = checked(environment_id, tasks.values(), services.values())
            for reference in services:
                self._check_not_going(environment_id, reference)
            changed = [ref for ref, service in services.items() if service != before.services.get(ref)]
            removed = [live for live in self.services_of(environment_id) if live.reference not in services]
            await self._host.define(after, changed, workspace, origin)
            records = self._task_records(environment_id, tasks, origin)
            gone = [task for task in self.tasks_of(environment_id) if task.reference not in tasks]
            if records or gone:
                await self._store.save_tasks(records, remove=[task.id for task in gone])
            for live in removed:
                self._host.delete(live, "a file that does not have it any more")
            await self._host.settled()
            self._took_effect(environment_id, records, gone)
            return Applied(
                tuple(automation_id(environment_id, one.reference) for one in definitions.tasks),
                tuple(automation_id(environment_id, one.reference) for one in definitions.services),
                tuple(record.id for record in gone),
                tuple(live.id for live in removed),
            )

    def _task_records(
        self, environment_id: str, tasks: Mapping[str, TaskDefinition], origin: Origin
    ) -> list[TaskRecord]:
        """Those that are new or changed; new ones a microsecond apart, so that the file's order stays."""
        known, at = self._tasks.get(environment_id, {}), self._next_moment(environment_id)
        records = []
        for place, (reference, definition) in enumerate(tasks.items()):
            if reference not in known:
                records.append(self._new_task(environment_id, definition, origin, at + place))
            elif definition != known[reference].definition:
                records.append(self._changed_task(known[reference], definition))
        return records

    # ---- environments ----------------------------------------------------------------------------

    def forget(self, environment_id: str) -> None:
        """An environment is gone, and all that it defined with it."""
        for record in self._tasks.pop(environment_id, {}).values():
            self._by_id.pop(record.id, None)
            self._bulletin.tell(
                Operation.DELETE, ResourceType.TASK, record.id, environment_id, record.creator_id
            )
        self._catalogs.pop(environment_id, None)

    # ---- within ----------------------------------------------------------------------------------

    def _next_moment(self, environment_id: str) -> int:
        """Now, or just after the newest task was made: the order in time is the order of definition."""
        newest = max((task.created_at for task in self.tasks_of(environment_id)), default=0)
        return max(self._clock.wall(), newest + 1)

    def _new_task(
        self, environment_id: str, definition: TaskDefinition, origin: Origin, at: int
    ) -> TaskRecord:
        return TaskRecord(
            automation_id(environment_id, definition.reference), environment_id, definition, at, at,
            origin.creator_id, origin.creator_principal, at,
        )  # fmt: skip

    def _changed_task(self, before: TaskRecord, definition: TaskDefinition) -> TaskRecord:
        wall = self._clock.wall()
        version = next_version(before.spec_version, wall)
        return replace(before, definition=definition, updated_at=wall, spec_version=version)

    def _keep(self, record: TaskRecord) -> None:
        self._tasks.setdefault(record.environment_id, {})[record.reference] = record
        self._by_id[record.id] = record

    def _took_effect(
        self, environment_id: str, records: Sequence[TaskRecord] = (), gone: Sequence[TaskRecord] = ()
    ) -> None:
        """What is saved now is true from now on, for services too, and is told."""
        for record in gone:
            del self._tasks[environment_id][record.reference], self._by_id[record.id]
        new = {record.id for record in records if record.id not in self._by_id}
        for record in records:
            self._keep(record)
        self._catalogs.pop(environment_id, None)
        for live in self._host.of(environment_id):
            live.catalog = self.catalog(environment_id)
        for record in gone:
            self._tell(Operation.DELETE, record)
        for record in records:
            self._tell(Operation.CREATE if record.id in new else Operation.UPDATE, record)

    def _tell(self, operation: Operation, record: TaskRecord) -> None:
        self._bulletin.tell(operation, ResourceType.TASK, record.id, record.environment_id, record.creator_id)

    def _check_free(self, environment_id: str, reference: str) -> None:
        self._check_not_going(environment_id, reference)
        if reference in self.catalog(environment_id).needs:
            noun = "task" if reference in self.catalog(environment_id).tasks else "service"
            raise AlreadyExists(
                f"cannot define {reference!r}: the environment has a {noun} of that reference; "
                "update that, or take another"
            )

    def _check_not_going(self, environment_id: str, reference: str) -> None:
        if any(_is_going(live) and live.reference == reference for live in self._host.of(environment_id)):
            raise FailedPrecondition(
                f"cannot define {reference!r}: the service of that reference is being deleted; "
                "wait until it is gone"
            )

    def _check_unneeded(self, noun: str, environment_id: str, reference: str) -> None:
        needs = self.catalog(environment_id).needs
        users = [user for user, wanted in needs.items() if reference in wanted and user != reference]
        if users:
            raise FailedPrecondition(
                f"cannot delete the {noun} {reference}: {', '.join(users)} "
                f"{'depend' if len(users) > 1 else 'depends'} on it; change or delete "
                f"{'these' if len(users) > 1 else 'that'} first"
            )


def _is_going(live: LiveService) -> bool:
    return ServicePhase.DELETED in {live.progress.desired, live.phase}
