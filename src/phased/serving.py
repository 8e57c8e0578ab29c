"""The composition of the daemon that serves: every part over one state directory, and the sockets before it.

Knows every part by its constructor. Must not decide anything else. `phased serve` is the one caller; it
imports this when it is called, as nothing else of the program needs a server.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import anyio

from phased import __version__, loader
from phased.access.callers import Access
from phased.access.identity import Installation
from phased.access.key import Key
from phased.access.mounts import FileOwner
from phased.access.people import read_people, read_tier
from phased.access.steps import StepSecrets
from phased.access.tokens import Tokens
from phased.access.vault import Vault
from phased.api.answering import Answering
from phased.api.application import Application
from phased.api.farewell import Farewell, Say
from phased.api.house import Facts, House
from phased.api.listeners import adopt, bind_tcp, bind_unix, bind_web, is_at, is_web, web_bound
from phased.api.plain import plain_application
from phased.api.routes import KNOWN_ROLES, ROUTES
from phased.api.server import Server
from phased.contract.resource import ResourceType
from phased.core.classes import read_classes
from phased.core.phases import State
from phased.core.service_phases import RESTING
from phased.daemon import installation_id, limits_of, origin, state_directory, taking_guests
from phased.engine.clock import SystemClock
from phased.engine.domain import Domain, Stores, open_domain
from phased.engine.engine import Engine
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.ground import Ground
from phased.engine.retention import Keep, Retention
from phased.errors import FellBehind, FileUnreadable, NotFound, RunnerError
from phased.logs.shelf import Shelf
from phased.metrics import Metrics, Readings, TimedRunner, TimedStore
from phased.observability import Level, configure, logger
from phased.reloading import Handover, check_next
from phased.runners.containers import RunnerWithContainers
from phased.runners.identity import environment_of_step, give_away, runs_as, user_of_steps
from phased.runners.surroundings import steps_environment
from phased.runners.users import open_runner
from phased.settings import base_environment, credentials_directory, reloaded, service_notices
from phased.store.sqlite import SqliteStore
from phased.systemd import ServiceManager, inherited_sockets, stop_reason

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from phased.api.gate import Listener
    from phased.contract.definitions import Definitions
    from phased.core.environment import EnvironmentRecord
    from phased.engine.changes import ResourceChange
    from phased.ports import Runner, Store
    from phased.settings import Settings
    from phased.store.state_directory import Hold, StateDirectory

_SHOWN: Final = 5
"""Names on the line that says what runs."""
_BREATH: Final = 1.0
"""Seconds between two messages to the service manager."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A daemon's parts, working; nobody can reach it yet."""

    house: House
    hold: Hold
    environment: EnvironmentRecord
    """The one that it was started for."""
    clock: SystemClock
    retention: Retention


async def serve(settings: Settings, workspace: Path, say: Say) -> Handover | None:
    """Be the daemon of a state directory until SIGTERM, SIGINT, or SIGHUP at a terminal.

    SIGUSR2, and SIGHUP where there is no terminal, reload: what the next version is to get is returned.

    `say` tells a person; the line `READY` comes when the first request would be answered. Raises
    StateDirectoryHeld where another process works there, SettingsError, FileUnreadable, StoreError,
    RunnerError.
    """
    notices, watchdog = service_notices()
    manager = ServiceManager(notices)
    async with AsyncExitStack() as stack:
        inherited = inherited_sockets()  # before anything is started that could inherit them, too
        for one in inherited:
            stack.callback(one.close)
        stops = stack.enter_context(anyio.open_signal_receiver(*_heeded()))
        reloads = {signal.SIGUSR2} if _has_terminal() else {signal.SIGUSR2, signal.SIGHUP}
        opened = await stack.enter_async_context(open_house(settings, workspace))
        server = await stack.enter_async_context(_listening(settings, opened, inherited, say))
        await stack.enter_async_context(
            taking_guests(
                settings,
                opened.house.engine,
                opened.house.draining,
                opened.house.firings.store,
                opened.house.check_at_work,
            )
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        if notices:
            tasks.start_soon(_keep_informed, manager, watchdog, opened.house)
        tasks.start_soon(opened.retention.run)
        manager.ready(f"serving {workspace}")
        say("READY")
        number, handover = await anext(aiter(stops)), None
        while number in reloads and handover is None:
            handover = await _reload(settings, opened, server, manager, say)
            number = number if handover else await anext(aiter(stops))
        if handover is None:
            await _end(settings, opened, server, _Ending(manager, say, stops, signal.Signals(number).name))
        tasks.cancel_scope.cancel()
        return handover


# ---- the parts --------------------------------------------------------------------------------------


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
        )  # fmt: skip
        retention = Retention(
            engine, store.history, Shelf(state.runs), clock, _keep(settings), vault.drop_former_values
        )
        yield Opened(house, hold, environment, clock, retention)


