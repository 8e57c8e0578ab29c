"""The messages of the API as text for people.

Knows messages and words. Must not know where they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from phased.cli.answer import columns, write_value
from phased.cli.connection import name_of, workspace_of
from phased.cli.options import Common
from phased.cli.outlet import clean
from phased.cli.words import ENDED, moment, took, word
from phased.contract.base import Message, Name, camel_case, to_dict
from phased.contract.execution import TaskExecution, TaskExecutionPhase

if TYPE_CHECKING:
    from phased.contract.environment import Environment
    from phased.contract.service import Service
    from phased.contract.task import Task
    from phased.contract.trigger import AutomationTrigger


def write_message(common: Common, message: Message) -> None:
    """One message as a value, as `-o` asks."""
    write_value(to_dict(message), common.output)


def write_table(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> None:
    """A table on standard output, without anything that moves a cursor."""
    for line in columns([tuple(clean(cell) for cell in row) for row in rows], head):
        click.echo(line)


def write_list(
    common: Common, message: Message, rows: Sequence[tuple[str, ...]], head: tuple[str, ...], nothing: str
) -> None:
    """A list as a table, or as the message where `-o` asks for it; `nothing` is said where it is empty."""
    if common.output != "text":
        write_message(common, message)
    elif rows:
        write_table(rows, head)
    else:
        common.note(nothing)


def write_answer(common: Common, message: Message, text: str) -> None:
    """What a call answered where `-o` asks for it, else a line for people."""
    if common.output != "text":
        write_message(common, message)
    else:
        click.echo(text)


def reference_of(execution: TaskExecution) -> str:
    """The reference of the task that was started: the plan has it as the label of its step."""
    task_id = execution.metadata.task_id if execution.metadata else None
    steps = [step for group in (execution.spec.plan if execution.spec else ()) for step in group.steps]
    own = [step.label for step in steps if step.task is not None and step.task.id == task_id and step.label]
    return own[-1] if own else task_id or execution.id


def phase_of(execution: TaskExecution) -> TaskExecutionPhase:
    """Where it stands."""
    phase = execution.status.phase if execution.status else None
    return phase or TaskExecutionPhase.UNSPECIFIED


def microseconds(value: datetime | None) -> int | None:
    """Since the epoch."""
    return None if value is None else round(value.timestamp() * 1_000_000)


def when(value: datetime | None) -> str:
    """A moment for people; "" where there is none."""
    return moment(microseconds(value))


def lasted(execution: TaskExecution) -> str:
    """How long it took; "" where it has not ended."""
    metadata = execution.metadata
    if metadata is None:
        return ""
    return took(microseconds(metadata.started_at), microseconds(metadata.completed_at))


def outcome_line(execution: TaskExecution) -> str:
    """`build: failed after 0.3 s: exit code 3`."""
    phase, time = phase_of(execution), lasted(execution)
    text = f"{reference_of(execution)}: {word(phase)}"
    if time and phase in ENDED:
        text += f" {'in' if phase is TaskExecutionPhase.SUCCEEDED else 'after'} {time}"
    failure = execution.status.failure_message if execution.status else None
    return clean(f"{text}: {failure}" if failure else text)


def execution_rows(executions: Iterable[TaskExecution]) -> Iterator[tuple[str, ...]]:
    """For a table with EXECUTION_HEAD."""
    for one in executions:
        metadata = one.metadata
        yield (
            one.id[:8],
            reference_of(one),
            word(phase_of(one)),
            when(metadata.created_at if metadata else None),
            lasted(one) or "-",
            (metadata.started_by if metadata else None) or "",
            (one.status.failure_message if one.status else None) or "",
        )


EXECUTION_HEAD = ("ID", "TASK", "PHASE", "CREATED", "TOOK", "BY", "WHY")


def write_execution(one: TaskExecution) -> None:
    """One execution with its steps."""
    metadata, status = one.metadata, one.status
    write_facts(
        ("id", one.id),
        ("task", reference_of(one)),
        ("phase", word(phase_of(one))),
        ("started by", metadata.started_by if metadata else None),
        ("created", when(metadata.created_at if metadata else None)),
        ("started", when(metadata.started_at if metadata else None)),
        ("completed", when(metadata.completed_at if metadata else None)),
        ("took", lasted(one)),
        ("failure", status.failure_message if status else None),
    )
    click.echo("")
    write_table(list(_step_rows(one)), ("GROUP", "STEP", "OUTCOME"))


def _step_rows(one: TaskExecution) -> Iterator[tuple[str, ...]]:
    known = {step.id: step for step in (one.status.steps if one.status else ())}
    ended = phase_of(one) in ENDED
    for number, group in enumerate(one.spec.plan if one.spec else (), 1):
        for step in group.steps:
            status = known.get(step.id)
            text = "never started" if ended else "waiting"
            if status is not None:
                text = word(status.phase) + (f": {status.failure_message}" if status.failure_message else "")
            yield str(number), step.label or "", text


def write_facts(*facts: tuple[str, str | None]) -> None:
    """`name: text` lines; those without text are left out."""
    for name, text in facts:
        if text:
            click.echo(f"{name + ':':<12} {clean(text)}")


def plain(name: Name | None, prefix: str) -> str:
    """An enum's value for people: `SERVICE_PHASE_RUNNING` as `running`."""
    return name.value.removeprefix(prefix).lower().replace("_", " ") if name is not None else "unknown"


def triggers(entries: Iterable[AutomationTrigger]) -> str:
    """The names of triggers, as the file spells them."""
    return ", ".join(camel_case(name) for entry in entries for name, value in entry if value)


def task_rows(tasks: Sequence[Task], labels: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """For a table with TASK_HEAD; `labels` has the references of ids."""
    for task in tasks:
        metadata = task.metadata
        yield (
            metadata.reference if metadata else task.id,
            (metadata.name if metadata else None) or "",
            triggers(metadata.triggered_by) if metadata else "",
            ", ".join(labels.get(needed, needed) for needed in task.depends_on),
            (metadata.description if metadata else None) or "",
        )


TASK_HEAD = ("REFERENCE", "NAME", "TRIGGERS", "NEEDS", "DESCRIPTION")


def service_rows(services: Iterable[Service]) -> Iterator[tuple[str, ...]]:
    """For a table with SERVICE_HEAD."""
    for service in services:
        metadata, status = service.metadata, service.status
        yield (
            metadata.reference if metadata else service.id,
            service_phase(service),
            triggers(metadata.triggered_by) if metadata else "",
            (status.failure_message if status else None) or "",
        )


SERVICE_HEAD = ("REFERENCE", "PHASE", "TRIGGERS", "WHY")


def service_phase(service: Service) -> str:
    """Where it stands, for people."""
    return plain(service.status.phase if service.status else None, "SERVICE_PHASE_")


def environment_rows(environments: Iterable[Environment]) -> Iterator[tuple[str, ...]]:
    """For a table with ENVIRONMENT_HEAD."""
    for one in environments:
        phase = plain(one.status.phase if one.status else None, "ENVIRONMENT_PHASE_")
        yield one.id or "", name_of(one), phase, workspace_of(one)


ENVIRONMENT_HEAD = ("ID", "NAME", "PHASE", "WORKSPACE")


def clean_lines(text: str) -> str:
    """Text of several lines, without anything else that moves a cursor."""
    return "\n".join(clean(line) for line in text.rstrip("\n").split("\n"))
