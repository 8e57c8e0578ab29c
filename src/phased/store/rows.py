"""Records as rows and back. The order of the columns stands here alone.

Knows the records of the ports and the tables' columns. Must not know connections or transactions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from phased.contract.base import from_json, to_json
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.execution import TaskExecutionSpec
from phased.core.policy import ExecutionPolicy
from phased.core.status import StatusChange, StepStatus
from phased.ports import ExecutionRecord, StoredExecution

Value = str | int | float | None
Row = tuple[Value, ...]

PHASES: Final = (
    Phase.UNSPECIFIED,
    Phase.PENDING,
    Phase.RUNNING,
    Phase.SUCCEEDED,
    Phase.FAILED,
    Phase.STOPPED,
)
"""By the numbers of the public enum, as they are stored; the first three are unfinished."""
_NUMBER_OF: Final = {phase: number for number, phase in enumerate(PHASES)}

_RECORD_COLUMNS: Final = (
    "id", "environment_id", "task_id", "reference", "firing_id", "started_by", "creator_id",
    "creator_principal", "created_at", "boot_id", "workspace", "policy", "secrets", "spec",
)  # fmt: skip
INSERT_EXECUTION: Final = (
    f"INSERT INTO executions ({', '.join(_RECORD_COLUMNS)})"  # noqa: S608 - names from above
    f" VALUES (?{', ?' * (len(_RECORD_COLUMNS) - 1)})"
)
INSERT_STATUS: Final = (
    "INSERT INTO statuses (version, phase, failure_message, started_at, completed_at, stop_requested, why,"
    " clearing_kill_at, clearing_until, execution) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_STATUS: Final = (
    "UPDATE statuses SET version = ?, phase = ?, failure_message = ?, started_at = ?, completed_at = ?,"
    " stop_requested = ?, why = ?, clearing_kill_at = ?, clearing_until = ?"
    " WHERE execution = ? AND version = ?"
)
UPDATE_STATUS_ONLY: Final = UPDATE_STATUS.replace(" phase = ?,", "")
"""The same where the phase is as it was: its index is then left alone, one page less in each commit."""
_STEP_COLUMNS: Final = (
    "id", "phase", "failure_message", "run_id", "attempt", "started_at", "completed_at", "exit_code",
    "exit_signal", "output", "state", "due_at",
)  # fmt: skip
_REPLACE: Final = ", ".join(f"{name} = excluded.{name}" for name in _STEP_COLUMNS[1:])
UPSERT_STEP: Final = (
    f"INSERT INTO steps (execution, position, {', '.join(_STEP_COLUMNS)})"  # noqa: S608 - names from above
    f" VALUES (?, ?{', ?' * len(_STEP_COLUMNS)})"
    f" ON CONFLICT (execution, position) DO UPDATE SET {_REPLACE}"
)
SELECT_STEPS: Final = f"SELECT {', '.join(_STEP_COLUMNS)} FROM steps WHERE execution = ? ORDER BY position"  # noqa: S608 - as above
SELECT_EXECUTIONS: Final = (
    f"SELECT number, {', '.join(_RECORD_COLUMNS)}, version, phase, failure_message, started_at,"  # noqa: S608 - as above
    " completed_at, stop_requested, why, clearing_kill_at, clearing_until"
    " FROM executions JOIN statuses ON execution = number"
)


def execution_row(record: ExecutionRecord) -> Row:
    """For INSERT_EXECUTION. The spec is turned into JSON here, once in its life."""
    return (
        record.id,
        record.environment_id,
        record.task_id,
        record.reference,
        record.firing_id,
        record.started_by,
        record.creator_id,
        record.creator_principal,
        record.created_at,
        record.boot_id,
        record.workspace,
        json.dumps(record.policy.to_dict()),
        _json(record.secrets),
        to_json(record.spec),
    )


def status_row(change: StatusChange) -> Row:
    """All but the last of INSERT_STATUS and UPDATE_STATUS."""
    return (
        change.version,
        _NUMBER_OF[change.phase],
        _text(change.failure_message),
        change.started_at,
        change.completed_at,
        int(change.stop_requested),
        _text(change.why),
        *(change.clearing or (None, None)),
    )


def step_row(step: StepStatus) -> Row:
    """What follows the execution and the position in UPSERT_STEP."""
    return (
        step.id,
        _NUMBER_OF[step.phase],
        _text(step.failure_message),
        step.run_id,
        step.attempt,
        step.started_at,
        step.completed_at,
        step.exit_code,
        step.exit_signal,
        _json(step.output),
        step.state,
        step.due_at,
    )


def stored_execution(row: Sequence[Any], steps: Sequence[Sequence[Any]]) -> StoredExecution:
    """From a row of SELECT_EXECUTIONS and the rows of SELECT_STEPS. Raises ValueError for bad JSON."""
    _, execution_id, environment, task, reference, firing, started_by, creator, principal, created = row[:10]
    boot_id, workspace, policy, secrets, spec = row[10:15]
    record = ExecutionRecord(
        execution_id, environment, task, reference, firing, started_by, creator, principal, created,
        from_json(TaskExecutionSpec, spec),
        ExecutionPolicy.from_dict(json.loads(policy)),
        json.loads(secrets) if secrets else {},
        boot_id,
        workspace,
    )  # fmt: skip
    version, phase, failure, started, completed, stop, why, kill_at, until = row[15:]
    status = StatusChange(
        record.id, 0, version, PHASES[phase], failure, started, completed, bool(stop), why,
        tuple(_step(step) for step in steps),
        None if until is None else (kill_at, until),
    )  # fmt: skip
    return StoredExecution(record, status)


def _step(row: Sequence[Any]) -> StepStatus:
    step_id, phase, failure, run_id, attempt, started, completed, code, signal, output, state, due_at = row
    return StepStatus(
        step_id, PHASES[phase], failure, run_id, attempt, started, completed, code, signal,
        json.loads(output) if output else {}, state, due_at,
    )  # fmt: skip


def _json(mapping: Mapping[str, str]) -> str | None:
    return json.dumps(dict(mapping)) if mapping else None


def _text(value: str | None) -> str | None:
    """Text that UTF-8 can hold: a file's name in a message may have bytes that are no text (PEP 383)."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "replace").decode()
