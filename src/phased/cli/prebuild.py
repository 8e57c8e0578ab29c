"""`phased prebuild`: all that prepares a workspace before anybody uses it, in a daemon or without one.

Knows what was asked for and how it is shown. Must not know how anything runs. With a daemon its definitions
count; without one those of the automations file.
"""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phased.cli.durations import Duration
from phased.cli.options import Common, common_options
from phased.errors import FileUnreadable

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from phased.contract.phased_v1_firing import Firing
    from phased.foreground.prebuild import ForegroundPrebuild


@click.command("prebuild", short_help="Run the prebuild, then what comes before a snapshot.")
@click.option("--timeout", type=Duration(), metavar="DURATION", help="For all of it, as 30m. Default: none.")
@click.option("--report", metavar="FILE", help="Write what happened to this file, as JSON.")
@click.option("--lenient", is_flag=True, help="Unknown keys in the file are warnings.")
@common_options
def prebuild(common: Common, timeout: float | None, report: str | None, lenient: bool) -> int:
    """Run the prebuild's tasks and services, then the beforeSnapshot tasks, without secrets of users.

    Services that it starts are stopped at the end, those that ran before go on. Exits with 0, also where a
    task failed (that is a warning), but with 1 where a task with prebuildRequiresSuccess did not succeed or
    the time ran out, 3 where it was stopped, 130 after Ctrl-C, which stops it.

    Examples:
      phased prebuild
      phased prebuild --timeout 30m --report prebuild.json
    """
    from phased.cli import firings, showing  # noqa: PLC0415 - `--help` should not pay for it
    from phased.cli.places import daemon_in_use  # noqa: PLC0415 - the same

    address = daemon_in_use(common)
    if address is None:
        firing, code = _here(common, timeout, lenient=lenient)
    else:
        firing, code = _in_daemon(common, timeout)
    if report is not None:
        _report(Path(report), firing, code)
    if common.output != "text":
        showing.write_message(common, firing)
    else:
        firings.write(firing)
    return code


def _in_daemon(common: Common, timeout: float | None) -> tuple[Firing, int]:
    from phased.cli import firings  # noqa: PLC0415 - see prebuild
    from phased.cli.connection import connected  # noqa: PLC0415 - the same
    from phased.cli.places import daemon_in_use  # noqa: PLC0415 - the same
    from phased.contract.phased_v1_firing import Firing, StartPrebuildRequest  # noqa: PLC0415 - the same

    # Whoever ends this command ends the prebuild, as in the foreground.
    before = signal.signal(signal.SIGTERM, _raise_interrupt)
    try:
        with connected(common, daemon_in_use(common)) as daemon:
            request = StartPrebuildRequest(
                environment_id=daemon.environment_id,
                timeout=None if timeout is None else timedelta(seconds=timeout),
            )
            firing = daemon.client.start_prebuild(request).firing or Firing()
            common.note(f"prebuild {firing.id} in the daemon")
            return firings.wait(daemon, firing, stops=True)
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - the shape of a handler
    raise KeyboardInterrupt


def _here(common: Common, timeout: float | None, *, lenient: bool) -> tuple[Firing, int]:
    import anyio  # noqa: PLC0415 - see prebuild

    catalog = common.catalog(lenient=lenient)

    async def carry_out() -> tuple[Firing, int]:
        from phased import daemon  # noqa: PLC0415 - the composition root
        from phased.cli import firings  # noqa: PLC0415 - see prebuild

        stops = _Stops(common)
        async with (
            daemon.open_prebuild(common.settings, common.workspace, catalog, timeout) as work,
            anyio.create_task_group() as tasks,
        ):
            await tasks.start(stops.obey, work)
            notes = firings.Notes(common)
            firing = await work.carry_out(notes.tell)
            notes.tell(firing)
            tasks.cancel_scope.cancel()
        interrupted = stops.first is signal.SIGINT
        return firing, firings.INTERRUPTED if interrupted else firings.exit_code(firing)

    return anyio.run(carry_out)


class _Stops:
    """What the keyboard, or whoever started this, does to it."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self.first: signal.Signals | None = None

    async def obey(self, work: ForegroundPrebuild, *, task_status: TaskStatus[None]) -> None:
        """Stop at the first signal, kill at the next."""
        import anyio  # noqa: PLC0415 - see prebuild

        asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        heeded = [one for one in asked if signal.getsignal(one) is not signal.SIG_IGN]
        with anyio.open_signal_receiver(*heeded) as received:
            task_status.started()
            async for number in received:
                name = signal.Signals(number).name
                if self.first is None:
                    self.first = signal.Signals(number)
                    self._common.note(f"stopping ({name}); again to kill")
                    work.stop(name)
                else:
                    self._common.note("killing what still runs")
                    work.kill(name)


def _report(path: Path, firing: Firing, code: int) -> None:
    """Whole or not at all. Raises FileUnreadable."""
    from phased.contract.base import to_dict  # noqa: PLC0415 - see prebuild

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps({**to_dict(firing), "exitCode": code}, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise FileUnreadable(f"cannot write the report {path}: {error.strerror or error}") from error
