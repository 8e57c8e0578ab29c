"""`phased status`: what a daemon is doing now.

Knows the daemon's own status message and how it is shown. Must not know how anything runs.
"""

from __future__ import annotations

import sys
from typing import Final

import anyio
import click

from phased.cli import showing
from phased.cli.answer import json_text, yaml_text
from phased.cli.connection import Connection, connected
from phased.cli.options import Common, common_options
from phased.client.asynchronous import AsyncClient
from phased.contract.base import to_dict
from phased.contract.phased_v1 import GetStatusRequest, GetStatusResponse

_PAUSE: Final = 0.2
"""Seconds between two pictures at least."""


@click.command("status", short_help="Show what the daemon is doing.")
@click.option("--watch", is_flag=True, help="Show it again whenever something changes, until Ctrl-C.")
@common_options
def status(common: Common, watch: bool) -> int:
    """Show the daemon, its environments, its services, and the executions that have not ended.

    Examples:
      phased status
      phased status --watch
      phased status -o json
    """
    with connected(common) as daemon:
        request = GetStatusRequest(environment_id=_environment(daemon))
        if watch:
            anyio.run(_watch, daemon, request)
        else:
            _write(common, daemon.client.get_status(request))
    return 0


def _environment(daemon: Connection) -> str | None:
    """The one that was named; None: all that may be seen."""
    wanted = daemon.common.said("environment")
    return None if wanted is None else daemon.find_environment(wanted)


async def _watch(daemon: Connection, request: GetStatusRequest) -> None:
    """A picture at first and after each bunch of changes. Ends with the daemon's stream."""
    async with AsyncClient(daemon.client.address) as client, client.events(request.environment_id) as events:
        changed = anyio.Event()
        over = False

        async def listen() -> None:
            nonlocal over
            async for _ in events:
                changed.set()
            over = True
            changed.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            while not over:
                await changed.wait()
                changed = anyio.Event()
                _write(daemon.common, await client.get_status(request), again=True)
                await anyio.sleep(_PAUSE)
    daemon.common.note("the daemon ended its stream")


def _write(common: Common, answer: GetStatusResponse, *, again: bool = False) -> None:
    match common.output:
        case "json":
            click.echo(json_text(to_dict(answer)))
        case "yaml":
            click.echo(("---\n" if again else "") + yaml_text(to_dict(answer)).rstrip("\n"))
        case _:
            if again and sys.stdout.isatty():
                click.clear()
            _write_text(answer)
    sys.stdout.flush()


def _write_text(answer: GetStatusResponse) -> None:
    told = answer.daemon
    if told is not None:
        ending = " (ending: new work is refused)" if told.ending else ""
        since = showing.when(told.started_at)
        showing.write_facts(
            ("daemon", f"phased {told.version}, process {told.pid}{ending}"),
            ("since", since),
            ("state", told.state_directory),
            ("addresses", ", ".join(told.addresses)),
            ("trouble", told.trouble),
        )
    for title, rows, head in (
        ("Environments", list(showing.environment_rows(answer.environments)), showing.ENVIRONMENT_HEAD),
        ("Services", list(showing.service_rows(answer.services)), showing.SERVICE_HEAD),
        ("Running", list(showing.execution_rows(answer.task_executions)), showing.EXECUTION_HEAD),
    ):
        if rows:
            click.echo(f"\n{title}")
            showing.write_table(rows, head)
