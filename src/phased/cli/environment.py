"""`phased environment`: the workspaces that a daemon serves.

Knows the public methods. Must not know how a workspace is made.
"""

from __future__ import annotations

import click

from phased.cli import showing
from phased.cli.connection import Connection, connected, name_of, workspace_of
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.contract.environment import Environment
from phased.contract.environment_calls import (
    CreateEnvironmentRequest,
    DeleteEnvironmentRequest,
    GetEnvironmentRequest,
    ListEnvironmentsResponse,
    StartEnvironmentRequest,
    StopEnvironmentRequest,
)
from phased.contract.environment_initializer import (
    ContextURLInitializer,
    EnvironmentInitializer,
    EnvironmentInitializerSpec,
    GitInitializer,
)
from phased.contract.environment_spec import EnvironmentSpec, EnvironmentSpecContent, EnvironmentSpecMachine

environment = LazyGroup(
    {
        "list": ("environment:list_", "Show the environments of the daemon."),
        "create": ("environment:create", "Make an environment, empty or from a repository."),
        "get": ("environment:get", "Show one environment."),
        "start": ("environment:start", "Start an environment."),
        "stop": ("environment:stop", "Stop an environment: all its tasks and services."),
        "delete": ("environment:delete", "Delete an environment."),
        "task": ("task:task", ""),
        "service": ("service:service", ""),
        "config": ("automations:automations", ""),
    },
    name="environment",
    short_help="Environments of a daemon: list, create, get, start, stop, delete.",
    help="The workspaces that a daemon serves, each with its own tasks, services, secrets and history.",
    params=common_parameters(),
)


@click.command("list", short_help="Show the environments of the daemon.")
@common_options
def list_(common: Common) -> int:
    """Show the environments of the daemon.

    Examples:
      phased environment list
    """
    with connected(common) as daemon:
        found = daemon.environments
    message = ListEnvironmentsResponse.model_construct(environments=tuple(found))
    rows = list(showing.environment_rows(found))
    showing.write_list(common, message, rows, showing.ENVIRONMENT_HEAD, "no environments")
    return 0


@click.command("create", short_help="Make an environment, empty or from a repository.")
@click.argument("source", metavar="[URL]", required=False)
@click.option("--name", metavar="NAME", help="What people call it.")
@click.option(
    "--class", "class_id", metavar="ID", help="What it runs on. Default: the first class of the settings."
)
@common_options
def create(common: Common, source: str | None, name: str | None, class_id: str | None) -> int:
    """Make an environment with a scratch workspace: empty, or a clone of the repository at URL.

    URL may be a path or a file:// address too. Prints the environment's id.

    Examples:
      phased environment create --name scratch
      phased environment create https://example.com/team/project.git
    """
    content = None if source is None else EnvironmentSpecContent(initializer=_initializer(source))
    machine = None if class_id is None else EnvironmentSpecMachine(class_=class_id)
    spec = EnvironmentSpec(content=content, machine=machine)
    with connected(common) as daemon:
        answer = daemon.client.create_environment(CreateEnvironmentRequest(spec=spec, name=name))
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(answer.environment.id)
    return 0


def _initializer(source: str) -> EnvironmentInitializer:
    if "://" in source:
        one = EnvironmentInitializerSpec(context_url=ContextURLInitializer(url=source))
    else:
        one = EnvironmentInitializerSpec(git=GitInitializer(remote_uri=source))
    return EnvironmentInitializer(specs=(one,))


@click.command("get", short_help="Show one environment.")
@click.argument("which", metavar="[ID|NAME]", required=False)
@common_options
def get(common: Common, which: str | None) -> int:
    """Show the environment with this id or name.

    Examples:
      phased environment get
    """
    with connected(common) as daemon:
        request = GetEnvironmentRequest(environment_id=_meant(daemon, which))
        answer = daemon.client.get_environment(request)
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        _write(answer.environment)
    return 0


def _write(one: Environment) -> None:
    metadata, status = one.metadata, one.status
    showing.write_facts(
        ("id", one.id),
        ("name", name_of(one)),
        ("phase", showing.plain(status.phase if status else None, "ENVIRONMENT_PHASE_")),
        ("workspace", workspace_of(one)),
        ("source", metadata.original_context_url if metadata else None),
        ("created", showing.when(metadata.created_at if metadata else None)),
        ("failure", "; ".join(status.failure_message) if status else None),
    )


@click.command("start", short_help="Start an environment.")
@click.argument("which", metavar="[ID|NAME]", required=False)
@common_options
def start(common: Common, which: str | None) -> int:
    """Start the environment with this id or name: what its triggers start is started. Does not wait.

    Examples:
      phased environment start scratch
    """
    with connected(common) as daemon:
        found = _meant(daemon, which)
        answer = daemon.client.start_environment(StartEnvironmentRequest(environment_id=found))
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(f"starting {found}")
    return 0


@click.command("stop", short_help="Stop an environment: all its tasks and services.")
@click.argument("which", metavar="[ID|NAME]", required=False)
@common_options
def stop(common: Common, which: str | None) -> int:
    """Stop the environment with this id or name: all its tasks and services. Does not wait.

    Examples:
      phased environment stop scratch
    """
    with connected(common) as daemon:
        found = _meant(daemon, which)
        answer = daemon.client.stop_environment(StopEnvironmentRequest(environment_id=found))
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(f"stopping {found}")
    return 0


@click.command("delete", short_help="Delete an environment.")
@click.argument("which", metavar="ID|NAME")
@click.option("--force", is_flag=True, help="Do not wait for its processes to end gracefully.")
@common_options
def delete(common: Common, which: str, force: bool) -> int:
    """Delete the environment with this id or name, its history, and the scratch workspace made for it.

    A directory that you gave is never removed.

    Examples:
      phased environment delete scratch
    """
    with connected(common) as daemon:
        found = daemon.find_environment(which)
        request = DeleteEnvironmentRequest(environment_id=found, force=force or None)
        answer = daemon.client.delete_environment(request)
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(f"deleting {found}")
    return 0


def _meant(daemon: Connection, which: str | None) -> str:
    return daemon.environment_id if which is None else daemon.find_environment(which)
