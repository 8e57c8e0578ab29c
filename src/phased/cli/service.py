"""`phased service`: the services that a daemon has.

Knows what was asked for and how it is shown. Must not know how a service runs.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from phased.cli import finding, showing
from phased.cli.connection import Connection, connected
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.contract.event import WatchEventsRequest
from phased.contract.service import Service, ServicePhase
from phased.contract.service_calls import (
    GetServiceRequest,
    ListServicesResponse,
    StartServiceRequest,
    StopServiceRequest,
)
from phased.errors import Unreachable

_AT_REST: Final = frozenset({ServicePhase.STOPPED, ServicePhase.FAILED, ServicePhase.UNSPECIFIED})

service = LazyGroup(
    {
        "list": ("service:list_", "Show the services of an environment."),
        "get": ("service:get", "Show one service."),
        "start": ("service:start", "Start a service; does not wait."),
        "stop": ("service:stop", "Stop a service; does not wait."),
        "restart": ("service:restart", "Stop a service, wait until it has, and start it."),
        "logs": ("service:logs", "Show what a service wrote since its last start."),
    },
    name="service",
    short_help="Services of a daemon: list, get, start, stop, restart, logs.",
    help="Show, start and stop the services that a daemon has.",
    params=common_parameters(),
)


@click.command("list", short_help="Show the services of an environment.")
@common_options
def list_(common: Common) -> int:
    """Show the services of an environment and where they stand.

    Examples:
      phased service list
    """
    with connected(common) as daemon:
        found = finding.services(daemon)
        if common.output != "text":
            showing.write_message(common, ListServicesResponse.model_construct(services=tuple(found)))
        elif found:
            showing.write_table(list(showing.service_rows(found)), showing.SERVICE_HEAD)
        else:
            common.note("no services yet; `phased update` applies a file")
    return 0


@click.command("get", short_help="Show one service.")
@click.argument("which", metavar="REF")
@common_options
def get(common: Common, which: str) -> int:
    """Show the service with this reference or id.

    Examples:
      phased service get db -o yaml
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        if common.output != "text":
            showing.write_message(common, daemon.client.get_service(GetServiceRequest(id=one.id)))
            return 0
        metadata, status = one.metadata, one.status
        commands = one.spec.commands if one.spec else None
        showing.write_facts(
            ("id", one.id),
            ("service", metadata.reference if metadata else None),
            ("name", metadata.name if metadata else None),
            ("description", metadata.description if metadata else None),
            ("phase", showing.service_phase(one)),
            ("failure", status.failure_message if status else None),
            ("triggers", showing.triggers(metadata.triggered_by) if metadata else None),
            ("start", commands.start if commands else None),
            ("ready", commands.ready if commands else None),
            ("stop", commands.stop if commands else None),
        )
    return 0


@click.command("start", short_help="Start a service; does not wait.")
@click.argument("which", metavar="REF")
@common_options
def start(common: Common, which: str) -> int:
    """Start a service; one that runs stays as it is. Does not wait until it is ready.

    Examples:
      phased service start db
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        answer = daemon.client.start_service(StartServiceRequest(id=one.id))
        if common.output != "text":
            showing.write_message(common, answer)
        else:
            click.echo(f"starting {_reference(one)}")
    return 0


@click.command("stop", short_help="Stop a service; does not wait.")
@click.argument("which", metavar="REF")
@common_options
def stop(common: Common, which: str) -> int:
    """Stop a service; one that is stopped stays as it is. Does not wait until it has ended.

    Examples:
      phased service stop db
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        answer = daemon.client.stop_service(StopServiceRequest(id=one.id))
        if common.output != "text":
            showing.write_message(common, answer)
        else:
            click.echo(f"stopping {_reference(one)}")
    return 0


@click.command("restart", short_help="Stop a service, wait until it has, and start it.")
@click.argument("which", metavar="REF")
@common_options
def restart(common: Common, which: str) -> int:
    """Stop a service, wait until it has ended, and start it again; does not wait until it is ready.

    Examples:
      phased service restart db
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        daemon.client.stop_service(StopServiceRequest(id=one.id))
        _wait_for_rest(daemon, one)
        answer = daemon.client.start_service(StartServiceRequest(id=one.id))
        if common.output != "text":
            showing.write_message(common, answer)
        else:
            click.echo(f"starting {_reference(one)}")
    return 0


def _wait_for_rest(daemon: Connection, one: Service) -> None:
    """Until it has stopped, or failed to."""

    def rests() -> bool:
        status = daemon.client.get_service(GetServiceRequest(id=one.id)).service.status
        return status is None or status.phase in _AT_REST or status.phase is None

    with daemon.client.watch_events(WatchEventsRequest(environment_id=one.environment_id)) as events:
        if rests():
            return
        for event in events:
            if event.resource_id == one.id and rests():
                return
    raise Unreachable(
        "cannot tell whether the service has stopped: the daemon ended its stream; look with `phased status`"
    )


@click.command("logs", short_help="Show what a service wrote since its last start.")
@click.argument("which", metavar="REF")
@click.option("--follow", is_flag=True, help="Go on until the service has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@common_options
def logs(common: Common, which: str, follow: bool, tail: int | None) -> int:
    """Show what a service wrote since its last start.

    Examples:
      phased service logs db --follow
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        with daemon.client.service_logs(one.id, tail=tail, follow=follow) as blocks:
            for block in blocks:
                sys.stdout.buffer.write(block)
                if follow:
                    sys.stdout.buffer.flush()
    return 0


def _reference(one: Service) -> str:
    return one.metadata.reference if one.metadata else one.id
