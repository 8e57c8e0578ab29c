"""`phased why`: why an execution waits, failed, or did not start, and why a service stands where it does.

Knows the daemon's explanation and how it is shown. Must not know how it came to it.
"""

from __future__ import annotations

from typing import Final

import click

from phased.cli import finding, showing
from phased.cli.connection import Connection, connected
from phased.cli.options import Common, common_options
from phased.cli.words import word
from phased.contract.phased_v1 import ExplainExecutionRequest
from phased.contract.phased_v1_service import ExplainServiceRequest, ExplainServiceResponse

OUTDATED: Final = "it runs as it was defined before; its next start uses the new definition"


@click.command("why", short_help="Say why an execution waits, failed, or did not start.")
@click.argument("which", metavar="EXECUTION|REF")
@common_options
def why(common: Common, which: str) -> int:
    """Say why an execution, the newest of the task REF, or the service REF, stands where it does.

    Examples:
      phased why build
      phased why db
      phased why 4f1c2a77 -o json
    """
    with connected(common) as daemon:
        services = finding.services(daemon, which) if finding.is_reference(which) else []
        if services:
            return _why_service(common, daemon, services[0].id)
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


def _why_service(common: Common, daemon: Connection, service_id: str) -> int:
    answer = daemon.client.explain_service(ExplainServiceRequest(id=service_id))
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        showing.write_facts(*facts(answer))
    return 0


def facts(answer: ExplainServiceResponse) -> list[tuple[str, str | None]]:
    """A service's explanation for people."""
    return [
        ("service", answer.reference),
        ("phase", showing.plain(answer.phase, "SERVICE_PHASE_")),
        ("wanted", showing.plain(answer.desired_phase, "SERVICE_PHASE_")),
        ("cause", answer.cause),
        ("why", answer.why),
        ("waits for", ", ".join(answer.waits_for)),
        ("ready tries", str(answer.ready_tries) if answer.ready_tries else None),
        ("last try", answer.last_ready_try),
        ("restarts", str(answer.restarts) if answer.restarts else None),
        ("outdated", OUTDATED if answer.outdated else None),
        ("started by", answer.started_by),
        ("started", showing.when(answer.started_at)),
        ("ready", showing.when(answer.ready_at)),
        ("completed", showing.when(answer.completed_at)),
    ]
