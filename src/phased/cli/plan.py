"""`phased plan`: the groups and steps that would run; nothing is run or kept.

Knows plans and their formats. Must not know the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from phased.cli.options import Common, common_options
from phased.cli.triggers import TRIGGER

if TYPE_CHECKING:
    from phased.contract.execution import PlanStep
    from phased.core.specs import PlannedExecution


@click.command("plan", short_help="Show the groups and steps that would run.")
@click.argument("references", metavar="[REF]...", nargs=-1)
@click.option(
    "--trigger", type=TRIGGER, metavar="NAME", help="The tasks that this trigger starts, as prebuild."
)
@click.option("--lenient", is_flag=True, help="Unknown keys in the file are warnings.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "dot", "mermaid"]),
    help="Format of the plan. Default: that of --output.",
)
@common_options
def plan(
    common: Common, references: tuple[str, ...], trigger: str | None, lenient: bool, form: str | None
) -> int:
    """Show what would run: groups one after another, the steps of a group at the same time.

    Without REF and trigger: every task of the file. Nothing is run.

    Examples:
      phased plan
      phased plan deploy --format mermaid
      phased plan --trigger postEnvironmentStart -o json
    """
    from phased.core.specs import plan_executions  # noqa: PLC0415 - `--help` should not pay for it

    catalog = common.catalog(lenient=lenient)
    for reference in references:
        if reference in catalog.services:
            raise click.UsageError(f"cannot plan {reference}: it is a service; name a task that needs it")
    planned = plan_executions(catalog, references, trigger)
    form = form or common.output
    if form in {"json", "yaml"}:
        _write_values(planned, form)
        return 0
    if trigger is not None and (services := catalog.triggered(trigger)[1]):
        common.note(f"note: {trigger} also starts the service(s) {', '.join(services)}")
    writers = {"text": _text, "dot": _dot, "mermaid": _mermaid}
    for line in writers[form](planned):
        click.echo(line)
    if not planned:
        common.note("nothing would run")
    return 0


def _write_values(planned: Sequence[PlannedExecution], form: str) -> None:
    from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format
    from phased.contract.base import to_dict  # noqa: PLC0415 - the same

    write_value([{"reference": one.reference, "spec": to_dict(one.spec)} for one in planned], form)


def _text(planned: Sequence[PlannedExecution]) -> Iterator[str]:
    for one in planned:
        groups = one.spec.plan
        count = sum(len(group.steps) for group in groups)
        yield f"{one.reference}: {_number(count, 'step')} in {_number(len(groups), 'group')}"
        for number, group in enumerate(groups, 1):
            yield f"  {number}. {', '.join(_named(step) for step in group.steps)}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _named(step: PlanStep) -> str:
    return f"{step.label} (service)" if step.service_id else step.label or ""


def _edges(one: PlannedExecution) -> Iterator[tuple[str, str]]:
    labels = {step.id: step.label or "" for group in one.spec.plan for step in group.steps}
    for group in one.spec.plan:
        for step in group.steps:
            for need in step.depends_on:
                yield labels[need], step.label or ""


def _dot(planned: Sequence[PlannedExecution]) -> Iterator[str]:
    """Graphviz: a cluster an execution, what is on one level is one group."""
    yield "digraph plan {"
    yield "  rankdir=LR; node [shape=box];"
    for index, one in enumerate(planned):
        yield f"  subgraph cluster_{index} {{"
        yield f'    label="{one.reference}";'
        for group in one.spec.plan:
            nodes = " ".join(_dot_node(index, step) for step in group.steps)
            yield f"    {{ rank=same; {nodes} }}"
        for need, label in _edges(one):
            yield f'    "{index}/{need}" -> "{index}/{label}";'
        yield "  }"
    yield "}"


def _dot_node(index: int, step: PlanStep) -> str:
    shape = ", shape=ellipse" if step.service_id else ""
    return f'"{index}/{step.label}" [label="{step.label}"{shape}];'


def _mermaid(planned: Sequence[PlannedExecution]) -> Iterator[str]:
    """A Mermaid flowchart: a subgraph an execution; services are round."""
    yield "flowchart LR"
    for index, one in enumerate(planned):
        steps = [step for group in one.spec.plan for step in group.steps]
        names = {step.label or "": f"e{index}s{number}" for number, step in enumerate(steps)}
        yield f'  subgraph e{index} ["{one.reference}"]'
        for step in steps:
            start, end = ("([", "])") if step.service_id else ("[", "]")
            yield f'    {names[step.label or ""]}{start}"{step.label}"{end}'
        for need, label in _edges(one):
            yield f"    {names[need]} --> {names[label]}"
        yield "  end"
