"""Definitions as the public message AutomationsFile, and back; and what only the whole of them can violate.

Knows both vocabularies. The message has no place for this project's extensions: going there drops them,
coming back leaves them empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from phased.contract.automations_file import AutomationsFile, AutomationsFileService, AutomationsFileTask
from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.contract.service import ServiceSpecCommands
from phased.errors import InvalidFile
from phased.loader.corrections import likeliest
from phased.loader.report import Diagnostic, quoted


def to_automations_file(definitions: Definitions) -> AutomationsFile:
    """The public message, without extensions."""
    return AutomationsFile(
        tasks={
            task.reference: AutomationsFileTask(
                name=task.name,
                description=task.description,
                command=task.command,
                depends_on=task.depends_on,
                triggered_by=task.triggered_by,  # type: ignore[arg-type] # the loader let triggers alone through
                runs_on=task.runs_on,
                prebuild_requires_success=task.prebuild_requires_success,
            )
            for task in definitions.tasks
        },
        services={
            service.reference: AutomationsFileService(
                name=service.name,
                description=service.description,
                commands=ServiceSpecCommands(start=service.start, ready=service.ready, stop=service.stop),
                triggered_by=service.triggered_by,  # type: ignore[arg-type] # as above
                runs_on=service.runs_on,
                role=service.role,  # type: ignore[arg-type] # as above
                readiness_timeout=service.readiness_timeout,
            )
            for service in definitions.services
        },
    )


def from_automations_file(message: AutomationsFile, name: str = "automationsFile") -> Definitions:
    """The definitions of a message that was parsed, so keeps its rules. Names default to the references.

    Raises InvalidFile, under this name, for services without commands: the message's rules allow them.
    """
    missing = [reference for reference, service in message.services.items() if service.commands is None]
    if missing:
        paths = [f"services.{reference}.commands" for reference in missing]
        words, hint = "cannot use a service without `commands`", "add `commands:` to it"
        raise InvalidFile(name, [Diagnostic("error", 1, 1, path, words, hint) for path in paths])
    return Definitions(
        tasks=tuple(_task(reference, task) for reference, task in message.tasks.items()),
        services=tuple(
            _service(reference, service, service.commands)
            for reference, service in message.services.items()
            if service.commands is not None
        ),
    )


def violations(
    definitions: Definitions, existing: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[str, str]]:
    """What is wrong between these definitions and what is there: JSON path and phrase of each.

    `existing` is every reference of the environment that stays, with what it depends on. Said are names for
    a task and a service, unknown references and cycles: what the loader says of a file, with positions.
    """
    entries = [("tasks", task) for task in definitions.tasks]
    both: list[tuple[str, TaskDefinition | ServiceDefinition]] = [
        *entries,
        *(("services", service) for service in definitions.services),
    ]
    needs = {**(existing or {}), **{entry.reference: entry.depends_on for _, entry in both}}
    found = _ambiguous(definitions)
    for section, entry in both:
        for number, wanted in enumerate(entry.depends_on):
            if wanted not in needs:
                near = likeliest(wanted, needs, cutoff=0.6)
                hint = f"; did you mean {quoted(near)}?" if near else ""
                path = f"{section}.{entry.reference}.dependsOn[{number}]"
                found.append((path, f"names {quoted(wanted)}, which does not exist{hint}"))
    return found + _cycles(needs, {entry.reference: section for section, entry in both})


def _ambiguous(definitions: Definitions) -> list[tuple[str, str]]:
    tasks = {task.reference for task in definitions.tasks}
    services = [service.reference for service in definitions.services]
    return [
        (f"services.{name}", "is the reference of a task as well: rename one")
        for name in services
        if name in tasks
    ]


def _cycles(needs: Mapping[str, Sequence[str]], sections: Mapping[str, str]) -> list[tuple[str, str]]:
    from phased.core import planner  # noqa: PLC0415 - brings networkx, which only a graph needs

    found = planner.cycles(needs) if any(needs.values()) else []
    return [
        (f"{sections.get(cycle[0], 'tasks')}.{cycle[0]}.dependsOn", f"goes in a circle: {' -> '.join(cycle)}")
        for cycle in found
    ]


def _task(reference: str, task: AutomationsFileTask) -> TaskDefinition:
    return TaskDefinition(
        reference=reference,
        name=task.name or reference,
        description=task.description,
        command=task.command or "",
        depends_on=tuple(dict.fromkeys(task.depends_on)),
        triggered_by=tuple(dict.fromkeys(task.triggered_by)),
        runs_on=task.runs_on,
        prebuild_requires_success=task.prebuild_requires_success,
    )


def _service(
    reference: str, service: AutomationsFileService, commands: ServiceSpecCommands
) -> ServiceDefinition:
    return ServiceDefinition(
        reference=reference,
        name=service.name or reference,
        description=service.description,
        start=commands.start,
        ready=commands.ready or "",
        stop=commands.stop or "",
        triggered_by=tuple(dict.fromkeys(service.triggered_by)),
        runs_on=service.runs_on,
        role=service.role or "",
        readiness_timeout=service.readiness_timeout,
    )
