"""`phased logs`: what the steps of an execution wrote.

Knows executions and where logs lie. Must not know how a file is followed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from phased.cli.options import Common, common_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from phased.contract.execution import PlanStep
    from phased.logs.viewing import Source
    from phased.ports import StoredExecution
    from phased.store.readonly import ReadonlyStore
    from phased.store.state_directory import StateDirectory


@click.command("logs", short_help="Show the output of an execution's steps.")
@click.argument("which", metavar="EXECUTION|REF")
@click.option(
    "--step", metavar="S", help="Only the output of this step, as it was written: its reference or id."
)
@click.option("--follow", is_flag=True, help="Go on until the execution has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each step.")
@common_options
def logs(common: Common, which: str, step: str | None, follow: bool, tail: int | None) -> int:
    """Show what the steps of an execution wrote: of the one with this id, or the newest of the task REF.

    Lines of several steps begin with the step's reference.

    Examples:
      phased logs build
      phased logs build --follow
      phased logs 4f1c2a77 --step test --tail 50
    """
    import anyio  # noqa: PLC0415 - `--help` should not pay for it

    from phased.cli.places import daemon_in_use  # noqa: PLC0415 - the same

    if (address := daemon_in_use(common)) is not None:
        from phased.cli.connection import connected  # noqa: PLC0415 - only with a daemon
        from phased.cli.history_of_daemon import show_logs  # noqa: PLC0415 - the same

        with connected(common, address) as connection:
            show_logs(connection, which, step=step, follow=follow, tail=tail)
        return 0
    return anyio.run(_show, common, which, step, follow, tail)


async def _show(common: Common, which: str, step: str | None, follow: bool, tail: int | None) -> int:
    from contextlib import aclosing  # noqa: PLC0415 - see logs

    from phased import daemon  # noqa: PLC0415 - see logs
    from phased.cli.history import newest  # noqa: PLC0415 - see logs
    from phased.logs.viewing import Source  # noqa: PLC0415 - see logs

    store, state = daemon.open_state(common.settings)
    one = await newest(store, which)
    masker = await daemon.open_masker(common.settings, [one.record.environment_id])
    steps = _chosen(one, step)
    ended = _end_of(store, state, one) if follow else None
    paths = [state.log_path(one.record.id, each.id or "") for each in steps]
    begun = {step.id for step in one.status.steps if step.has_begun}
    sources = [
        Source(each.label or "", path, masker.reading() if masker else None, begun=each.id in begun)
        for each, path in zip(steps, paths, strict=True)
    ]
    if len(sources) == 1:
        _check_there(sources[0])
    if follow and one.status.completed_at is None and state.holder() is None:
        from phased.cli.executions import ABANDONED  # noqa: PLC0415 - see logs

        common.note(ABANDONED)
    async with aclosing(_blocks(common, sources, ended, tail)) as blocks:
        async for block in blocks:
            _write(block)
            if follow:
                sys.stdout.flush()
    return 0


def _write(block: bytes) -> None:
    """Bytes as they are: what a step wrote need not be text."""
    sys.stdout.buffer.write(block)


def _check_there(source: Source) -> None:
    """A log alone that is gone is an error; among others it is told in a note. Raises NotFound."""
    from phased.logs.reading import gone  # noqa: PLC0415 - see logs

    if source.begun and not os.path.lexists(source.path):
        raise gone(source.label, source.path)


def _chosen(one: StoredExecution, wanted: str | None) -> list[PlanStep]:
    """The steps to show. Raises NotFound."""
    from phased.errors import NotFound  # noqa: PLC0415 - see logs

    steps = [step for group in one.record.spec.plan for step in group.steps]
    if wanted is None:
        return steps
    found = [step for step in steps if wanted in {step.label, step.id}]
    if not found:
        labels = ", ".join(step.label or "" for step in steps)
        raise NotFound(f"cannot find a step {wanted!r} in {one.record.id}; there are: {labels}")
    return found


def _end_of(
    store: ReadonlyStore, state: StateDirectory, one: StoredExecution
) -> Callable[[], Awaitable[None]]:
    """Waits until the execution has ended; the state directory changes whenever a status does."""
    from phased.logs.watching import until  # noqa: PLC0415 - see logs

    async def has_ended() -> bool:
        return not await store.is_unfinished(one.record.id)

    return lambda: until(state.path, has_ended)


def _blocks(
    common: Common,
    sources: list[Source],
    ended: Callable[[], Awaitable[None]] | None,
    tail: int | None,
) -> AsyncGenerator[bytes, None]:
    from phased.logs.viewing import show  # noqa: PLC0415 - see logs

    return show(sources, ended, tail=tail, labelled=len(sources) > 1, notice=common.note)