class StepUsers:
    """As whom steps run, and so whose their files are, where root runs the daemon (rule 17)."""

    def __init__(self, workspace: Path, named: int | None, access: Access) -> None:
        """`named` is the setting run.user, `workspace` that of the daemon's own environment."""
        self._workspace = workspace
        self._named = named
        self._access = access
        self.workspace_of: Callable[[str], str] = lambda _: str(workspace)

    def owner_of_files(self, environment_id: str) -> FileOwner | None:
        """Whose the files of an environment's secrets are."""
        who = runs_as(self.workspace_of(environment_id), self._named)
        return None if who is None else FileOwner(who.uid, who.gid, who.groups)

    def hand_over(self, creator_id: str, path: Path) -> None:
        """A scratch workspace is its creator's; root's is the owner's of the daemon's own workspace."""
        people = self._access.people
        creator = next((uid for uid in people.roles if people.installation.user_id(uid) == creator_id), 0)
        who = runs_as(str(self._workspace), self._named if self._named is not None else creator or None)
        if who is not None:
            give_away(path, who)

    def base_environment(self, workspace: str) -> dict[str, str]:
        """What every command in a directory starts with. Raises RunnerError."""
        who = runs_as(workspace, self._named)
        base = base_environment()
        return steps_environment(base if who is None else who.environment(base))

    def own(self, socket_path: Path) -> None:
        """Steps call the daemon back: its socket is their user's (root needs no right to use it)."""
        who = runs_as(str(self._workspace), self._named)
        if who is not None:
            os.chown(socket_path, who.uid, who.gid)


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


# ---- the sockets ------------------------------------------------------------------------------------


@asynccontextmanager
async def _listening(
    settings: Settings, opened: Opened, inherited: Sequence[socket.socket], say: Say
) -> AsyncIterator[Server]:
    """Requests are answered within."""
    house = opened.house
    path = settings.socket_path
    async with AsyncExitStack() as stack:
        earlier = reloaded()
        remembered = Path(house.facts.state_directory) / "web-address"
        of_web = [one for one in inherited if is_web(one, settings, remembered)]
        bound = [adopt(one, settings) for one in inherited if one not in of_web]
        ours = not any(is_at(one, path) for one in bound)  # else it is the service manager's, and stays
        if ours:
            bound.append(bind_unix(path))
        made: list[Server] = []
        owns_path = ours or (earlier is not None and earlier[1])
        if owns_path:
            stack.callback(_remove, path, made)
        StepUsers(Path(opened.environment.workspace), user_of_steps(settings.run.user), house.access).own(
            path
        )
        if settings.listen.address and not (earlier and any(not one.listener.local for one in bound)):
            bound.append(bind_tcp(settings))
        house.listeners = tuple(one.listener for one in bound)
        answering = await stack.enter_async_context(Answering(house.draining))
        pages = None
        if settings.web.enabled:
            bound.append(web_bound(of_web[0], settings) if of_web else bind_web(settings, remembered))
            pages = _pages(house, answering, bound[-1].listener)
        for one in of_web[int(settings.web.enabled) :]:
            one.close()  # nobody answers there
        application = Application(
            house, house.access, answering, ROUTES, plain_application(lambda: _unready(house)), pages
        )
        server = Server(application, bound)
        server.owns_path = owns_path
        made.append(server)
        house.metrics.read_from(lambda: _readings(house, server))
        await stack.enter_async_context(server)
        opened.hold.name_socket(str(path))
        _tell([one.listener for one in bound], say)
        yield server


def _tell(listeners: Sequence[Listener], say: Say) -> None:
    """Where the daemon is reached, but for its socket."""
    for one in listeners:
        if one.pages:
            say(f"page on {one.origin}/web/; `phased web` logs in")
        elif not one.local:
            say(f"listening on {one.origin}")


def _pages(house: House, answering: Answering, listener: Listener) -> ASGIApp:
    """The pages for browsers. What they need is not loaded where there are none."""
    from phased.api.web_logins import WebLogins, reachable  # noqa: PLC0415 - only with pages
    from phased.web.pages import open_pages  # noqa: PLC0415 - the same

    house.web_logins = WebLogins(reachable(listener.origin), house.clock)
    return open_pages(house, answering, ROUTES, listener)


def _remove(path: Path, servers: Sequence[Server]) -> None:
    """The unix socket goes with its server, unless that has handed it over."""
    if not any(server.handed_over for server in servers):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _unready(house: House) -> str | None:
    if house.draining.is_set():
        return "ending"
    return house.trouble()


