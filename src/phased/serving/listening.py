"""The sockets of the daemon that serves: bound, inherited or taken over, with its application behind them.

Knows the parts that are open, and listeners. Must not know when the daemon ends.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from phased.api.answering import Answering
from phased.api.application import Application
from phased.api.farewell import Say
from phased.api.house import House
from phased.api.listeners import adopt, bind_tcp, bind_unix, bind_web, is_at, is_web, web_bound
from phased.api.plain import plain_application
from phased.api.routes import ROUTES
from phased.api.server import Server
from phased.core.phases import State
from phased.metrics import Readings
from phased.runners.identity import user_of_steps
from phased.serving.opening import Opened
from phased.serving.step_users import StepUsers
from phased.settings import reloaded

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from phased.api.gate import Listener
    from phased.settings import Settings


@asynccontextmanager
async def listening(
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
