"""Opens the parts of the daemon that serves, over one state directory; nobody can reach them yet.

Knows every part by its constructor. Must not know sockets, or decide anything.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from phased import __version__, loader
from phased.access.callers import Access
from phased.access.identity import Installation
from phased.access.key import Key
from phased.access.people import read_people, read_tier
from phased.access.steps import StepSecrets
from phased.access.tokens import Tokens
from phased.access.vault import Vault
from phased.api.house import Facts, House
from phased.api.routes import KNOWN_ROLES
from phased.core.classes import read_classes
from phased.daemon import installation_id, limits_of, origin, state_directory
from phased.engine.clock import SystemClock
from phased.engine.domain import Domain, Stores, open_domain
from phased.engine.engine import Engine
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.ground import Ground
from phased.engine.retention import Keep, Retention
from phased.errors import FileUnreadable, NotFound
from phased.logs.shelf import Shelf
from phased.metrics import Metrics, TimedRunner, TimedStore
from phased.observability import Level, configure
from phased.runners.containers import RunnerWithContainers
from phased.runners.identity import environment_of_step, runs_as, user_of_steps
from phased.runners.users import open_runner
from phased.serving.step_users import StepUsers
from phased.settings import base_environment, credentials_directory, reloaded, reloaded_sequence
from phased.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from phased.contract.definitions import Definitions
    from phased.core.environment import EnvironmentRecord
    from phased.ports import Runner, Store
    from phased.settings import Settings
    from phased.store.state_directory import Hold, StateDirectory


@dataclass(frozen=True, slots=True)
class Opened:
    """A daemon's parts, working; nobody can reach it yet."""

    house: House
    hold: Hold
    environment: EnvironmentRecord
    """The one that it was started for."""
    clock: SystemClock
    retention: Retention


@asynccontextmanager
async def open_house(settings: Settings, workspace: Path) -> AsyncIterator[Opened]:
    """All parts over the state on disk; leaving it ends no step. Raises as `serve`."""
    configure(cast("Level", settings.log.level), "json" if settings.log.format == "json" else "text")
    clock, metrics = SystemClock(), Metrics()
    state = state_directory(settings)
    state.create()
    async with AsyncExitStack() as stack:
        earlier = reloaded()
        hold = stack.enter_context(state.hold(inherited=earlier[0] if earlier else None))
        store = SqliteStore.open(state.database, synchronous=_synchronous(settings))
        stack.push_async_callback(store.close)
        installation = Installation(installation_id(state), read_tier(settings.organization.tier))
        access, vault, tokens = await _open_access(settings, state, store, installation, clock)
        users = StepUsers(workspace, user_of_steps(settings.run.user), access)
        runner = await stack.enter_async_context(
            open_runner(state.path, base_environment(), settings.run, clock)
        )
        named = user_of_steps(settings.run.user)
        boxed = await stack.enter_async_context(
            RunnerWithContainers(
                runner,
                state.path,
                base_environment(),
                settings.docker,
                clock,
                lambda one: runs_as(one, named),
            )
        )
        limits = limits_of(settings)
        timed_store = cast("Store", TimedStore(store, metrics, clock))
        timed_runner = cast("Runner", TimedRunner(boxed, metrics, clock))
        engine = Engine(timed_store, timed_runner, clock, workspace, state.log_path, limits)
        engine.access = StepSecrets(vault, access, str(settings.socket_path), users.owner_of_files)
        engine.container_options = lambda _: {}
        await stack.enter_async_context(engine)
        domain = await stack.enter_async_context(
            open_domain(
                engine,
                Stores(timed_store, store.definitions, store.firings),
                clock,
                classes_of(settings, installation),
                Ground(
                    state.path / "workspaces",
                    state.execution_path,
                    read_automations,
                    base_environment(),
                    hand_over=users.hand_over,
                    forget=vault.delete_of,
                ),
                told=reloaded_sequence(),
            )
        )
        _introduce(domain, access, vault)
        users.workspace_of = domain.environments.workspace_of
        access.step_of = lambda pid: environment_of_step(
            pid, lambda one: access.owner_of(one) is not None, runner.supervisors
        )
        user = origin("manual", installation.id)
        environment = await domain.environments.adopt(workspace, user)
        domain.environments.resume()
        house = House(
            engine, domain.automations, domain.environments, domain.executions, domain.changes, domain.stream,
            access, tokens, vault, installation, metrics, _facts(settings, state, clock), state.log_path,
            KNOWN_ROLES, domain.firings, domain.prebuilds, clock, users.base_environment,
            store.lost,
        )  # fmt: skip
        retention = Retention(
            engine, store.history, Shelf(state.runs), clock, _keep(settings), vault.drop_former_values
        )
        yield Opened(house, hold, environment, clock, retention)


async def _open_access(
    settings: Settings,
    state: StateDirectory,
    store: SqliteStore,
    installation: Installation,
    clock: SystemClock,
) -> tuple[Access, Vault, Tokens]:
    key = Key(state.path, credentials_directory())
    vault = await Vault.open(store.access, key, clock, installation.organization_id)
    tokens = await Tokens.open(store.access, clock)
    people = read_people(installation, settings.access.users, settings.access.groups)
    return Access(people, tokens, key, clock), vault, tokens


def _introduce(domain: Domain, access: Access, vault: Vault) -> None:
    """Who creates an environment owns it: what both ask the environments."""

    def owner_of(environment_id: str) -> str | None:
        try:
            return domain.environments.record(environment_id).creator_id
        except NotFound:
            return None

    access.owner_of = vault.owner_of = owner_of


def classes_of(settings: Settings, installation: Installation) -> EnvironmentClasses:
    """What environments can be made of."""
    section = settings.environments
    found, order = read_classes(
        section.classes, section.preferred, installation.class_id, installation.runner_id
    )
    return EnvironmentClasses(found, installation.class_id("local"), order)


def read_automations(workspace: Path, path: str) -> tuple[str, Definitions] | None:
    """The automations file of a workspace, by `path` or by convention; None where there is none.

    Raises InvalidFile, FileUnreadable.
    """
    if path:
        file = (workspace / path).resolve()
        if not file.is_relative_to(workspace.resolve()):
            raise FileUnreadable(f"cannot read the automations file {path}: it is not in the workspace")
    else:
        try:
            file = loader.find(workspace)
        except FileUnreadable:
            return None
        file = loader.find_own(workspace)
    return os.path.relpath(file, workspace.resolve()), loader.definitions(loader.read(file, lenient=True))


def _facts(settings: Settings, state: StateDirectory, clock: SystemClock) -> Facts:
    created = datetime.fromtimestamp((state.path / "installation").stat().st_mtime, UTC)
    started = datetime.fromtimestamp(clock.wall() / 1_000_000, UTC)
    return Facts(
        __version__, os.getpid(), os.getuid(), socket.gethostname(), settings.organization.region,
        str(state.path), created, started,
    )  # fmt: skip


def _keep(settings: Settings) -> Keep:
    """0 is no limit."""
    section = settings.history
    return Keep(section.keep_count or None, section.keep_age or None, section.keep_size or None)


def _synchronous(settings: Settings) -> Literal["normal", "full"]:
    return "full" if settings.store.synchronous == "full" else "normal"
