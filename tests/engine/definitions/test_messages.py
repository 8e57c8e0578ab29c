"""Tasks and services as messages: there and back, and what an update leaves as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import get_args

import pytest

from phased.contract.automations_file import AutomationsFile
from phased.contract.base import from_json, to_dict
from phased.contract.service import ServicePhase, ServiceRole
from phased.contract.service_calls import CreateServiceRequest, UpdateServiceRequest
from phased.contract.task_calls import CreateTaskRequest, UpdateTaskRequest
from phased.contract.values import TriggerName
from phased.core.environment import TaskRecord
from phased.core.service_phases import ServiceState
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.core.specs import automation_id, environment_id, secret_id
from phased.engine.definitions import messages
from phased.errors import InvalidArgument
from phased.ports import ServiceRecord
from tests.engine.domain import service, task

ENVIRONMENT = environment_id("/work")
SECRET = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a09"


def none(_: object) -> tuple[str, ...]:
    """It depends on nothing."""
    return ()


def create_task(**fields: object) -> CreateTaskRequest:
    """A request."""
    return from_json(CreateTaskRequest, {"environmentId": ENVIRONMENT, **fields})


def a_record(**fields: object) -> TaskRecord:
    """A task that depends on another."""
    definition = task("build", "generate", **fields)
    return TaskRecord(automation_id(ENVIRONMENT, "build"), ENVIRONMENT, definition, 1_500_000, 2, "", "", 3)


def test_a_task_is_shown_with_ids_and_times() -> None:
    """Dependencies and secrets by id; what is unset is absent."""
    shown = to_dict(
        messages.task_message(
            a_record(
                name="Build", triggered_by=("manual", "beforeSnapshot"),
                env=[
                    {"name": "A", "value": ""}, {"name": "B", "secret": "S"},
                    {"name": "C", "secret_id": SECRET},
                ],
            )
        )
    )  # fmt: skip
    assert shown == {
        "id": automation_id(ENVIRONMENT, "build"),
        "environmentId": ENVIRONMENT,
        "metadata": {
            "reference": "build",
            "name": "Build",
            "createdAt": "1970-01-01T00:00:01.500Z",
            "triggeredBy": [{"manual": True}, {"beforeSnapshot": True}],
        },
        "spec": {
            "command": "true",
            "env": [
                {"name": "A", "value": ""},
                {"name": "B", "valueFrom": {"secretRef": {"id": secret_id(ENVIRONMENT, "S")}}},
                {"name": "C", "valueFrom": {"secretRef": {"id": SECRET}}},
            ],
        },
        "dependsOn": [automation_id(ENVIRONMENT, "generate")],
    }


def test_every_trigger_goes_there_and_back() -> None:
    """In the spelling of the file."""
    assert set(messages.TRIGGERS) == set(get_args(TriggerName))
    for name in messages.TRIGGERS:
        assert messages.trigger_names(messages.triggers((name, name))) == (name,)


def test_a_task_that_is_made_has_its_reference_for_a_name() -> None:
    """And no command where none is given."""
    made = messages.task_definition(create_task(metadata={"reference": "build"}), none)
    assert made == task("build", command="")


def test_a_task_is_made_from_all_that_a_message_has() -> None:
    """Dependencies are handed over as ids."""
    request = create_task(
        metadata={"reference": "b", "name": "B", "description": "d", "triggeredBy": [{"prebuild": True}]},
        spec={
            "command": "make", "runsOn": {"docker": {"image": "i"}}, "prebuildRequiresSuccess": True,
            "env": [{"name": "A", "value": "1"}, {"name": "S", "valueFrom": {"secretRef": {"id": SECRET}}}],
        },
        dependsOn=[SECRET],
    )  # fmt: skip
    asked: list[str] = []

    def references(ids: Sequence[str]) -> tuple[str, ...]:
        asked.extend(ids)
        return ("other",)

    made = messages.task_definition(request, references)
    assert asked == [SECRET]
    assert made.runs_on is not None
    assert made == task(
        "b", "other", name="B", description="d", command="make", triggered_by=("prebuild",),
        runs_on=made.runs_on, prebuild_requires_success=True,
        env=[{"name": "A", "value": "1"}, {"name": "S", "secret_id": SECRET}],
    )  # fmt: skip


def test_without_a_reference_nothing_is_made() -> None:
    """Neither a task nor a service; a service needs its command, too."""
    with pytest.raises(InvalidArgument, match=r"metadata\.reference"):
        messages.task_definition(create_task(), none)
    with pytest.raises(InvalidArgument, match=r"metadata\.reference"):
        messages.service_definition(from_json(CreateServiceRequest, {"environmentId": ENVIRONMENT}))
    request = {"environmentId": ENVIRONMENT, "metadata": {"reference": "db"}}
    with pytest.raises(InvalidArgument, match=r"spec\.commands\.start"):
        messages.service_definition(from_json(CreateServiceRequest, request))


@pytest.mark.parametrize(
    ("update", "changed"),
    [
        ({}, {}),
        ({"spec": {}, "metadata": {}}, {}),
        ({"spec": {"env": []}, "dependsOn": []}, {}),
        ({"spec": {"command": ""}}, {"command": ""}),
        ({"spec": {"command": "new"}}, {"command": "new"}),
        ({"spec": {"prebuildRequiresSuccess": False}}, {"prebuild_requires_success": False}),
        ({"metadata": {"name": "New"}}, {"name": "New"}),
        ({"metadata": {"description": ""}}, {"description": None}),
        ({"metadata": {"triggeredBy": {}}}, {"triggered_by": ()}),
        ({"metadata": {"triggeredBy": {"trigger": [{"manual": True}]}}}, {"triggered_by": ("manual",)}),
        ({"dependsOn": [SECRET]}, {"depends_on": ("found",)}),
    ],
)
def test_an_update_of_a_task_leaves_what_it_does_not_say(
    update: dict[str, object], changed: dict[str, object]
) -> None:
    """Also the extensions, which no message has."""
    before = task(
        "b", "a", description="d", triggered_by=("prebuild",), timeout=timedelta(seconds=3),
        prebuild_requires_success=True, env=[{"name": "A", "value": "1"}],
    )  # fmt: skip
    request = from_json(UpdateTaskRequest, {"id": SECRET, **update})
    after = messages.changed_task(before, request, lambda _: ("found",))
    assert after == before.model_copy(update=changed)


def service_record(**progress: object) -> ServiceRecord:
    """A service that has come so far."""
    definition = service(
        "db", ready="pg_isready", role="editor", readiness_timeout=timedelta(seconds=30), depends_on=("a",)
    )
    identifier = automation_id(ENVIRONMENT, "db")
    change = ServiceChange(identifier, 0, 7, ServiceProgress(**progress))  # type: ignore[arg-type]
    return ServiceRecord(
        identifier, ENVIRONMENT, "db", "/work", definition, definition, 0, SECRET, "PRINCIPAL_USER", "", 5,
        change,
    )  # fmt: skip


def test_a_service_is_shown_with_its_status() -> None:
    """Versions as text of 16 digits; no address of a log."""
    progress = {
        "state": ServiceState.FAILED, "desired": ServicePhase.RUNNING, "session": SECRET,
        "wanted_session": SECRET, "cause": "exit code 3", "output": {"PORT": "5432"},
    }  # fmt: skip
    shown = to_dict(messages.service_message(service_record(**progress)))
    assert shown["metadata"]["creator"] == {"id": SECRET, "principal": "PRINCIPAL_USER"}
    assert shown["metadata"]["role"] == "SERVICE_ROLE_EDITOR"
    assert shown["spec"] == {
        "specVersion": "0000000000000005",
        "desiredPhase": "SERVICE_PHASE_RUNNING",
        "commands": {"start": "sleep 1000", "ready": "pg_isready"},
        "session": SECRET,
        "readinessTimeout": "30s",
    }
    assert shown["status"] == {
        "statusVersion": "0000000000000007",
        "phase": "SERVICE_PHASE_FAILED",
        "failureMessage": "exit code 3",
        "session": SECRET,
        "output": {"PORT": "5432"},
    }


def test_a_service_that_never_ran_is_stopped_and_says_no_more() -> None:
    """No session, no message."""
    shown = to_dict(messages.service_message(service_record()))
    assert shown["status"] == {"statusVersion": "0000000000000007", "phase": "SERVICE_PHASE_STOPPED"}
    assert "session" not in shown["spec"]


def test_every_role_of_the_api_can_be_kept() -> None:
    """And is shown again."""
    for role in ServiceRole:
        request = {
            "environmentId": ENVIRONMENT,
            "metadata": {"reference": "db", "role": role.value},
            "spec": {"commands": {"start": "x"}},
        }
        made = messages.service_definition(from_json(CreateServiceRequest, request))
        assert isinstance(made.role, str)


@pytest.mark.parametrize(
    ("update", "changed"),
    [
        ({}, {}),
        ({"spec": {"env": [], "commands": {}}}, {}),
        ({"spec": {"commands": {"ready": ""}}}, {"ready": ""}),
        ({"spec": {"commands": {"start": "new"}}}, {"start": "new"}),
        ({"spec": {"readinessTimeout": "0s"}}, {"readiness_timeout": None}),
        ({"spec": {"readinessTimeout": "5s"}}, {"readiness_timeout": timedelta(seconds=5)}),
        ({"metadata": {"role": "SERVICE_ROLE_DEFAULT"}}, {"role": "default"}),
        ({"metadata": {"triggeredBy": {}}}, {"triggered_by": ()}),
    ],
)
def test_an_update_of_a_service_leaves_what_it_does_not_say(
    update: dict[str, object], changed: dict[str, object]
) -> None:
    """Also its dependencies, which no message has."""
    before = service(
        "db", "a", ready="r", stop="s", triggered_by=("prebuild",), readiness_timeout=timedelta(seconds=9),
        env=[{"name": "A", "value": "1"}], role="editor",
    )  # fmt: skip
    request = from_json(UpdateServiceRequest, {"id": SECRET, **update})
    assert messages.changed_service(before, request) == before.model_copy(update=changed)


def test_a_service_keeps_a_command() -> None:
    """It cannot be changed to nothing."""
    request = from_json(UpdateServiceRequest, {"id": SECRET, "spec": {"commands": {"start": ""}}})
    with pytest.raises(InvalidArgument):
        messages.changed_service(service("db"), request)


def test_a_file_over_the_api_means_what_it_means_on_disk() -> None:
    """Names default to the reference; order is kept."""
    file = from_json(
        AutomationsFile,
        {
            "tasks": {
                "z": {"command": "c", "dependsOn": ["a"], "triggeredBy": ["postMachineStart"]},
                "a": {},
            },
            "services": {"db": {"commands": {"start": "s"}, "role": "ai-agent", "readinessTimeout": "30s"}},
        },
    )
    made = messages.definitions_of(file)
    assert made.tasks == (
        task("z", "a", command="c", triggered_by=("postMachineStart",)),
        task("a", command=""),
    )
    assert made.services == (
        service("db", start="s", role="ai-agent", readiness_timeout=timedelta(seconds=30)),
    )
    with pytest.raises(InvalidArgument, match=r"services\.db\.commands\.start"):
        messages.definitions_of(from_json(AutomationsFile, {"services": {"db": {}}}))
