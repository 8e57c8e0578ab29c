"""`phased executions`: the history, or one execution of it.

Knows records and how they are shown. Reads the state where it lies; changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from phased.cli.options import Common, common_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from phased.ports import StoredExecution
    from phased.store.readonly import ReadonlyStore

ABANDONED = "note: nobody works on this state any more; what is unfinished ends with the next `phased run`"
_FIELDS = {
    "id": lambda one: one.record.id,
    "createdAt": lambda one: one.record.created_at,
    "startedAt": lambda one: one.status.started_at or 0,
    "completedAt": lambda one: one.status.completed_at or 0,
    "startedBy": lambda one: one.record.started_by,
    "taskId": lambda one: one.record.task_id,
    "environmentId": lambda one: one.record.environment_id,
    "phase": lambda one: one.status.phase.value,
    "statusVersion": lambda one: one.status.version,
}
"""What a list can be sorted by: fields of the message TaskExecution."""


class SortOrder(click.ParamType[tuple[str, bool]]):
    """`FIELD`, `FIELD:asc` or `FIELD:desc`."""

    name = "sort"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bool]:
        """The field, and whether the largest comes first."""
        field, _, order = str(value).partition(":")
        if field not in _FIELDS:
            import difflib  # noqa: PLC0415 - only for a mistake

            near = difflib.get_close_matches(field, list(_FIELDS), n=1)
            self.fail(
                f"there is no field {field!r}; {f'did you mean {near[0]}?' if near else _there_are()}",
                param,
                ctx,
            )
        if order not in {"", "asc", "desc"}:
            self.fail(f"the order is asc or desc, not {order!r}", param, ctx)
        return field, order == "desc"


def _there_are() -> str:
    return f"there are: {', '.join(_FIELDS)}"


@click.command("executions", short_help="Show the history of executions, or one of them.")
@click.argument("which", metavar="[REF|ID]", required=False)
@click.option(
    "--sort", type=SortOrder(), metavar="FIELD[:asc|desc]", default="createdAt:desc", show_default=True,
    help="Order of the list.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many at most. Default: the setting history.limit.",
)
@common_options
def executions(common: Common, which: str | None, sort: tuple[str, bool], limit: int | None) -> int:
    """Show the executions of all tasks, of the task REF, or the one with this ID (its beginning is enough).

    Examples:
      phased executions
      phased executions build --limit 5
      phased executions 4f1c2a77
      phased executions --sort completedAt:desc -o json
    """
    import anyio  # noqa: PLC0415 - `--help` should not pay for it

    from phased import daemon  # noqa: PLC0415 - the same
    from phased.cli.places import daemon_in_use  # noqa: PLC0415 - the same

    limit = limit or common.settings.history.limit
    if (address := daemon_in_use(common)) is not None:
        from phased.cli.connection import connected  # noqa: PLC0415 - only with a daemon
        from phased.cli.history_of_daemon import show_executions  # noqa: PLC0415 - the same

        with connected(common, address) as connection:
            return show_executions(connection, which, sort, limit)
    store, state = daemon.open_state(common.settings)
    one, found = anyio.run(_find, store, which, sort, limit)
    if any(each.status.completed_at is None for each in [one, *found] if each) and state.holder() is None:
        common.note(ABANDONED)
    if common.output != "text":
        environments = {each.record.environment_id for each in [one, *found] if each}
        masker = anyio.run(daemon.open_masker, common.settings, environments)
        _write_values(common, one, found, masker.text)
    elif one is not None:
        _write_one(one)
    else:
        _write_table(common, found, which)
    return 0


async def _find(
    store: ReadonlyStore, which: str | None, sort: tuple[str, bool], limit: int
) -> tuple[StoredExecution | None, list[StoredExecution]]:
    """One, where an id was given; else a list. Raises NotFound."""
    from phased.cli.history import ALL, by_id, looks_like_id  # noqa: PLC0415 - `--help` should not pay for it
    from phased.errors import NotFound  # noqa: PLC0415 - the same

    field, descending = sort
    newest_first = sort == ("createdAt", True)
    found = await store.list(reference=which, limit=limit if newest_first else ALL)
    if not found and which is not None:
        one = await by_id(store, which)
        if one is None and looks_like_id(which):
            raise NotFound(f"cannot find an execution {which}; `phased executions` shows what there is")
        return one, []
    if newest_first:
        return None, found
    key: Callable[[StoredExecution], Any] = _FIELDS[field]
    found.sort(key=lambda one: one.record.id)
    found.sort(key=key, reverse=descending)
    return None, found[:limit]


def _write_values(
    common: Common, one: StoredExecution | None, found: list[StoredExecution], hide: Callable[[str], str]
) -> None:
    from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format
    from phased.contract.base import to_dict  # noqa: PLC0415 - the same
    from phased.engine.view import masked, task_execution  # noqa: PLC0415 - the same

    if one is not None:
        write_value(to_dict(task_execution(one.record, masked(one.status, hide))), common.output)
        return
    value = {
        "taskExecutions": [to_dict(task_execution(each.record, masked(each.status, hide))) for each in found]
    }
    write_value(value, common.output)


def _write_table(common: Common, found: list[StoredExecution], which: str | None) -> None:
    from phased.cli.answer import columns  # noqa: PLC0415 - only for this format
    from phased.cli.outlet import clean  # noqa: PLC0415 - the same
    from phased.cli.words import moment, took, word  # noqa: PLC0415 - the same

    if not found:
        common.note(f"no executions of {which}" if which else "no executions yet")
        return
    rows = [
        (
            one.record.id[:8],
            one.record.reference,
            word(one.status.phase),
            moment(one.record.created_at),
            took(one.status.started_at, one.status.completed_at) or "-",
            one.record.started_by,
            clean(one.status.failure_message or one.status.why or ""),
        )
        for one in found
    ]
    for line in columns(rows, ("ID", "TASK", "PHASE", "CREATED", "TOOK", "BY", "WHY")):
        click.echo(line)


def _write_one(one: StoredExecution) -> None:
    from phased.cli.answer import columns  # noqa: PLC0415 - only for this format
    from phased.cli.outlet import clean  # noqa: PLC0415 - the same
    from phased.cli.words import moment, outcome, took, word  # noqa: PLC0415 - the same

    record, status = one.record, one.status
    facts = [
        ("id", record.id),
        ("task", record.reference),
        ("phase", word(status.phase)),
        ("started by", record.started_by),
        ("created", moment(record.created_at)),
        ("started", moment(status.started_at)),
        ("completed", moment(status.completed_at)),
        ("took", took(status.started_at, status.completed_at)),
        ("failure", clean(status.failure_message or "")),
        ("why", clean(status.why or "")),
    ]
    for name, text in facts:
        if text:
            click.echo(f"{name + ':':<12} {text}")
    steps = {step.id: step for step in status.steps}
    rows = []
    for number, group in enumerate(record.spec.plan, 1):
        for step in group.steps:
            known = steps.get(step.id or "")
            rows.append(
                (
                    str(number),
                    step.label or "",
                    clean(outcome(known)) if known else "never started" if status.completed_at else "waiting",
                )
            )
    click.echo("")
    for line in columns(rows, ("GROUP", "STEP", "OUTCOME")):
        click.echo(line)
