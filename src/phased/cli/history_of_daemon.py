"""The history and the logs as a daemon shows them.

Knows the client and how answers are shown. Must not know the state directory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from phased.cli import finding, showing
from phased.cli.connection import Connection
from phased.cli.outlet import clean
from phased.contract.execution import TaskExecution
from phased.contract.phased_v1 import QueryTaskExecutionsRequest, QueryTaskExecutionsResponse
from phased.contract.sort import Sort
from phased.contract.sort import SortOrder as Order
from phased.errors import NotFound

if TYPE_CHECKING:
    from phased.cli.options import Common
    from phased.client.log_stream import LogPiece

_NEWEST_FIRST: Final = ("createdAt", True)


def show_executions(daemon: Connection, which: str | None, sort: tuple[str, bool], limit: int) -> int:
    """The executions of all tasks, of one task, or one. Raises NotFound."""
    common = daemon.common
    found, one = _found(daemon, which, sort, limit)
    if one is not None and common.output != "text":
        showing.write_message(common, one)
    elif one is not None:
        showing.write_execution(one)
    elif common.output != "text":
        answer = QueryTaskExecutionsResponse.model_construct(task_executions=tuple(found))
        showing.write_message(common, answer)
    elif found:
        showing.write_table(list(showing.execution_rows(found)), showing.EXECUTION_HEAD)
    else:
        common.note(f"no executions of {which}" if which else "no executions yet")
    return 0


def _found(
    daemon: Connection, which: str | None, sort: tuple[str, bool], limit: int
) -> tuple[list[TaskExecution], TaskExecution | None]:
    if which is not None and finding.is_id(which):
        return [], finding.find_execution(daemon, which)
    field, descending = sort
    request = QueryTaskExecutionsRequest(
        environment_ids=(daemon.environment_id,),
        references=() if which is None else (which,),
        sort=None
        if sort == _NEWEST_FIRST
        else Sort(field=field, order=Order.DESC if descending else Order.ASC),
    )
    found = finding.query_executions(daemon, request, limit)
    if found or which is None:
        return found, None
    try:
        return [], finding.by_beginning(daemon, which)
    except NotFound:
        finding.find_task(daemon, which)  # says which task was likely meant
        return [], None


def show_logs(daemon: Connection, which: str, *, step: str | None, follow: bool, tail: int | None) -> None:
    """What the steps of an execution wrote, as bytes on standard output. Raises NotFound."""
    execution = finding.find_execution(daemon, which)
    if follow:
        write_followed(daemon.common, daemon.client.follow_logs(execution.id, step=step, tail=tail))
        return
    with daemon.client.logs(execution.id, step=step, tail=tail, follow=False) as blocks:
        for block in blocks:
            sys.stdout.buffer.write(block)


def write_followed(common: Common, pieces: Iterable[LogPiece]) -> None:
    """What comes of a log, at once, as bytes on standard output; what somebody did to it beside that."""
    for piece in pieces:
        if piece.is_note:
            common.note(clean(f"note: {piece.text.decode(errors='replace')}"))
        else:
            sys.stdout.buffer.write(piece.text)
            sys.stdout.buffer.flush()
