"""The composition root: the one place that wires settings, store, runner and engine together.

Knows every part by its constructor. Must not decide anything else. Parts are imported where they are made,
since the command line comes here for small things too.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID, uuid4, uuid5

from phased.engine.clock import SystemClock
from phased.errors import FileUnreadable, PhasedError, StateDirectoryHeld, StoreError, Unavailable
from phased.observability import Level, configure, logger

if TYPE_CHECKING:
    from anyio import Event

    from phased.access.masking import Masker
    from phased.core.specs import Catalog
    from phased.engine.engine import Engine, Limits, Origin
    from phased.engine.triggers.noted import NotedFiring
    from phased.foreground.holder import Guests
    from phased.foreground.prebuild import ForegroundPrebuild
    from phased.foreground.wire import Request
    from phased.foreground.work import EngineWork, Work
    from phased.ports import Clock, FiringStore, StoredExecution
    from phased.settings import Settings
    from phased.store.readonly import ReadonlyStore
    from phased.store.sqlite import SqliteStore
    from phased.store.state_directory import Hold, StateDirectory

LogPath = Callable[[str, str], Path]

_GUESTS_SOCKET: Final = "run.sock"
_INSTALLATION: Final = "installation"
_TRIES: Final = 100
_PAUSE: Final = 0.1
"""How often, and after how many seconds, to try again to hold or to join: one that ends is neither."""


def system_clock() -> Clock:
    """The machine's clocks."""
    return SystemClock()


