"""`phased env explain`: where each variable of a step comes from.

Knows the daemon's explanation and how it is shown. Must not know how a step's environment is made.
"""

from __future__ import annotations

import click

from phased.cli import showing
from phased.cli.connection import connected
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.cli.triggers import TRIGGER
from phased.contract.phased_v1_inside import ExplainedVariable, ExplainEnvironmentRequest

env = LazyGroup(
    {"explain": ("env:explain", "Show every variable of a task or service, and its origin.")},
    name="env",
    short_help="Show the variables of a task or service, and their origins.",
    help="Look at what a step finds in its environment.",
    params=common_parameters(),
)


@click.command("explain", short_help="Show every variable of a task or service, and its origin.")
@click.argument("which", metavar="REF")
@click.option("--trigger", type=TRIGGER, metavar="NAME", help="As if this had started it. Default: manual.")
@common_options
def explain(common: Common, which: str, trigger: str | None) -> int:
    """Show every variable that the commands of a task or service find, its value or secret, and its origin.

    Values of secrets are not shown. Outputs of what it depends on are known only once that has run.

    Examples:
      phased env explain build
      phased env explain build --trigger prebuild -o json
    """
    with connected(common) as daemon:
        request = ExplainEnvironmentRequest(
            environment_id=daemon.environment_id, reference=which, trigger=trigger
        )
        answer = daemon.client.explain_environment(request)
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        showing.write_table([_row(one) for one in answer.variables], ("NAME", "VALUE", "ORIGIN"))
    return 0


def _row(one: ExplainedVariable) -> tuple[str, ...]:
    if one.missing:
        value = f"(the secret {one.secret} is missing)"
    elif one.secret is not None:
        value = f"(secret {one.secret})"
    else:
        value = "(another each time)" if one.value is None else one.value
    hidden = f"; hides {', '.join(one.hides)}" if one.hides else ""
    return one.name or "", value, f"{one.origin}{hidden}"
