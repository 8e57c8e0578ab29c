"""The daemon that serves, from its first signal handler to its end. `phased serve` is the one caller.

Knows its parts by the modules beside this one. Whoever only needs another verb does not import it: nothing
else of the program needs a server.
"""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from phased.api.farewell import Say
from phased.daemon import taking_guests
from phased.reloading import Handover
from phased.serving.ending import Ending, end, has_terminal, reload
from phased.serving.listening import listening
from phased.serving.notices import keep_informed
from phased.serving.opening import open_house
from phased.settings import service_notices
from phased.systemd import ServiceManager, inherited_sockets

if TYPE_CHECKING:
    from phased.settings import Settings


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
        reloads = {signal.SIGUSR2} if has_terminal() else {signal.SIGUSR2, signal.SIGHUP}
        opened = await stack.enter_async_context(open_house(settings, workspace))
        server = await stack.enter_async_context(listening(settings, opened, inherited, say))
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
            tasks.start_soon(keep_informed, manager, watchdog, opened.house)
        tasks.start_soon(opened.retention.run)
        manager.ready(f"serving {workspace}")
        say("READY")
        number, handover = await anext(aiter(stops)), None
        while number in reloads and handover is None:
            handover = await reload(settings, opened, server, manager, say)
            number = number if handover else await anext(aiter(stops))
        if handover is None:
            await end(settings, opened, server, Ending(manager, say, stops, signal.Signals(number).name))
        tasks.cancel_scope.cancel()
        return handover


def _heeded() -> list[signal.Signals]:
    """The signals that are heard, but for those that whoever started this process had it ignore (nohup)."""
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    return [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]
