"""`phased service`: the services that a daemon has.

Knows what was asked for and how it is shown. Must not know how a service runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from phased.cli import finding, showing
from phased.cli.connection import connected
from phased.cli.groups import LazyGroup
from phased.cli.history_of_daemon import write_followed
from phased.cli.options import Common, common_options, common_parameters
from phased.cli.why import OUTDATED
from phased.contract.phased_v1_service import ExplainServiceRequest, RestartServiceRequest
from phased.contract.service import Service
from phased.contract.service_calls import (
    GetServiceRequest,
    ListServicesResponse,
    StartServiceRequest,
    StopServiceRequest,
)

service = LazyGroup(
    {
        "list": ("service:list_", "Show the services of an environment."),
        "get": ("service:get", "Show one service."),
        "start": ("service:start", "Start a service; does not wait."),
        "stop": ("service:stop", "Stop a service; does not wait."),
        "restart": ("service:restart", "Stop a service and start it again; does not wait."),
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
    message = ListServicesResponse.model_construct(services=tuple(found))
    rows, nothing = list(showing.service_rows(found)), "no services yet; `phased update` applies a file"
    showing.write_list(common, message, rows, showing.SERVICE_HEAD, nothing)
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
        outdated = daemon.client.explain_service(ExplainServiceRequest(id=one.id)).outdated
        showing.write_facts(*_facts(one, outdated=bool(outdated)))
    return 0


def _facts(one: Service, *, outdated: bool) -> Iterator[tuple[str, str | None]]:
    yield "id", one.id
    if metadata := one.metadata:
        yield "service", metadata.reference
        yield "name", metadata.name
        yield "description", metadata.description
        yield "role", showing.plain(metadata.role, "SERVICE_ROLE_") if metadata.role else None
        yield "triggers", showing.triggers(metadata.triggered_by)
    yield "phase", showing.service_phase(one)
    yield "failure", one.status.failure_message if one.status else None
    if spec := one.spec:
        yield "wanted", showing.plain(spec.desired_phase, "SERVICE_PHASE_")
        yield "session", spec.session
        yield "version", spec.spec_version
        yield "outdated", OUTDATED if outdated else None
        timeout = spec.readiness_timeout
        yield "ready in", f"{timeout.total_seconds():g} s" if timeout else None
        if commands := spec.commands:
            yield "start", commands.start
            yield "ready", commands.ready
            yield "stop", commands.stop


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
        showing.write_answer(common, answer, f"starting {_reference(one)}")
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
        showing.write_answer(common, answer, f"stopping {_reference(one)}")
    return 0


@click.command("restart", short_help="Stop a service and start it again; does not wait.")
@click.argument("which", metavar="REF")
@common_options
def restart(common: Common, which: str) -> int:
    """Stop a service and start it again once it has ended; one that is stopped is started. Does not wait.

    Examples:
      phased service restart db
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        answer = daemon.client.restart_service(RestartServiceRequest(id=one.id))
        showing.write_answer(common, answer, f"restarting {_reference(one)}")
    return 0


@click.command("logs", short_help="Show what a service wrote since its last start.")
@click.argument("which", metavar="REF")
@click.option(
    "--step", type=click.Choice(("start", "ready", "stop")), help="Of which of its commands. Default: start."
)
@click.option("--follow", is_flag=True, help="Go on until the service has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@common_options
def logs(common: Common, which: str, step: str | None, follow: bool, tail: int | None) -> int:
    """Show what a service wrote since its last start; what its ready and stop commands wrote is kept apart.

    Examples:
      phased service logs db --follow
      phased service logs db --step ready --tail 5
    """
    with connected(common) as daemon:
        one = finding.find_service(daemon, which)
        if follow:
            write_followed(common, daemon.client.follow_service_logs(one.id, step=step, tail=tail))
            return 0
        with daemon.client.service_logs(one.id, step=step, tail=tail, follow=False) as blocks:
            for block in blocks:
                sys.stdout.buffer.write(block)
    return 0


def _reference(one: Service) -> str:
    return one.metadata.reference if one.metadata else one.id
