"""How the daemon that serves ends, or gives way to its next version in the same process.

Knows what runs by the engine, and the service manager. Must not know how a part was made.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from phased.api.farewell import Farewell, Say
from phased.api.server import Server
from phased.errors import RunnerError
from phased.observability import logger
from phased.reloading import Handover, check_next
from phased.serving.opening import Opened
from phased.systemd import ServiceManager, stop_reason

if TYPE_CHECKING:
    from phased.settings import Settings


@dataclass(frozen=True, slots=True)
class Ending:
    """Who wants it, and who is told."""

    manager: ServiceManager
    say: Say
    stops: AsyncIterator[signal.Signals]
    by: str


_FATES: Final = {"stop": "is stopped", "keep": "goes on"}


async def end(settings: Settings, opened: Opened, server: Server, ending: Ending) -> None:
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


def has_terminal() -> bool:
    """Whether a terminal controls this process: its end is what SIGHUP means then (tty(4)).

    To be asked at the beginning: a terminal that has hung up is nobody's any more.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


async def reload(
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


async def _kill_on_more(ending: Ending, farewell: Farewell) -> None:
    """Who asks again does not want to wait."""
    async for _ in ending.stops:
        ending.say("killing what still runs")
        farewell.kill_all()
