"""Firings as messages, in JSON and in binary."""

from __future__ import annotations

from phased.api.binary import Schema
from phased.contract.base import to_dict
from phased.contract.phased_v1_firing import GetFiringResponse
from phased.contract.phased_v1_inside import ListProcessesResponse, Process
from phased.core.firing import FiringPart, FiringRecord, Result
from phased.core.specs import automation_id
from phased.engine.triggers.messages import firing_message

ENVIRONMENT = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a0f"
SOMEBODY = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a01"
RECORD = FiringRecord(
    "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a02", ENVIRONMENT, ("prebuild", "beforeSnapshot"), 1_000_001, SOMEBODY,
    "PRINCIPAL_USER",
    (
        FiringPart("build", False, "prebuild", False, SOMEBODY, True, Result.FAILED, "exit code 3"),
        FiringPart("db", True, "prebuild"),
    ),
    is_prebuild=True, result=Result.INTERRUPTED, cause="lost", completed_at=2_000_000,
)  # fmt: skip


def test_a_firing_is_shown_whole() -> None:
    """What is empty is left out; what was not required is a warning."""
    assert to_dict(firing_message(RECORD)) == {
        "id": RECORD.id,
        "environmentId": ENVIRONMENT,
        "triggers": ["prebuild", "beforeSnapshot"],
        "prebuild": True,
        "createdAt": "1970-01-01T00:00:01.000001Z",
        "completedAt": "1970-01-01T00:00:02Z",
        "creator": {"id": SOMEBODY, "principal": "PRINCIPAL_USER"},
        "result": "FIRING_RESULT_INTERRUPTED",
        "cause": "lost",
        "parts": [
            {
                "reference": "build", "trigger": "prebuild", "taskExecutionId": SOMEBODY, "joined": True,
                "result": "FIRING_RESULT_FAILED", "cause": "exit code 3",
            },
            {
                "reference": "db", "trigger": "prebuild", "serviceId": automation_id(ENVIRONMENT, "db"),
                "required": True, "result": "FIRING_RESULT_RUNNING",
            },
        ],
        "warnings": ["build: exit code 3"],
    }  # fmt: skip


def test_native_messages_survive_binary() -> None:
    """Enums, times and lists among them."""
    schema = Schema()
    answer = GetFiringResponse.model_construct(firing=firing_message(RECORD))
    assert to_dict(schema.decode(schema.encode(answer), GetFiringResponse)) == to_dict(answer)
    processes = ListProcessesResponse.model_construct(processes=(Process(pid="5", left_behind=True),))
    assert to_dict(schema.decode(schema.encode(processes), ListProcessesResponse)) == to_dict(processes)
