"""`phased run`: plan and run in the foreground; the exit code is the outcome.

Knows what was asked for and how it is shown. The work itself is the engine's.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from phased.cli.options import Common, common_options
from phased.cli.triggers import TRIGGER

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

    from phased.cli.outlet import Hides
    from phased.cli.progress import LogPath, Progress
    from phased.contract.execution import TaskExecutionPhase
    from phased.core.specs import Catalog
    from phased.daemon import Foreground, Order
    from phased.foreground.holder import Guests
    from phased.foreground.work import Told, Work
    from phased.settings import Settings

INTERRUPTED = 130


@click.command("run", short_help="Plan tasks and run them in the foreground.")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option(
    "--trigger", type=TRIGGER, metavar="NAME", help="Run the tasks that this trigger starts, as prebuild."
)
@click.option(
    "--max-parallel", type=click.IntRange(min=1), metavar="N", help="Steps at a time of an execution."
)
@click.option("--lenient", is_flag=True, help="Unknown keys in the file are warnings.")
@click.option("--dry-run", is_flag=True, help="Go through the motions; start nothing, keep nothing.")
@click.option("--keep", is_flag=True, help="Leave processes that commands left in the background.")
@common_options
def run(  # noqa: PLR0913, PLR0917 - one for each option
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

    Examples:
      phased run build
      phased run lint test --max-parallel 4
      phased run --trigger prebuild -o json
      phased run deploy --dry-run
    """
    import anyio  # noqa: PLC0415 - heavy, and a wrong REF should not pay for it

    from phased.daemon import Order  # noqa: PLC0415 - the same

    flags: dict[str, tuple[Any, str]] = {}
    if max_parallel is not None:
        flags["run.max_parallel"] = (max_parallel, "--max-parallel")
    settings = common.settings_with(flags)
    catalog = common.catalog(lenient=lenient)
    chosen = _choose(common, catalog, references, trigger)
    if not chosen:
        common.note("nothing to run")
        return 0
    workspace, started_by = common.workspace, trigger or "manual"
    order = Order(workspace, catalog, tuple(chosen), started_by, settings.run.max_parallel, keep)
    run = _Run(common, settings, order)
    return anyio.run(run.dry if dry_run else run.real)


def _choose(common: Common, catalog: Catalog, references: Sequence[str], trigger: str | None) -> list[str]:
    from phased.core.planner import nearest  # noqa: PLC0415 - `--help` should not pay for it
    from phased.errors import UnknownReference  # noqa: PLC0415 - the same

    chosen = list(dict.fromkeys(references))
    for reference in chosen:
        if reference in catalog.services:
            raise click.UsageError(f"cannot run {reference}: it is a service; name a task that needs it")
        if reference not in catalog.tasks:
            near = nearest(reference, catalog.tasks)
            raise UnknownReference(reference, near=near, known=tuple(catalog.tasks))
    if trigger is not None:
        tasks, services = catalog.triggered(trigger)
        chosen += [task for task in tasks if task not in chosen]
        if services:
            common.note(
                f"note: {trigger} also starts the service(s) {', '.join(services)}; "
                "a run in the foreground starts only those that its tasks need"
            )
    elif not chosen:
        there_are = ", ".join(catalog.tasks) or "none"
        raise click.UsageError(f"cannot run: name a task, or give --trigger; there are: {there_are}")
    return chosen


