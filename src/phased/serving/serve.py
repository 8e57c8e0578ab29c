"""The daemon that serves, from its first signal handler to its end. `phased serve` is the one caller.

Knows its parts by the modules beside this one. Whoever only needs another verb does not import it: nothing
else of the program needs a server.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from phased.api.farewell import Say
from phased.daemon import taking_guests
from phased.reloading import Handover
from phased.serving.ending import Ending, end, reload
from phased.serving.listening import listening
from phased.serving.notices import keep_informed
from phased.serving.opening import open_house
from phased.serving.signals import hearing
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
        requests = stack.enter_context(hearing())  # first: a reload left signals blocked, for children, too
        inherited = inherited_sockets()  # before anything is started that could inherit them
        for one in inherited:
            stack.callback(one.close)
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
        ending, handover = Ending(manager, say, requests), None
        while handover is None:
            stop = await requests.next()
            if stop is not None:
                await end(settings, opened, server, ending, stop.name)
                break
            handover = await reload(settings, opened, server, ending)
        tasks.cancel_scope.cancel()
        return handover
