"""proto3 JSON, in and out: what the wire's rules say about single values and whole messages."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from phased.contract.automations_file import AutomationsFile
from phased.contract.base import Message, from_json, spell_duration, spell_timestamp, to_dict, to_json
from phased.contract.count import CountResponse
from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.environment_spec import EnvironmentSpecMachine, EnvironmentSpecTimeout
from phased.contract.execution import (
    TaskExecution,
    TaskExecutionPhase,
    TaskExecutionStatus,
    TaskExecutionStatusStep,
)
from phased.contract.pagination import PaginationRequest
from phased.contract.runner import RunnerCapability, RunnerConfiguration
from phased.contract.secret_calls import CreateSecretRequest
from phased.contract.task import Task, TaskMetadata, TaskSpec
from phased.contract.trigger import AutomationTrigger
from phased.contract.violations import describe, summary

ID = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"
TRIGGERS = "manual, postMachineStart, postEnvironmentStart, postDevcontainerStart, prebuild, beforeSnapshot"


def _violations(kind: type[Message], data: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        from_json(kind, data)
    return describe(caught.value)


def test_a_task_is_written_in_camel_case_without_what_is_unset() -> None:
    """Empty lists and fields that were not given are absent."""
    task = Task(
        id=ID,
        metadata=TaskMetadata(
            reference="build",
            created_at=datetime(2026, 1, 31, 10, 0, 0, 250_000, UTC),
            triggered_by=(AutomationTrigger(post_environment_start=True),),
        ),
        spec=TaskSpec(command="make", env=()),
    )
    assert to_dict(task) == {
        "id": ID,
        "metadata": {
            "reference": "build",
            "createdAt": "2026-01-31T10:00:00.250Z",
            "triggeredBy": [{"postEnvironmentStart": True}],
        },
        "spec": {"command": "make"},
    }


def test_both_spellings_of_names_are_read_and_unknown_ones_ignored() -> None:
    """A newer client may say more than is known here."""
    told = from_json(Task, {"id": ID, "environment_id": ID, "dependsOn": [ID], "colour": {"deep": 1}})
    assert (told.environment_id, told.depends_on) == (ID, (ID,))


def test_null_and_empty_mean_unset() -> None:
    """A field without presence has no empty value, only absence."""
    text = f'{{"id":"{ID}","environmentId":"","dependsOn":null,"metadata":null,"spec":{{"command":""}}}}'
    assert from_json(Task, text) == Task(id=ID, spec=TaskSpec())


def test_a_field_with_presence_keeps_its_empty_value() -> None:
    """In a oneof, false is another thing than absent."""
    trigger = from_json(AutomationTrigger, '{"manual": false}')
    assert trigger.manual is False
    assert to_json(trigger) == '{"manual":false}'


def test_versions_are_texts_whatever_they_came_as() -> None:
    """uint64 does not fit a number of JavaScript."""
    for value in (1764337705000000, "1764337705000000", 1764337705000000.0):
        status = from_json(TaskExecutionStatus, {"statusVersion": value})
        assert status.status_version == "1764337705000000"
        assert to_json(status) == '{"statusVersion":"1764337705000000"}'


def test_enums_are_read_by_name_and_number_and_written_by_name() -> None:
    """The value for "unspecified" is absence."""
    for value in ("TASK_EXECUTION_PHASE_RUNNING", 2):
        status = from_json(TaskExecutionStatus, {"phase": value})
        assert status.phase is TaskExecutionPhase.RUNNING
        assert to_json(status) == '{"phase":"TASK_EXECUTION_PHASE_RUNNING"}'
    assert to_json(TaskExecutionStatus.model_construct(phase=TaskExecutionPhase.UNSPECIFIED)) == "{}"


def test_numbers_of_enums_are_those_of_protobuf_where_they_have_gaps() -> None:
    """Most enums count from 0; some were left room."""
    assert EnvironmentPhase.RUNNING.number == 40
    by_number: Any = EnvironmentPhase  # its values are names; numbers are found too
    assert by_number(45) is EnvironmentPhase.UPDATING
    assert [RunnerCapability.REDIS_STREAM.number, RunnerCapability.DYNAMIC_LLM_REQUEST_HEADERS.number] == [
        16,
        18,
    ]
    with pytest.raises(ValueError, match="44"):
        by_number(44)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", timedelta(0)),
        ("30s", timedelta(seconds=30)),
        ("1.5s", timedelta(seconds=1.5)),
        ("0.000001s", timedelta(microseconds=1)),
        ("-1800.25s", timedelta(seconds=-1800.25)),
    ],
)
def test_durations_are_seconds(text: str, length: timedelta) -> None:
    """As many digits as are needed, no other unit."""
    assert spell_duration(length) == text
    if length >= timedelta(minutes=30) or not length:
        assert from_json(EnvironmentSpecTimeout, {"disconnected": text}).disconnected == length


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("2026-01-31T10:00:00.5Z", "2026-01-31T10:00:00.500Z"),
        ("2026-01-31T10:00:00.123456789Z", "2026-01-31T10:00:00.123456Z"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_in_utc_to_the_microsecond(read: str, written: str) -> None:
    """Finer digits are cut off; 0, 3 or 6 of them are written."""
    metadata = from_json(TaskMetadata, {"reference": "a", "createdAt": read})
    assert to_dict(metadata)["createdAt"] == written


def test_a_time_of_another_zone_is_written_in_utc_and_one_of_none_refused() -> None:
    """A naive time would be a guess."""
    assert (
        spell_timestamp(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
        == "2026-01-01T00:00:00Z"
    )
    with pytest.raises(ValueError, match="cannot write a time without a zone"):
        spell_timestamp(datetime(2026, 1, 1))


@pytest.mark.parametrize("text", ["_-8", "_-8=", "/+8=", "/+8"])
def test_bytes_are_read_in_both_alphabets(text: str) -> None:
    """Base64 with or without padding, for the web or not."""
    configuration = from_json(RunnerConfiguration, {"encryptedHoneycombApiKey": text})
    assert to_dict(configuration) == {"encryptedHoneycombApiKey": "/+8="}


def test_a_name_that_python_keeps_is_the_same_on_the_wire() -> None:
    """`class` cannot be an attribute."""
    machine = from_json(EnvironmentSpecMachine, '{"class": "local"}')
    assert machine.class_ == "local"
    assert to_json(machine) == '{"class":"local"}'


def test_a_map_keeps_keys_and_values_as_they_are() -> None:
    """Keys are data: their case stays, and an empty value says something."""
    step = from_json(TaskExecutionStatusStep, {"id": ID, "output": {"snake_key": "", "Ü": "1"}})
    assert to_dict(step)["output"] == {"snake_key": "", "Ü": "1"}


def test_numbers_that_are_whole_are_read() -> None:
    """JSON has one kind of number."""
    for value in (50, 50.0, "50"):
        assert from_json(PaginationRequest, {"pageSize": value}).page_size == 50
    assert to_json(CountResponse(value=0)) == "{}"


def test_a_message_built_without_checks_is_written_as_it_is() -> None:
    """The engine builds its messages in bulk."""
    status = TaskExecutionStatus.model_construct(status_version="0000000000000001", steps=[])
    execution = TaskExecution.model_construct(id="not checked", status=status)
    assert to_json(execution) == '{"id":"not checked","status":{"statusVersion":"0000000000000001"}}'


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, b"\xff\xfe", '{"id": NaN}', '{"id": "\\ud800"}', "null", "[]", '"x"', "3"],
)
def test_what_is_no_object_of_json_is_a_value_error(text: str | bytes) -> None:
    """Nothing else is raised, however broken or deep the text is."""
    with pytest.raises(ValueError, match=r"."):
        from_json(Task, text)


def test_every_violation_is_told_by_its_path() -> None:
    """All of them at once, where the client wrote them."""
    triggers = [{}, {"manual": True}, {"manual": True, "prebuild": True}]
    env = [
        {"name": "A", "value": "1"},
        {"value": "2"},
        {"name": "B", "valueFrom": {"secretRef": {"id": "x"}}},
    ]
    data = {"id": ID, "metadata": {"reference": "a b", "triggeredBy": triggers}, "spec": {"env": env}}
    assert _violations(Task, data) == [
        ("metadata.reference", "must match ^[a-zA-Z0-9_-]{1,128}$"),
        (
            "metadata.triggeredBy[0].trigger",
            f"exactly one of {TRIGGERS} must be set",
        ),
        (
            "metadata.triggeredBy[2].prebuild",
            f"exactly one of {TRIGGERS} must be set",
        ),
        ("spec.env[1].name", "is required"),
        ("spec.env[2].valueFrom.secretRef.id", "must be a UUID"),
    ]


def test_keys_of_maps_stand_in_paths_as_json_has_them() -> None:
    """A key that is no plain word is quoted."""
    data = {"tasks": {"a b": {}, "build": {"triggeredBy": ["always"]}}, "services": {"9": {"role": "boss"}}}
    assert _violations(AutomationsFile, data) == [
        ('services["9"].role', 'must be one of "", default, editor, ai-agent'),
        ('tasks["a b"]', "must match ^[a-zA-Z0-9_-]{1,128}$"),
        (
            "tasks.build.triggeredBy[0]",
            f"must be one of {TRIGGERS}",
        ),
    ]


def test_an_error_never_repeats_what_was_sent() -> None:
    """It may be a secret."""
    with pytest.raises(ValidationError) as caught:
        from_json(
            CreateSecretRequest, {"name": "hunter2 x", "value": "hunter2" * 2000, "filePath": "hunter2"}
        )
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in summary(caught.value)
    assert [path for path, _ in describe(caught.value)] == ["name", "value", "filePath"]


def test_messages_cannot_be_changed() -> None:
    """Values are frozen."""
    spec = TaskSpec(command="true")
    with pytest.raises(ValidationError):
        spec.command = "false"


def test_a_program_pays_only_for_the_nouns_it_uses() -> None:
    """`phased run` must start fast."""
    code = (
        "import sys, phased.contract.execution\n"
        "print(*sorted(name for name in sys.modules if name.startswith('phased.contract.')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    nouns = (
        "base",
        "environment_variable",
        "execution",
        "runs_on",
        "secret_ref",
        "subject",
        "task",
        "trigger",
    )
    assert told.stdout.split() == [f"phased.contract.{noun}" for noun in (*nouns, "values")]
