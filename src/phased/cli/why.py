"""`phased why`: why an execution waits, failed, or did not start.

Knows the daemon's explanation and how it is shown. Must not know how it came to it.
"""

from __future__ import annotations

import click

from phased.cli import finding, showing
from phased.cli.connection import connected
from phased.cli.options import Common, common_options
from phased.cli.words import word
from phased.contract.phased_v1 import ExplainExecutionRequest


@click.command("why", short_help="Say why an execution waits, failed, or did not start.")
@click.argument("which", metavar="EXECUTION|REF")
@common_options
def why(common: Common, which: str) -> int:
    """Say why an execution, or the newest of the task REF, stands where it does, step by step.

    Examples:
      phased why build
      phased why 4f1c2a77 -o json
    """
    with connected(common) as daemon:
        execution = finding.find_execution(daemon, which)
        answer = daemon.client.explain_execution(ExplainExecutionRequest(id=execution.id))
    if common.output != "text":
        showing.write_message(common, answer)
        return 0
    showing.write_facts(
        ("execution", answer.id),
        ("task", showing.reference_of(execution)),
        ("phase", word(answer.phase)),
        ("cause", answer.cause),
        ("why", answer.why),
    )
    rows = [
        (
            step.label or "",
            word(step.phase) if step.phase else "not started",
            step.cause or (f"waits for {', '.join(step.waits_for)}" if step.waits_for else ""),
        )
        for step in answer.steps
    ]
    click.echo("")
    showing.write_table(rows, ("STEP", "PHASE", "WHY"))
    return 0
