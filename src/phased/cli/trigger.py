"""`phased trigger`: firing a trigger's tasks and services in a daemon, and what became of firings.

Knows the daemon's methods and how firings are shown. Must not know how anything is started.
"""

from __future__ import annotations

import click

from phased.cli import finding, firings, showing
from phased.cli.connection import Connection, connected
from phased.cli.durations import Duration
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.cli.triggers import TRIGGER, TriggerName
from phased.contract.phased_v1_firing import (
    FireTriggerRequest,
    Firing,
    GetFiringRequest,
    GetFiringResponse,
    ListFiringsRequest,
    ListFiringsResponse,
    ResumeFiringRequest,
    StopFiringRequest,
)

_VERBS = {
    "fire": ("trigger:fire", "Start all that a trigger names; `phased trigger NAME` for short."),
    "list": ("trigger:list_", "Show the firings of an environment."),
    "show": ("trigger:show", "Show one firing with what it started."),
    "stop": ("trigger:stop", "Stop the tasks of a firing."),
}


class _Triggers(LazyGroup):
    """Where no verb is given, what stands there is a trigger to fire."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`NAME` is `fire NAME`."""
        if args and not {*args} & {*_VERBS, "-h", "--help"}:
            args = ["fire", *args]
        return super().parse_args(ctx, args)


trigger = _Triggers(
    _VERBS,
    name="trigger",
    short_help="Fire a trigger in a daemon: NAME, list, show, stop.",
    help="Start what a trigger names, from a lifecycle hook or by hand, and see what became of it.",
    params=common_parameters(),
)


class _NameOrId(TriggerName):
    """A trigger, or the id of a firing."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take either."""
        return str(value) if finding.is_id(str(value)) else super().convert(value, param, ctx)


@click.command("fire", short_help="Start all that a trigger names; `phased trigger NAME` for short.")
@click.argument("name", metavar="NAME", type=_NameOrId())
@click.option(
    "--wait", is_flag=True, help="Wait until all of it has ended or is ready; exit with the outcome."
)
@click.option(
    "--timeout", type=Duration(), metavar="DURATION", help="How long to wait, as 90s or 10m; implies --wait."
)
@click.option(
    "--resume", is_flag=True, help="Run only what had not succeeded; NAME may be the id of a firing."
)
@common_options
def fire(common: Common, name: str, wait: bool, timeout: float | None, resume: bool) -> int:
    """Start all tasks and services that a trigger names, print the firing's id and return at once.

    What it starts goes on without this command, its session or its terminal. What the same trigger started
    before and still runs is joined. With --wait: exits with 0 where all succeeded or is ready, 1 where
    something failed or the time ran out, 3 where something was stopped.

    Examples:
      phased trigger postEnvironmentStart
      phased trigger prebuild --wait --timeout 20m
      phased trigger postDevcontainerStart --resume
    """
    if finding.is_id(name) and not resume:
        raise click.UsageError(f"cannot fire {name}: it is the id of a firing; give --resume, or a trigger")
    with connected(common) as daemon:
        firing = _begin(daemon, name, resume=resume)
        if wait or timeout is not None:
            firing, code = firings.wait(daemon, firing, timeout)
            _write(common, firing)
            return code
        if common.output != "text":
            showing.write_message(common, GetFiringResponse.model_construct(firing=firing))
        else:
            click.echo(firing.id)
        if not firing.parts:
            common.note(f"nothing is started at {name} here")
    return 0


def _begin(daemon: Connection, name: str, *, resume: bool) -> Firing:
    if finding.is_id(name):
        resumed = daemon.client.resume_firing(ResumeFiringRequest(id=name)).firing
        return resumed or Firing()
    request = FireTriggerRequest(environment_id=daemon.environment_id, trigger=name, resume=resume or None)
    return daemon.client.fire_trigger(request).firing or Firing()


def _write(common: Common, firing: Firing) -> None:
    if common.output != "text":
        showing.write_message(common, GetFiringResponse.model_construct(firing=firing))
    else:
        firings.write(firing)


@click.command("list", short_help="Show the firings of an environment.")
@click.option("--trigger", "only", type=TRIGGER, metavar="NAME", help="Only those of this trigger.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=25, show_default=True, help="How many."
)
@common_options
def list_(common: Common, only: str | None, limit: int) -> int:
    """Show the firings of an environment, the newest first.

    Examples:
      phased trigger list
      phased trigger list --trigger prebuild -o json
    """
    with connected(common) as daemon:
        request = ListFiringsRequest(
            environment_ids=(daemon.environment_id,), triggers=() if only is None else (only,)
        )
        found: list[Firing] = []
        for page in daemon.client.pages(daemon.client.list_firings, request):
            found += page.firings
            if len(found) >= limit:
                break
    shown = found[:limit]
    message = ListFiringsResponse.model_construct(firings=tuple(shown))
    rows = [firings.row(one) for one in shown]
    showing.write_list(common, message, rows, firings.HEAD, "nothing was fired yet")
    return 0


@click.command("show", short_help="Show one firing with what it started.")
@click.argument("which", metavar="ID")
@common_options
def show(common: Common, which: str) -> int:
    """Show the firing with this id, and what became of each task and service.

    Examples:
      phased trigger show 4f1c2a77-0c2e-4f4e-9f7c-6a1d0a3c5b11
    """
    with connected(common) as daemon:
        answer = daemon.client.get_firing(GetFiringRequest(id=which))
    _write(common, answer.firing or Firing())
    return 0


@click.command("stop", short_help="Stop the tasks of a firing.")
@click.argument("which", metavar="ID")
@common_options
def stop(common: Common, which: str) -> int:
    """Ask all tasks that a firing started to stop; does not wait. Its services go on, but for a prebuild's.

    Examples:
      phased trigger stop 4f1c2a77-0c2e-4f4e-9f7c-6a1d0a3c5b11
    """
    with connected(common) as daemon:
        answer = daemon.client.stop_firing(StopFiringRequest(id=which))
    showing.write_answer(common, answer, f"stopping {which}")
    return 0
