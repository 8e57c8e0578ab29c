"""`phased run`: plan and run in the foreground; the exit code is the outcome.

Knows what was asked for and how it is shown. The work itself is the engine's.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phased.cli.options import Common, common_options

if TYPE_CHECKING:
    from phased.cli.progress import Progress
    from phased.core.specs import Catalog
    from phased.engine.engine import Engine, Origin
    from phased.engine.registry import LiveExecution

INTERRUPTED = 130


@click.command("run", short_help="Plan tasks and run them in the foreground.")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option("--trigger", metavar="NAME", help="Run the tasks that this trigger starts, for example prebuild.")
@click.option("--max-parallel", type=click.IntRange(min=1), metavar="N", help="Steps at a time of an execution.")
@click.option("--lenient", is_flag=True, help="Unknown keys in the file are warnings.")
@click.option("--dry-run", is_flag=True, help="Go through the motions; start nothing, keep nothing.")
@click.option("--keep", is_flag=True, help="Leave processes that commands left in the background.")
@common_options
def run(
    common: Common,
    references: tuple[str, ...],
    trigger: str | None,
    max_parallel: int | None,
    lenient: bool,
    dry_run: bool,
    keep: bool,
) -> int:
    """Plan tasks with everything they depend on, and run them in the foreground.

    Ctrl-C stops gracefully; a second Ctrl-C kills. Exits with 0 where everything succeeded, 1 where
    something failed, 3 where something was stopped, 130 after Ctrl-C.
    """
    import anyio  # noqa: PLC0415 - heavy, and a wrong REF should not pay for it

    catalog = common.catalog(lenient=lenient)
    chosen = _choose(catalog, references, trigger)
    if not chosen:
        click.echo("nothing to run", err=True)
        return 0
    parallel = max_parallel or common.settings.run.max_parallel
    foreground = _Foreground(common, catalog, chosen, trigger or "manual", parallel, keep=keep)
    return anyio.run(foreground.dry if dry_run else foreground.real)


def _choose(catalog: Catalog, references: Sequence[str], trigger: str | None) -> list[str]:
    chosen = list(references)
    if trigger is not None:
        tasks, services = catalog.triggered(trigger)
        chosen += [task for task in tasks if task not in chosen]
        if services:
            click.echo(
                f"warning: {trigger} would also start the service(s) {', '.join(services)}; "
                "this version does not run services yet",
                err=True,
            )
    elif not chosen:
        there_are = ", ".join(catalog.tasks) or "none"
        raise click.UsageError(f"cannot run: name a task, or give --trigger; there are: {there_are}")
    return chosen


class _Foreground:
    """One run: what is shown while it lasts, and what the keyboard does to it."""

    def __init__(
        self, common: Common, catalog: Catalog, chosen: list[str], started_by: str, parallel: int, *, keep: bool
    ) -> None:
        self._common = common
        self._catalog = catalog
        self._chosen = chosen
        self._started_by = started_by
        self._parallel = parallel
        self._keep = keep
        self._interrupts = 0

    async def dry(self) -> int:
        """Over the runner that starts nothing and the store that forgets."""
        from phased import daemon  # noqa: PLC0415 - the composition root, only where something runs

        async with daemon.dry_engine(self._common.workspace) as engine:
            return await self._drive(engine, daemon.origin(self._started_by), lambda *_: Path(os.devnull))

    async def real(self) -> int:
        """Over real processes, with everything kept."""
        from phased import daemon  # noqa: PLC0415 - the composition root, only where something runs

        async with daemon.open_engine(self._common.settings, self._common.workspace) as opened:
            for stored in opened.recovered:
                click.echo(
                    f"note: {stored.record.reference} ({stored.record.id}) was left unfinished by an earlier run: "
                    f"{stored.status.failure_message or 'its steps had succeeded'}",
                    err=True,
                )
            return await self._drive(opened.engine, opened.origin(self._started_by), opened.log_path)

    async def _drive(self, engine: Engine, origin: Origin, log_path: Callable[[str, str], Path]) -> int:
        import anyio  # noqa: PLC0415 - see run

        from phased.cli.progress import choose  # noqa: PLC0415 - see run

        lives = await engine.fire(self._catalog, self._chosen, origin, max_parallel=self._parallel)
        common = self._common
        stream = sys.stdout if common.output == "json" else sys.stderr
        progress = choose(common.output, common.quiet, stream, color=common.color, log_path=log_path)
        with engine.feed.subscribe() as changes:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_signals, engine, lives, progress)
                progress.begin([live.stored() for live in lives])
                engine.begin(lives)
                while not all(live.machine.finished for live in lives):
                    for change in await changes.get():
                        progress.changed(change.execution_id, change)
                    if engine.store_error is not None:
                        break
                for live in lives:
                    await live.done.wait()
                for change in changes.take():
                    progress.changed(change.execution_id, change)
                tasks.cancel_scope.cancel()
        if not self._keep:
            await self._end_leftovers(engine, progress)
        progress.end()
        if engine.store_error is not None:
            raise engine.store_error
        return INTERRUPTED if self._interrupts else _outcome(lives)

    async def _end_leftovers(self, engine: Engine, progress: Progress) -> None:
        found = [process for left in (await engine.leftovers()).values() for process in left]
        if found:
            names = ", ".join(f"{process.command} ({process.pid})" for process in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            progress.note(f"ending what commands left in the background: {names}{more}")
            await engine.end_leftovers()

    async def _watch_signals(self, engine: Engine, lives: list[LiveExecution], progress: Progress) -> None:
        import anyio  # noqa: PLC0415 - see run

        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
            async for number in received:
                self._interrupts += 1
                if self._interrupts > 1:
                    progress.note("killing what still runs")
                    engine.kill(lives)
                    continue
                waiting = [step.label for live in lives for step in live.machine.live_steps]
                what = f"waiting for {', '.join(dict.fromkeys(waiting))}" if waiting else "nothing runs"
                progress.note(f"stopping: {what}; again to kill")
                engine.stop(lives, signal.Signals(number).name)


def _outcome(lives: Sequence[LiveExecution]) -> int:
    """The worst counts: failed (1), then stopped (3), then succeeded (0)."""
    from phased.contract.execution import TaskExecutionPhase as Phase  # noqa: PLC0415 - see run

    phases = {live.machine.phase for live in lives}
    if Phase.FAILED in phases:
        return 1
    return 3 if Phase.STOPPED in phases else 0
