"""Tasks and services as the API speaks of them, from definitions and back.

Knows the contract and the definitions. Must not know stores or who asks. What the API has no place for
(timeouts, retries, a service's dependencies) is kept where a message changes a definition. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from phased.contract.automations_file import AutomationsFile, AutomationsFileService, AutomationsFileTask
from phased.contract.definitions import Definitions, EnvironmentEntry, ServiceDefinition, TaskDefinition
from phased.contract.environment_variable import EnvironmentVariableItem
from phased.contract.service import (
    Service,
    ServiceMetadata,
    ServiceRole,
    ServiceSpec,
    ServiceSpecCommands,
    ServiceStatus,
)
from phased.contract.service_calls import CreateServiceRequest, UpdateServiceRequest
from phased.contract.subject import Principal, Subject
from phased.contract.task import Task, TaskMetadata, TaskSpec
from phased.contract.task_calls import CreateTaskRequest, UpdateTaskRequest
from phased.contract.trigger import AutomationTrigger
from phased.core.environment import TaskRecord
from phased.core.specs import automation_id, environment_item
from phased.core.versions import spell
from phased.errors import InvalidArgument
from phased.ports import ServiceRecord

ReferencesOf = Callable[[Sequence[str]], tuple[str, ...]]
"""The references of automations, by their ids. Raises InvalidArgument where one is unknown."""

TRIGGERS: Final[Mapping[str, str]] = {
    "manual": "manual",
    "postMachineStart": "post_machine_start",
    "postEnvironmentStart": "post_environment_start",
    "postDevcontainerStart": "post_devcontainer_start",
    "prebuild": "prebuild",
    "beforeSnapshot": "before_snapshot",
}
"""The field of AutomationTrigger, by the file's spelling of a trigger."""
_ROLES: Final[Mapping[str, ServiceRole]] = {
    "": ServiceRole.UNSPECIFIED,
    "default": ServiceRole.DEFAULT,
    "editor": ServiceRole.EDITOR,
    "ai-agent": ServiceRole.AI_AGENT,
    "security-agent": ServiceRole.SECURITY_AGENT,
}
_ROLE_NAMES: Final = {role: name for name, role in _ROLES.items()}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


# ---- from records to messages ----------------------------------------------------------------------


def task_message(record: TaskRecord) -> Task:
    """A task as the API shows it; dependencies by their ids."""
    definition, environment = record.definition, record.environment_id
    metadata = TaskMetadata.model_construct(
        reference=definition.reference,
        name=definition.name,
        description=definition.description,
        created_at=time_of(record.created_at),
        creator=subject(record.creator_id, record.creator_principal),
        triggered_by=triggers(definition.triggered_by),
    )
    spec = TaskSpec.model_construct(
        command=definition.command or None,
        runs_on=definition.runs_on,
        env=tuple(environment_item(environment, entry) for entry in definition.env),
        prebuild_requires_success=definition.prebuild_requires_success,
    )
    needs = tuple(automation_id(environment, need) for need in definition.depends_on)
    return Task.model_construct(
        id=record.id, environment_id=environment, metadata=metadata, spec=spec, depends_on=needs
    )


def service_message(record: ServiceRecord) -> Service:
    """A service as the API shows it: defined as its next start will use it. Without a `logUrl`."""
    definition, progress = record.definition, record.status.progress
    metadata = ServiceMetadata.model_construct(
        reference=definition.reference,
        name=definition.name,
        description=definition.description,
        created_at=time_of(record.created_at),
        creator=subject(record.creator_id, record.creator_principal),
        triggered_by=triggers(definition.triggered_by),
        role=_ROLES[definition.role] if definition.role else None,
    )
    spec = ServiceSpec.model_construct(
        spec_version=spell(record.spec_version),
        desired_phase=progress.desired,
        commands=ServiceSpecCommands.model_construct(
            start=definition.start, ready=definition.ready or None, stop=definition.stop or None
        ),
        session=progress.wanted_session or progress.session or None,
        runs_on=definition.runs_on,
        env=tuple(environment_item(record.environment_id, entry) for entry in definition.env),
        readiness_timeout=definition.readiness_timeout or None,
    )
    status = ServiceStatus.model_construct(
        status_version=spell(record.status.version),
        phase=progress.phase,
        failure_message=progress.cause,
        session=progress.session or None,
        output=dict(progress.output),
    )
    return Service.model_construct(
        id=record.id, environment_id=record.environment_id, metadata=metadata, spec=spec, status=status
    )


def triggers(names: Sequence[str]) -> tuple[AutomationTrigger, ...]:
    """Triggers as the API has them, from the file's spelling."""
    return tuple(AutomationTrigger.model_validate({TRIGGERS[name]: True}) for name in names)


def trigger_names(found: Sequence[AutomationTrigger]) -> tuple[str, ...]:
    """The file's spelling of triggers, each once."""
    names = (name for one in found for name, field in TRIGGERS.items() if getattr(one, field, None))
    return tuple(dict.fromkeys(names))


def subject(identifier: str, principal: str) -> Subject | None:
    """Who did something; None where that is not known."""
    if not identifier:
        return None
    return Subject.model_construct(id=identifier, principal=Principal(principal))


def time_of(microseconds: int | None) -> datetime | None:
    """A moment, from microseconds since the epoch."""
    # Integer arithmetic: a float of seconds would lose the last digit.
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


# ---- from messages to definitions ------------------------------------------------------------------