def _readings(house: House, server: Server) -> Readings:
    """What gauges say at this moment."""
    executions: dict[str, int] = {}
    running = waiting = 0
    for live in house.engine.lives:
        phase = live.machine.phase.name
        executions[phase] = executions.get(phase, 0) + 1
        running += sum(not run.ended for run in live.runs.values())
        waiting += sum(step.state is State.WAITING for step in live.machine.steps.values())
    services: dict[str, int] = {}
    for service in house.automations.services():
        services[service.phase.name] = services.get(service.phase.name, 0) + 1
    return Readings(executions, running, waiting, services, house.open_streams, server.connections)


# ---- the end ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ending:
    """Who wants it, and who is told."""

    manager: ServiceManager
    say: Say
    stops: AsyncIterator[signal.Signals]
    by: str


_FATES: Final = {"stop": "is stopped", "keep": "goes on"}


async def _end(settings: Settings, opened: Opened, server: Server, ending: _Ending) -> None:
    """Refuse new work, stop or leave what runs, let answers end.

    Raises RunnerError where systemd is to end what could not be stopped in time (rule 22).
    """
    daemon, house = settings.daemon, opened.house
    in_time = True
    reason = await stop_reason()
    on_stop = "keep" if reason == "restart" else daemon.on_stop  # rule 23
    plan = f"ending ({reason or ending.by}): running work {_FATES[on_stop]}"
    ending.manager.stopping(plan)
    if reason:
        ending.say(plan)
    logger("phased.daemon").info("ending", by=ending.by, reason=reason, on_stop=on_stop)
    house.drain()
    if on_stop == "stop":
        farewell = Farewell(house.engine, opened.clock, daemon.stop_timeout, ending.say)
        ending.manager.patience(daemon.stop_timeout + daemon.drain_timeout + 10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill_on_more, ending, farewell)
            in_time = await farewell.stop_all()
            tasks.cancel_scope.cancel()
    with anyio.move_on_after(daemon.drain_timeout):
        await server.finish()
    if not in_time and reason in {"stop", "shutdown"}:
        raise RunnerError(
            "cannot stop all that runs within daemon.stop_timeout; the service manager ends what is left"
        )


def _has_terminal() -> bool:
    """Whether a terminal controls this process: its end is what SIGHUP means then (tty(4)).

    To be asked at the beginning: a terminal that has hung up is nobody's any more.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


async def _reload(
    settings: Settings, opened: Opened, server: Server, manager: ServiceManager, say: Say
) -> Handover | None:
    """Let go of all, for the next version; None where that cannot be loaded, and nothing has changed."""
    log = logger("phased.daemon")
    tried = await anyio.run_process(check_next(), check=False, stdin=subprocess.DEVNULL)
    if tried.returncode:
        reason = tried.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        log.error("reload_refused", reason=reason)
        say(f"cannot reload: the new version cannot be loaded ({reason}); this one goes on")
        return None
    manager.reloading(anyio.current_time())  # of CLOCK_MONOTONIC, as the loop of asyncio is
    log.info("reloading")
    say("reloading: running work goes on")
    sockets = server.hand_over()
    opened.house.drain()
    with anyio.move_on_after(settings.daemon.drain_timeout):
        await server.finish()
    return Handover(sockets, opened.hold.hand_over(), server.owns_path)


async def _kill_on_more(ending: _Ending, farewell: Farewell) -> None:
    """Who asks again does not want to wait."""
    async for _ in ending.stops:
        ending.say("killing what still runs")
        farewell.kill_all()


async def _keep_informed(manager: ServiceManager, watchdog: float | None, house: House) -> None:
    """Signs of life, three in the watchdog's time; and what runs, once it changed, at most once a second."""
    pause, told = max((watchdog or math.inf) / 3, _BREATH), ""
    while True:
        with suppress(FellBehind), house.changes.subscribe(_is_work) as news:
            while True:
                now = _doing(house)
                if watchdog is not None:
                    manager.alive("" if now == told else now)
                elif now != told:
                    manager.status(now)
                told = now
                with anyio.move_on_after(pause):
                    await news.get()
                    await anyio.sleep(_BREATH)


def _is_work(change: ResourceChange) -> bool:
    return change.resource_type in {ResourceType.TASK_EXECUTION, ResourceType.SERVICE}


def _doing(house: House) -> str:
    """What runs, on one line."""
    executions = [live.record.reference for live in house.engine.lives]
    services = [one.reference for one in house.engine.services.all() if one.progress.state not in RESTING]
    parts = [
        f"{noun} {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for noun, names in (("runs", executions), ("services:", services))
        if names
    ]
    return "; ".join(parts) or "idle"


def _heeded() -> list[signal.Signals]:
    """The signals that are heard, but for those that whoever started this process had it ignore (nohup)."""
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    return [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]
