"""An environment as the API shows it. Knows the contract and the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from phased.contract.environment import Environment, EnvironmentMetadata
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.contract.environment_phase import EnvironmentRole
from phased.contract.environment_status import (
    EnvironmentActivitySignal,
    EnvironmentStatus,
    EnvironmentStatusAutomationsFile,
    EnvironmentStatusContent,
    EnvironmentStatusMachine,
)
from phased.contract.environment_status import EnvironmentStatusAutomationsFilePresence as Presence
from phased.contract.environment_status import EnvironmentStatusContentPhase as ContentPhase
from phased.contract.environment_status import EnvironmentStatusMachinePhase as MachinePhase
from phased.core.environment import EnvironmentRecord
from phased.core.versions import spell
from phased.engine.definitions.messages import subject, time_of

MACHINE_PHASES: Final[Mapping[Phase, MachinePhase]] = {
    Phase.UNSPECIFIED: MachinePhase.UNSPECIFIED,
    Phase.CREATING: MachinePhase.CREATING,
    Phase.STARTING: MachinePhase.STARTING,
    Phase.RUNNING: MachinePhase.RUNNING,
    Phase.UPDATING: MachinePhase.RUNNING,
    Phase.STOPPING: MachinePhase.STOPPING,
    Phase.STOPPED: MachinePhase.STOPPED,
    Phase.DELETING: MachinePhase.DELETING,
    Phase.DELETED: MachinePhase.DELETED,
}


def environment_message(
    record: EnvironmentRecord, *, organization_id: str | None = None, runner_id: str | None = None
) -> Environment:
    """An environment as the API shows it; the ids are those of this installation."""
    metadata = EnvironmentMetadata.model_construct(
        organization_id=organization_id,
        annotations=dict(record.annotations),
        name=record.name,
        creator=subject(record.creator_id, record.creator_principal),
        original_context_url=record.context_url or None,
        created_at=time_of(record.created_at),
        runner_id=runner_id,
        last_started_at=time_of(record.last_started_at),
        role=EnvironmentRole.DEFAULT,
        session_id=record.session_id or None,
    )
    spec = record.spec.model_copy(
        update={"spec_version": spell(record.spec_version), "desired_phase": record.desired}
    )
    return Environment.model_construct(id=record.id, metadata=metadata, spec=spec, status=_status(record))


def _status(record: EnvironmentRecord) -> EnvironmentStatus:
    return EnvironmentStatus.model_construct(
        status_version=spell(record.status_version),
        phase=record.phase,
        failure_message=record.failures,
        warning_message=record.warnings,
        machine=EnvironmentStatusMachine.model_construct(phase=MACHINE_PHASES[record.phase]),
        content=_content(record),
        automations_file=_automations_file(record),
        activity_signal=_activity(record),
    )


def _content(record: EnvironmentRecord) -> EnvironmentStatusContent:
    if record.has_content:
        phase = ContentPhase.READY
    elif record.phase is Phase.CREATING:
        phase = ContentPhase.INITIALIZING
    else:
        phase = ContentPhase.FAILED if record.failures else ContentPhase.CREATING
    failed = phase is ContentPhase.FAILED
    return EnvironmentStatusContent.model_construct(
        phase=phase,
        content_location_in_machine=record.workspace,
        failure_message=record.failures[0] if failed else None,
    )


def _automations_file(record: EnvironmentRecord) -> EnvironmentStatusAutomationsFile:
    asked = record.spec.automations_file
    if record.automations_file or record.automations_failure:
        named = asked is not None and bool(asked.automations_file_path)
        presence = Presence.SPECIFIED if named else Presence.DISCOVERED
        phase = ContentPhase.FAILED if record.automations_failure else ContentPhase.READY
    else:
        presence, phase = Presence.ABSENT, ContentPhase.READY
    return EnvironmentStatusAutomationsFile.model_construct(
        automations_file_path=record.automations_file or None,
        automations_file_presence=presence,
        phase=phase,
        failure_message=record.automations_failure or None,
    )


def _activity(record: EnvironmentRecord) -> EnvironmentActivitySignal | None:
    if record.active_at is None:
        return None
    return EnvironmentActivitySignal.model_construct(
        source=record.active_source or None, timestamp=time_of(record.active_at)
    )
