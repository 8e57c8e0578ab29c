"""A daemon's domain as one: environments, what they define, executions, and the feeds that tell of them.

Knows the parts by their constructors. Must not know SQLite, processes, files or messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from phased.engine.bulletin import Bulletin, ExecutionListener, ServiceListener
from phased.engine.changes import ChangeFeed
from phased.engine.definitions.automations import Automations
from phased.engine.engine import Engine
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.emptying import Emptying
from phased.engine.environments.environments import Environments
from phased.engine.environments.ground import Ground
from phased.engine.environments.ledger import Ledger
from phased.engine.environments.workers import Workers
from phased.engine.executions import Executions
from phased.engine.stream import StatusStream
from phased.engine.triggers.firings import Firings
from phased.engine.triggers.live import Site
from phased.engine.triggers.prebuild import Prebuilds
from phased.engine.triggers.starting import fires_on_start
from phased.ports import Clock, DefinitionStore, FiringStore, Store


@dataclass(frozen=True, slots=True)
class Domain:
    """Everything that a daemon's handlers ask."""

    engine: Engine
    environments: Environments
    automations: Automations
    executions: Executions
    changes: ChangeFeed
    """Which resources changed: for WatchEvents."""
    stream: StatusStream
    """What changed in every status: for the native stream."""
    bulletin: Bulletin
    """Where what is no status is told: secrets, runners."""
    firings: Firings
    prebuilds: Prebuilds


@dataclass(frozen=True, slots=True)
class Stores:
    """All that is remembered; one file has it."""

    progress: Store
    definitions: DefinitionStore
    firings: FiringStore


def _container_options(ledger: Ledger, classes: EnvironmentClasses, environment_id: str) -> Mapping[str, str]:
    """What the class of an environment says of containers."""
    record = ledger.find(environment_id)
    machine = record.spec.machine if record else None
    return classes.configuration((machine.class_ if machine else None) or "")


@asynccontextmanager
async def open_domain(
    engine: Engine,
    stores: Stores,
    clock: Clock,
    classes: EnvironmentClasses,
    ground: Ground,
    *,
    told: int | None = None,
) -> AsyncIterator[Domain]:
    """The domain of a daemon over an engine that is entered; leaving ends no step.

    Environments are loaded, executions and services taken over when this returns; `environments.resume`
    sends the workers of environments on. `told`: the number of the last event that was told, where nothing
    has changed since. Raises StoreError.
    """
    changes, stream = ChangeFeed(), StatusStream(clock.wall() if told is None else told)
    bulletin = Bulletin(changes, stream)
    ledger = Ledger(stores.definitions, clock, bulletin)
    await ledger.load()
    if engine.container_options is not None:
        engine.container_options = lambda one: _container_options(ledger, classes, one)
    automations = Automations(
        stores.definitions, engine.services, clock, bulletin, lambda one: ledger.record(one).workspace
    )
    emptying = Emptying(engine, stores.definitions)
    async with anyio.create_task_group() as tasks:
        workers = Workers(ledger, automations, emptying, ground, clock, tasks)
        environments = Environments(ledger, workers, classes, ground, clock)
        executions = Executions(stores.progress, stores.definitions, engine, automations, environments)
        services = await stores.progress.list_services()
        listener = ServiceListener(bulletin)
        for record in services:
            listener.know(record)
        engine.feed.attach(ExecutionListener(bulletin, engine.live))
        engine.services.feed.attach(listener)
        await engine.take_over(await automations.load(services))

        def site_of(environment_id: str) -> Site:
            record = environments.check_at_work(environment_id)
            return Site(record.id, automations.catalog(record.id), record.workspace)

        firings = Firings((stores.progress, stores.firings), engine, clock, site_of, tasks)
        await firings.load()
        environments.on_start = fires_on_start(firings)
        yield Domain(
            engine, environments, automations, executions, changes, stream, bulletin, firings,
            Prebuilds(firings),
        )  # fmt: skip
        tasks.cancel_scope.cancel()
