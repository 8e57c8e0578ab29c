"""`phased events`: what changes in the daemon, as it changes.

Knows the two streams and how they are shown. Must not know what an event is about.
"""

from __future__ import annotations

import sys

import click

from phased.cli import showing
from phased.cli.answer import json_text, yaml_text
from phased.cli.connection import Connection, connected
from phased.cli.options import Common, common_options
from phased.cli.outlet import clean
from phased.client.wire import StatusEvent
from phased.contract.base import to_dict
from phased.contract.event import WatchEventsRequest


@click.command("events", short_help="Show what changes, as it changes.")
@click.option(
    "--organization", is_flag=True, help="Changes of environments and runners, not of one environment."
)
@click.option("--statuses", is_flag=True, help="With the new statuses: a snapshot, then every change.")
@click.option("--since", metavar="ID", help="With --statuses: go on after this event.")
@common_options
def events(common: Common, organization: bool, statuses: bool, since: str | None) -> int:
    """Show which resources change, until Ctrl-C: one a line.

    Examples:
      phased events
      phased events --statuses -o json
      phased events --statuses --since 1764337170000123
    """
    if since is not None and not statuses:
        raise click.UsageError("cannot use --since without --statuses: only that stream can be resumed")
    with connected(common) as daemon:
        if statuses:
            _show_statuses(daemon, since, everything=organization)
        else:
            _show_changes(daemon, everything=organization)
    return 0


def _show_changes(daemon: Connection, *, everything: bool) -> None:
    request = WatchEventsRequest(
        organization=True if everything else None,
        environment_id=None if everything else daemon.environment_id,
    )
    with daemon.client.watch_events(request) as changes:
        daemon.common.note("watching; Ctrl-C ends this")
        for change in changes:
            kind = showing.plain(change.resource_type, "RESOURCE_TYPE_")
            operation = showing.plain(change.operation, "RESOURCE_OPERATION_")
            _write(daemon.common, to_dict(change), f"{kind} {change.resource_id}: {operation}")


def _show_statuses(daemon: Connection, since: str | None, *, everything: bool) -> None:
    environment = None if everything else daemon.environment_id
    with daemon.client.events(environment, since) as told:
        for event in told:
            _write(daemon.common, {"id": event.id, "event": event.kind, "data": event.data}, _line(event))


def _line(event: StatusEvent) -> str:
    data = event.data if isinstance(event.data, dict) else {}
    match event.kind:
        case "snapshot":
            counts = [f"{len(entries)} {noun}" for noun, entries in data.items() if isinstance(entries, list)]
            return f"{event.id} snapshot: {', '.join(counts)}"
        case "gap":
            return "gap: changes were missed; a snapshot follows"
        case "end":
            return f"the daemon ends this stream: {data.get('message', '')}"
        case _:
            kind = str(data.get("resourceType", "")).removeprefix("RESOURCE_TYPE_").lower().replace("_", " ")
            phase = (data.get("status") or {}).get("phase", "")
            return f"{event.id} {kind} {data.get('resourceId', '')}: {phase or data.get('operation', '')}"


def _write(common: Common, value: object, line: str) -> None:
    match common.output:
        case "json":
            click.echo(json_text(value))
        case "yaml":
            click.echo("---\n" + yaml_text(value).rstrip("\n"))
        case _:
            click.echo(clean(line))
    sys.stdout.flush()