class _Run:
    """One run: what is shown while it lasts, and what the keyboard does to it."""

    def __init__(self, common: Common, settings: Settings, order: Order) -> None:
        self._common = common
        self._settings = settings
        self._order = order
        self._phases: dict[str, TaskExecutionPhase] = {}
        self._own = True
        """Whether the work of this run lasts, not only that of others who joined."""
        self._signals = 0
        self._interrupted = False
        self._progress: Progress
        self._hides: Hides | None = None

    async def dry(self) -> int:
        """Over the runner that starts nothing and the store that forgets."""
        from phased import daemon  # noqa: PLC0415 - the composition root, only where something runs

        async with daemon.dry_work(self._settings, self._order) as work:
            return await self._follow(work, daemon.no_log, None)

    async def real(self) -> int:
        """Over real processes, with everything kept."""
        from phased import daemon  # noqa: PLC0415 - the composition root, only where something runs

        async with daemon.run_or_join(self._settings, self._order) as foreground:
            self._say_what_was_found(foreground)
            if foreground.holder is not None:  # a daemon's steps get secrets; those of a run have none
                environments = [self._order.catalog.environment]
                self._hides = await daemon.open_masker(self._settings, environments)
            return await self._follow(foreground.work, foreground.log_path, foreground.guests)

    def _say_what_was_found(self, foreground: Foreground) -> None:
        for stored in foreground.recovered:
            cause = stored.status.failure_message or "its steps had succeeded"
            what = f"{stored.record.reference} ({stored.record.id})"
            self._common.note(f"note: {what} was left unfinished by an earlier run: {cause}")
        if foreground.holder is not None:
            self._common.note(
                f"note: joined the run of process {foreground.holder}, which holds the state directory"
            )

    async def _follow(self, work: Work, log_path: LogPath, guests: Guests | None) -> int:
        import anyio  # noqa: PLC0415 - see run

        from phased import daemon  # noqa: PLC0415 - see run
        from phased.cli.progress import choose  # noqa: PLC0415 - see run

        common = self._common
        self._progress = choose(
            common.output,
            quiet=common.quiet,
            color=common.color,
            log_path=log_path,
            hides=self._hides,
            clock=daemon.system_clock(),
        )
        self._phases = {stored.record.id: stored.status.phase for stored in work.executions}
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._obey_signals, work, guests)
            self._progress.begin(work.executions)
            try:
                await work.carry_out(self._tell)
            finally:
                self._own = False
                self._progress.end()
            if guests is not None:
                await self._wait_for_guests(guests)
            tasks.cancel_scope.cancel()
        return INTERRUPTED if self._interrupted else outcome(self._phases.values())

    async def _tell(self, told: Told) -> None:
        from phased.foreground.work import Changed, Noted, Waiting  # noqa: PLC0415 - see run

        match told:
            case Changed(change):
                self._phases[change.execution_id] = change.phase
                self._progress.changed(change.execution_id, change)
            case Noted(text):
                self._progress.note(text)
            case Waiting(text):
                self._progress.waiting(text)

    async def _wait_for_guests(self, guests: Guests) -> None:
        if names := guests.names():
            self._signals = 0
            self._common.note(
                f"waiting for the work of others who joined: {', '.join(names)}; Ctrl-C stops it"
            )
        await guests.ended()

    async def _obey_signals(
        self, work: Work, guests: Guests | None, *, task_status: TaskStatus[None]
    ) -> None:
        import anyio  # noqa: PLC0415 - see run

        with anyio.open_signal_receiver(*_heeded()) as received:
            task_status.started()
            async for number in received:
                self._signals += 1
                if self._own:
                    self._interrupted = self._interrupted or number == signal.SIGINT
                    self._stop(work, signal.Signals(number).name)
                elif guests is not None:
                    self._stop(guests, signal.Signals(number).name)

    def _stop(self, work: Work | Guests, by: str) -> None:
        note = self._progress.note if self._own else self._common.note
        if self._signals > 1:
            note("killing what still runs")
            work.kill()
        else:
            note(f"stopping ({by}); again to kill")
            work.stop(by)


def _heeded() -> list[signal.Signals]:
    """The signals that ask to stop, but for those that whoever started this process had it ignore (nohup)."""
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in asked if signal.getsignal(number) is not signal.SIG_IGN]


def outcome(phases: Iterable[TaskExecutionPhase]) -> int:
    """The worst counts: failed (1), then stopped, or not waited for (3), then succeeded (0)."""
    from phased.contract.execution import TaskExecutionPhase as Phase  # noqa: PLC0415 - see run

    found = set(phases)
    if Phase.FAILED in found:
        return 1
    return 3 if found - {Phase.SUCCEEDED} else 0
