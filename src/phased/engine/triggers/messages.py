"""Firings as the native service shows them. Pure; knows records and messages."""

from __future__ import annotations

from typing import Final

from phased.contract import phased_v1_firing as m
from phased.core.firing import FiringPart, FiringRecord, Result
from phased.core.specs import automation_id
from phased.engine.definitions.messages import subject, time_of

RESULTS: Final = {
    Result.RUNNING: m.FiringResult.RUNNING,
    Result.SUCCEEDED: m.FiringResult.SUCCEEDED,
    Result.FAILED: m.FiringResult.FAILED,
    Result.STOPPED: m.FiringResult.STOPPED,
    Result.INTERRUPTED: m.FiringResult.INTERRUPTED,
}


def firing_message(record: FiringRecord) -> m.Firing:
    """One firing."""
    return m.Firing.model_construct(
        id=record.id,
        environment_id=record.environment_id,
        triggers=record.triggers,
        prebuild=record.is_prebuild or None,
        resumes=record.resumes or None,
        created_at=time_of(record.created_at),
        completed_at=time_of(record.completed_at),
        creator=subject(record.creator_id, record.creator_principal),
        result=RESULTS[record.result],
        cause=record.cause or None,
        parts=tuple(_part(record.environment_id, part) for part in record.parts),
        warnings=record.warnings,
    )


def _part(environment_id: str, part: FiringPart) -> m.FiringPart:
    return m.FiringPart.model_construct(
        reference=part.reference,
        trigger=part.trigger,
        task_execution_id=part.execution_id or None,
        service_id=automation_id(environment_id, part.reference) if part.is_service else None,
        joined=part.joined or None,
        required=part.required or None,
        result=RESULTS[part.result],
        cause=part.cause or None,
    )