@dataclass(frozen=True, slots=True)
class Order:
    """What a foreground run wants: tasks of a catalog, in a workspace."""

    workspace: Path
    catalog: Catalog
    references: tuple[str, ...]
    started_by: str
    max_parallel: int
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine over real processes that holds its state directory."""

    engine: Engine
    recovered: list[StoredExecution]
    """What an earlier engine had left unfinished, as it ended now."""
    state: StateDirectory
    settings: Settings
    hold: Hold
    store: SqliteStore

    def log_path(self, execution_id: str, step_id: str) -> Path:
        """Where the output of a step lies."""
        return self.state.log_path(execution_id, step_id)

    def origin(self, started_by: str) -> Origin:
        """Who starts something here: the user of this process."""
        return origin(started_by, installation_id(self.state))

    async def fire(self, order: Order) -> EngineWork:
        """Create what is ordered. Raises UnknownReference, CycleFound, Unsupported, StoreError."""
        return await _fire(
            self.engine, order, self.origin(order.started_by), self.settings, lambda: self.store.firings
        )


async def _fire(
    engine: Engine,
    order: Order,
    origin: Origin,
    settings: Settings,
    firings: Callable[[], FiringStore] | None = None,
) -> EngineWork:
    """Create what is ordered; what a trigger starts is on record as a firing, if there is a store of them."""
    from phased.foreground.work import EngineWork  # noqa: PLC0415 - see the module's opening

    async with engine.firing:
        noted = await _noted(order, origin, firings)
        joined = [] if noted is None else noted.join(engine.lives)
        known = {live.record.reference: live for live in joined}
        try:
            lives = await engine.fire(
                order.catalog, [one for one in order.references if one not in known],
                origin if noted is None else noted.origin,
                max_parallel=order.max_parallel, workspace=order.workspace, owns_services=True,
            )  # fmt: skip
        except PhasedError as error:
            if noted is not None:
                await noted.failed(str(error))
            raise
        if noted is not None:
            await noted.started(lives)
    return EngineWork(
        engine, lives, joined=joined, keep=order.keep, stop_timeout=settings.run.stop_timeout,
        at_end=noted.completed if noted is not None else None,
    )  # fmt: skip


async def _noted(
    order: Order, origin: Origin, firings: Callable[[], FiringStore] | None
) -> NotedFiring | None:
    """The record of a firing, of what a trigger starts."""
    if firings is None or order.started_by == "manual":
        return None
    from phased.engine.triggers.noted import NotedFiring  # noqa: PLC0415 - only for a trigger

    environment_id = order.catalog.environment
    return await NotedFiring.open(firings(), SystemClock(), environment_id, order.references, origin)


@asynccontextmanager
async def open_engine(settings: Settings, workspace: Path) -> AsyncIterator[Opened]:
    """An engine over real processes and the state on disk; leaving it ends no step.

    Raises StateDirectoryHeld where another process works there, StoreError, FileUnreadable, RunnerError.
    """
    from phased.engine.engine import Engine  # noqa: PLC0415 - see the module's opening
    from phased.engine.recovery import recover  # noqa: PLC0415 - the same
    from phased.runners.containers import RunnerWithContainers  # noqa: PLC0415 - the same
    from phased.runners.process import ProcessRunner  # noqa: PLC0415 - the same
    from phased.settings import base_environment  # noqa: PLC0415 - the same
    from phased.store.sqlite import SqliteStore  # noqa: PLC0415 - the same

    configure(cast("Level", settings.log.level), "json" if settings.log.format == "json" else "text")
    clock = SystemClock()
    state = state_directory(settings)
    state.create()
    limits = limits_of(settings)
    with state.hold() as hold:
        synchronous = "full" if settings.store.synchronous == "full" else "normal"
        store = SqliteStore.open(state.database, synchronous=synchronous)  # type: ignore[arg-type] # one of its two
        try:
            made = ProcessRunner(state.path, base_environment(), settings.run.shell or None, clock)
            made.keep_of_logs(settings.run.log_budget)
            made.use_cgroups(settings.run.cgroup)
            async with (
                made as processes,
                RunnerWithContainers(
                    processes, state.path, base_environment(), settings.docker, clock
                ) as runner,
            ):
                recovered = await recover(store, runner, clock, limits.stop_timeout, limits.kill_timeout)
                opened = Engine(store, runner, clock, workspace, state.log_path, limits)
                opened.container_options = lambda _: {}
                async with opened as engine:
                    await engine.services.restore()
                    gc.freeze()  # what is here now stays: a full collection need not walk through it
                    yield Opened(engine, recovered, state, settings, hold, store)
                    await _forget_surplus(engine, store, state, settings)
        finally:
            await store.close()


async def _forget_surplus(
    engine: Engine, store: SqliteStore, state: StateDirectory, settings: Settings
) -> None:
    """Keep the history within its limits; what that costs is paid only where there is too much."""
    section, clock = settings.history, SystemClock()
    before = clock.wall() - round(section.keep_age * 1_000_000) if section.keep_age else None
    try:
        surplus = await store.history.surplus(keep=section.keep_count or None, before=before, limit=1)
        if surplus and not engine.lives:
            from phased.engine.retention import Keep, Retention  # noqa: PLC0415 - rarely needed
            from phased.logs.shelf import Shelf  # noqa: PLC0415 - the same

            keep = Keep(section.keep_count or None, section.keep_age or None)
            await Retention(engine, store.history, Shelf(state.runs), clock, keep).tidy()
    except StoreError as error:
        logger("phased.retention").warning("history_not_trimmed", reason=str(error))


def limits_of(settings: Settings) -> Limits:
    """What settings say of how executions run and end."""
    from phased.core.service_policy import ServiceLimits  # noqa: PLC0415 - see the module's opening
    from phased.engine.engine import Limits  # noqa: PLC0415 - the same

    run, services = settings.run, settings.services
    of_services = ServiceLimits(
        stop_timeout=services.stop_timeout,
        stop_command_timeout=services.stop_command_timeout,
        kill_timeout=run.kill_timeout,
    )
    return Limits(run.max_parallel, run.stop_timeout, run.kill_timeout, of_services)


@asynccontextmanager
async def dry_work(settings: Settings, order: Order) -> AsyncIterator[EngineWork]:
    """What is ordered, over a runner that starts nothing and a store that forgets; leaves no trace."""
    from phased.engine.engine import Engine  # noqa: PLC0415 - see the module's opening
    from phased.runners.dry import DryRunner  # noqa: PLC0415 - the same
    from phased.store.memory import MemoryStore  # noqa: PLC0415 - the same

    clock = SystemClock()
    limits = limits_of(settings)
    dry = Engine(MemoryStore(), DryRunner(clock), clock, order.workspace, no_log, limits)
    dry.container_options = lambda _: {}
    async with dry as engine:
        yield await _fire(engine, order, origin(order.started_by, ""), settings)


def no_log(execution_id: str, step_id: str) -> Path:  # noqa: ARG001 - the shape of a log path
    """Where a step that never runs writes."""
    return Path(os.devnull)


@dataclass(frozen=True, slots=True)
class Foreground:
    """A run in the foreground: here, or by the process that holds the state directory."""

    work: Work
    log_path: LogPath
    recovered: list[StoredExecution]
    guests: Guests | None
    """Who joined this process; None where this one is the guest."""
    holder: int | None
    """The pid of the process that was joined."""


@asynccontextmanager
async def run_or_join(settings: Settings, order: Order) -> AsyncIterator[Foreground]:
    """Hold the state directory and run what is ordered; where another foreground run holds it, join that.

    Raises StateDirectoryHeld where the holder cannot be joined, and what `open_engine` and `fire` raise.
    """
    import anyio  # noqa: PLC0415 - see the module's opening

    from phased.foreground.work import NobodyThere  # noqa: PLC0415 - the same

    async with AsyncExitStack() as stack:
        for _ in range(_TRIES):
            try:
                foreground = await stack.enter_async_context(_running(settings, order))
                break
            except StateDirectoryHeld as error:
                held = error
            with suppress(NobodyThere):
                foreground = await stack.enter_async_context(_joined(settings, order, held))
                break
            await anyio.sleep(_PAUSE)
        else:
            raise held
        yield foreground


@asynccontextmanager
async def _running(settings: Settings, order: Order) -> AsyncIterator[Foreground]:
    from phased.foreground.holder import receive_guests  # noqa: PLC0415 - see the module's opening

    async with open_engine(settings, order.workspace) as opened:

        async def accept(request: Request) -> Work:
            return await opened.fire(_order(request))

        path = opened.state.path / _GUESTS_SOCKET
        async with receive_guests(path, accept) as guests:
            opened.hold.name_socket(str(path))
            work = await opened.fire(order)
            yield Foreground(work, opened.log_path, opened.recovered, guests, None)


@asynccontextmanager
async def _joined(settings: Settings, order: Order, held: StateDirectoryHeld) -> AsyncIterator[Foreground]:
    from phased.contract.definitions import Definitions  # noqa: PLC0415 - see the module's opening
    from phased.foreground.guest import join  # noqa: PLC0415 - the same
    from phased.foreground.wire import Request  # noqa: PLC0415 - the same
    from phased.foreground.work import NobodyThere  # noqa: PLC0415 - the same

    state = state_directory(settings)
    holder = state.holder()
    if holder is None or holder.socket is None:
        raise NobodyThere(str(held))
    socket = state.path / _GUESTS_SOCKET  # a daemon names another one, and listens here too
    catalog = order.catalog
    definitions = Definitions(tasks=tuple(catalog.tasks.values()), services=tuple(catalog.services.values()))
    request = Request(
        str(order.workspace), catalog.environment, definitions, order.references,
        order.started_by, order.max_parallel, order.keep,
    )  # fmt: skip
    async with join(socket, request) as work:
        yield Foreground(work, state.log_path, [], None, holder.pid)


@asynccontextmanager
async def taking_guests(
    settings: Settings,
    engine: Engine,
    draining: Event,
    firings: FiringStore,
    check: Callable[[str], object] = lambda _: None,
) -> AsyncIterator[None]:
    """Foreground runs on the state directory of a daemon are carried out by its engine, until it drains.

    `check` raises where nothing may be started in an environment, by its id.
    """
    from phased.foreground.holder import receive_guests  # noqa: PLC0415 - see the module's opening

    state = state_directory(settings)

    async def accept(request: Request) -> Work:
        if draining.is_set():
            raise Unavailable("cannot run this now: the daemon of this state directory is ending")
        order = _order(request)
        check(request.environment)
        who = origin(order.started_by, installation_id(state))
        return await _fire(engine, order, who, settings, lambda: firings)

    async with receive_guests(state.path / _GUESTS_SOCKET, accept):
        yield


@asynccontextmanager
async def open_prebuild(
    settings: Settings, workspace: Path, catalog: Catalog, patience: float | None
) -> AsyncIterator[ForegroundPrebuild]:
    """A prebuild in this process, which holds the state directory; raises as `open_engine`."""
    import anyio  # noqa: PLC0415 - see the module's opening

    from phased.engine.triggers.firings import Firings  # noqa: PLC0415 - the same
    from phased.engine.triggers.live import Site  # noqa: PLC0415 - the same
    from phased.foreground.prebuild import ForegroundPrebuild  # noqa: PLC0415 - the same

    site = Site(catalog.environment, catalog, str(workspace))
    async with open_engine(settings, workspace) as opened, anyio.create_task_group() as tasks:
        stores = (opened.store, opened.store.firings)
        firings = Firings(stores, opened.engine, SystemClock(), lambda _: site, tasks)
        await firings.load()
        yield ForegroundPrebuild(firings, site.environment_id, opened.origin("prebuild"), patience)
        tasks.cancel_scope.cancel()


def _order(request: Request) -> Order:
    from phased.core.specs import Catalog  # noqa: PLC0415 - see the module's opening

    return Order(
        Path(request.workspace), Catalog(request.environment, request.definitions), request.references,
        request.started_by, request.max_parallel, request.keep,
    )  # fmt: skip


def state_directory(settings: Settings) -> StateDirectory:
    """The state directory that settings name; nothing is touched."""
    from phased.store.state_directory import StateDirectory  # noqa: PLC0415 - see the module's opening

    return StateDirectory(settings.state_directory)


def daemon_socket(settings: Settings) -> Path | None:
    """The socket of the daemon that works on the state directory; None where none does.

    A foreground run is no daemon. Raises FileUnreadable.
    """
    holder = state_directory(settings).holder()
    if holder is None or holder.socket is None or Path(holder.socket).name == _GUESTS_SOCKET:
        return None
    return Path(holder.socket)


def open_state(settings: Settings) -> tuple[ReadonlyStore, StateDirectory]:
    """History and logs to read, whether somebody works there or not; nothing is made or changed."""
    from phased.store.readonly import ReadonlyStore  # noqa: PLC0415 - see the module's opening

    state = state_directory(settings)
    return ReadonlyStore(state.database), state


async def open_masker(settings: Settings, environment_ids: Iterable[str]) -> Masker:
    """Hides all secrets of the state directory, old values too, and the tokens of these environments' steps.

    For who reads logs and outputs where they lie. Raises KeyUnusable, StoreError.
    """
    from phased.access.key import Key  # noqa: PLC0415 - see the module's opening
    from phased.access.masking import Masker  # noqa: PLC0415 - the same
    from phased.access.sealing import unseal  # noqa: PLC0415 - the same
    from phased.access.tickets import of_step, sign  # noqa: PLC0415 - the same
    from phased.settings import credentials_directory  # noqa: PLC0415 - the same

    store, state = open_state(settings)
    key = Key(state.path, credentials_directory())
    values = [unseal(key, secret_id, sealed) for secret_id, sealed in await store.sealed_values()]
    if key.exists:
        tickets = [of_step(one, trigger) for one in environment_ids for trigger in ("", "prebuild")]
        values += [sign(key, ticket) for ticket in tickets]
    return Masker(values)


def installation_id(state: StateDirectory) -> str:
    """The id of this installation, made at its first use; ids of local users follow from it.

    Raises FileUnreadable.
    """
    path = state.path / _INSTALLATION
    try:
        if not path.exists():  # else there need be no room on the disk
            with suppress(FileExistsError):
                _write_once(path, str(uuid4()))
        return str(UUID(path.read_text(encoding="ascii").strip()))
    except OSError as error:
        raise FileUnreadable(
            f"cannot read or make the id of this installation in {path}: {error.strerror}; "
            "see that the folder is yours and has room"
        ) from error
    except ValueError as error:
        raise FileUnreadable(
            f"cannot read the id of this installation in {path}: it is none; put back what was there, or "
            "remove it: local users get other ids then"
        ) from error


def _write_once(path: Path, text: str) -> None:
    """Whole or not at all: a crash must not leave half an id."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_text(f"{text}\n", encoding="ascii")
        os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def origin(started_by: str, installation: str) -> Origin:
    """Who starts something: the user of this process, as a principal (`semantics: Who, what and where`)."""
    from phased.engine.engine import Origin  # noqa: PLC0415 - see the module's opening

    creator = str(uuid5(UUID(installation), f"uid:{os.getuid()}")) if installation else ""
    return Origin(started_by, creator, "PRINCIPAL_USER")
