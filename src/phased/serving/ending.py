"""How the daemon that serves ends, or gives way to its next version in the same process.

Knows what runs by the engine, and the service manager. Must not know how a part was made.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from phased.api.farewell import Farewell, Say
from phased.api.server import Server
from phased.errors import RunnerError
from phased.observability import logger
from phased.reloading import Handover, check_next
from phased.serving.opening import Opened
from phased.serving.signals import Requests
from phased.systemd import ServiceManager, stop_reason

if TYPE_CHECKING:
    from phased.settings import Settings


@dataclass(frozen=True, slots=True)
class Ending:
    """Who is told, and who may ask for more."""

    manager: ServiceManager
    say: Say
    requests: Requests


_FATES: Final = {"stop": "is stopped", "keep": "goes on"}


async def end(settings: Settings, opened: Opened, server: Server, ending: Ending, by: str) -> None:
    """Refuse new work, stop or leave what runs, let answers end. `by`: the signal that asked for it.

    Raises RunnerError where systemd is to end what could not be stopped in time (rule 22).
    """
    daemon, house = settings.daemon, opened.house
    in_time = True
    reason = await stop_reason()
    on_stop = "keep" if reason == "restart" else daemon.on_stop  # rule 23
    plan = f"ending ({reason or by}): running work {_FATES[on_stop]}"
    ending.manager.stopping(plan)
    if reason:
        ending.say(plan)
    logger("phased.daemon").info("ending", by=by, reason=reason, on_stop=on_stop)
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


async def reload(settings: Settings, opened: Opened, server: Server, ending: Ending) -> Handover | None:
    """Let go of all, for the next version; None where that cannot take over, and nothing has changed.

    A stop that comes before anything is let go of wins; the next version obeys one that comes later.
    """
    log = logger("phased.daemon")
    refusal = await _refusal_of_next(ending.requests) or opened.house.state_lost()
    if ending.requests.stops:
        return None
    if refusal:
        log.error("reload_refused", reason=refusal)
        ending.say(f"cannot reload: {refusal}")
        return None
    ending.manager.reloading(anyio.current_time())  # of CLOCK_MONOTONIC, as the loop of asyncio is
    log.info("reloading")
    ending.say("reloading: running work goes on")
    ending.requests.handed_over = True
    sockets = server.hand_over()
    opened.house.drain()
    with anyio.move_on_after(settings.daemon.drain_timeout):
        await server.finish()
    stream = opened.house.stream
    return Handover(
        sockets, opened.hold.hand_over(), server.owns_path, lambda: stream.sequence, ending.requests.stops
    )


async def _refusal_of_next(requests: Requests) -> str | None:
    """Why the next version cannot be loaded, if it cannot; nobody waits for that once a stop is asked for."""
    refusal: str | None = None

    async def check() -> None:
        nonlocal refusal
        reason = await _failure_of_check()
        if reason is not None:
            refusal = f"the new version cannot be loaded ({reason}); this one goes on"
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(check)
        await requests.until_stop()
        tasks.cancel_scope.cancel()
    return refusal


async def _failure_of_check() -> str | None:
    """What the check of the next version says last, if it fails."""
    try:
        tried = await anyio.run_process(check_next(), check=False, stdin=subprocess.DEVNULL)
    except OSError as error:  # not even the interpreter is there
        return str(error)
    return tried.stderr.decode(errors="replace").strip().rpartition("\n")[2] if tried.returncode else None


async def _kill_on_more(ending: Ending, farewell: Farewell) -> None:
    """Who asks for the end again does not want to wait; who asks for a reload comes too late."""
    while True:
        await ending.requests.stop()
        ending.say("killing what still runs")
        farewell.kill_all()