def task_definition(request: CreateTaskRequest, references: ReferencesOf) -> TaskDefinition:
    """The task that is to be made. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec or TaskSpec()
    if metadata is None:
        raise _no_reference()
    return TaskDefinition(
        reference=metadata.reference,
        name=metadata.name or metadata.reference,
        description=metadata.description,
        command=spec.command or "",
        depends_on=references(request.depends_on),
        triggered_by=trigger_names(metadata.triggered_by),
        runs_on=spec.runs_on,
        prebuild_requires_success=spec.prebuild_requires_success,
        env=entries(spec.env),
    )


def changed_task(
    definition: TaskDefinition, request: UpdateTaskRequest, references: ReferencesOf
) -> TaskDefinition:
    """A task after an update: what is absent stays, and so does a list that is empty (wire-api: rule 7)."""
    new: dict[str, Any] = {}
    if request.metadata is not None:
        new |= _changed_metadata(request.metadata.name, request.metadata.description)
        if request.metadata.triggered_by is not None:
            new["triggered_by"] = trigger_names(request.metadata.triggered_by.trigger)
    if request.spec is not None:
        spec = request.spec
        new |= _given(
            command=spec.command,
            runs_on=spec.runs_on,
            env=entries(spec.env) or None,
            prebuild_requires_success=spec.prebuild_requires_success,
        )
    if request.depends_on:
        new["depends_on"] = references(request.depends_on)
    return definition.model_copy(update=new)


def service_definition(request: CreateServiceRequest) -> ServiceDefinition:
    """The service that is to be made. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec
    if metadata is None:
        raise _no_reference()
    if spec is None or spec.commands is None:
        raise InvalidArgument("cannot create a service without spec.commands.start; give the command")
    return ServiceDefinition(
        reference=metadata.reference,
        name=metadata.name or metadata.reference,
        description=metadata.description,
        start=spec.commands.start,
        ready=spec.commands.ready or "",
        stop=spec.commands.stop or "",
        triggered_by=trigger_names(metadata.triggered_by),
        runs_on=spec.runs_on,
        role=_ROLE_NAMES[metadata.role] if metadata.role else "",
        readiness_timeout=spec.readiness_timeout or None,
        env=entries(spec.env),
    )


def changed_service(definition: ServiceDefinition, request: UpdateServiceRequest) -> ServiceDefinition:
    """A service after an update: what is absent stays, and so does a list that is empty.

    Raises InvalidArgument where its start command would be empty.
    """
    new: dict[str, Any] = {}
    if request.metadata is not None:
        new |= _changed_metadata(request.metadata.name, request.metadata.description)
        if request.metadata.triggered_by is not None:
            new["triggered_by"] = trigger_names(request.metadata.triggered_by.trigger)
        if request.metadata.role is not None:
            new["role"] = _ROLE_NAMES[request.metadata.role]
    spec = request.spec
    if spec is not None:
        new |= _given(runs_on=spec.runs_on, env=entries(spec.env) or None)
        if spec.readiness_timeout is not None:
            new["readiness_timeout"] = spec.readiness_timeout or None
        if spec.commands is not None:
            commands = spec.commands
            new |= _given(start=commands.start, ready=commands.ready, stop=commands.stop)
    if new.get("start") == "":
        raise InvalidArgument("cannot change spec.commands.start to nothing: a service needs a command")
    return definition.model_copy(update=new)


def definitions_of(file: AutomationsFile) -> Definitions:
    """What a file that came over the API defines, in its order."""
    return Definitions(
        tasks=tuple(_task_of(reference, entry) for reference, entry in file.tasks.items()),
        services=tuple(_service_of(reference, entry) for reference, entry in file.services.items()),
    )


def _task_of(reference: str, entry: AutomationsFileTask) -> TaskDefinition:
    return TaskDefinition(
        reference=reference,
        name=entry.name or reference,
        description=entry.description,
        command=entry.command or "",
        depends_on=entry.depends_on,
        triggered_by=entry.triggered_by,
        runs_on=entry.runs_on,
        prebuild_requires_success=entry.prebuild_requires_success,
    )


def _service_of(reference: str, entry: AutomationsFileService) -> ServiceDefinition:
    if entry.commands is None:
        where = f"automationsFile.services.{reference}.commands.start"
        raise InvalidArgument(f"cannot define a service without {where}; give the command")
    return ServiceDefinition(
        reference=reference,
        name=entry.name or reference,
        description=entry.description,
        start=entry.commands.start,
        ready=entry.commands.ready or "",
        stop=entry.commands.stop or "",
        triggered_by=entry.triggered_by,
        runs_on=entry.runs_on,
        role=entry.role or "",
        readiness_timeout=entry.readiness_timeout or None,
    )


def entries(items: Sequence[EnvironmentVariableItem]) -> tuple[EnvironmentEntry, ...]:
    """Variables as they are kept: a secret by its id."""
    return tuple(
        EnvironmentEntry(name=item.name, value=item.value or "")
        if item.value_from is None
        else EnvironmentEntry(name=item.name, secret_id=item.value_from.secret_ref.id)
        for item in items
    )


def _changed_metadata(name: str | None, description: str | None) -> dict[str, Any]:
    new = _given(name=name, description=description)
    return new | ({"description": description or None} if description is not None else {})


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _no_reference() -> InvalidArgument:
    return InvalidArgument("cannot create it without metadata.reference; give what it is to be called")
