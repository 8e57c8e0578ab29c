"""`phased output set`: a running step sets outputs of its own.

Knows what a step is told of itself. Must not know where outputs go.
"""

from __future__ import annotations

import click

from phased.cli import finding, showing
from phased.cli.connection import connected
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.contract.phased_v1 import SetOutputRequest
from phased.settings import client_environment

output = LazyGroup(
    {"set": ("output:set_", "Set outputs of a running step.")},
    name="output",
    short_help="Set outputs of a running step.",
    help="Set what a step hands on to those that depend on it.",
    params=common_parameters(),
)


@click.command("set", short_help="Set outputs of a running step.")
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
@click.option("--execution", metavar="ID", help="Which execution. Default: the one that this runs in.")
@click.option(
    "--step", metavar="S", help="Which of its steps, by reference or id. Default: the one that this runs in."
)
@common_options
def set_(common: Common, pairs: tuple[str, ...], execution: str | None, step: str | None) -> int:
    """Set outputs of the step that this runs in; an empty value removes its key.

    Steps that depend on it find PHASED_OUTPUT_<REFERENCE>_<KEY> in their environment.

    Examples:
      phased output set version=1.2.3
    """
    values = dict(_pair(text) for text in pairs)
    surroundings = client_environment()
    with connected(common) as daemon:
        known = execution or surroundings.execution_id
        if known is None:
            raise click.UsageError(
                "cannot tell which step is meant: this runs in none; give --execution and --step"
            )
        found = finding.find_execution(daemon, known)
        steps = [one for group in (found.spec.plan if found.spec else ()) for one in group.steps]
        wanted = step or (surroundings.step_id if execution is None else None)
        chosen = [one.id for one in steps if wanted is None or wanted in {one.id, one.label}]
        if len(chosen) != 1 or chosen[0] is None:
            labels = ", ".join(one.label or "" for one in steps)
            raise click.UsageError(f"cannot tell which step is meant; give --step; there are: {labels}")
        answer = daemon.client.set_output(
            SetOutputRequest(execution_id=found.id, step_id=chosen[0], output=values)
        )
        if common.output != "text":
            showing.write_message(common, answer)
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"cannot use {text!r}: an output is KEY=VALUE")
    return key, value
