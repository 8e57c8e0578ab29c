"""Environments as messages, and the classes they are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from phased.contract.base import from_json, to_dict
from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_class import EnvironmentClass, ProjectEnvironmentClass
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.core.specs import environment_id
from phased.engine.environments import made
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.view import MACHINE_PHASES, environment_message
from phased.errors import FailedPrecondition, InvalidArgument
from phased.testing.fake_clock import FakeClock
from tests.engine.domain import CLASSES, ORIGIN

OTHER = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a11"
THIRD = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a12"


def a_class(identifier: str, *, enabled: bool = True) -> EnvironmentClass:
    """One entry of the settings."""
    return EnvironmentClass(id=identifier, runner_id=OTHER, display_name="a class", enabled=enabled)


def prefer(order: int, identifier: str | None = None) -> ProjectEnvironmentClass:
    """One entry of the order of preference; without an id, the class `local`."""
    if identifier is None:
        return ProjectEnvironmentClass(local_runner=True, order=order)
    return ProjectEnvironmentClass(environment_class_id=identifier, order=order)


def test_the_environment_of_a_directory_is_shown_at_work() -> None:
    """Its machine and its content too."""
    clock = FakeClock(wall=1_500_000)
    record = made.of_user(Path("/work/app"), CLASSES.local_id, ORIGIN, clock)
    shown = to_dict(environment_message(record, organization_id=OTHER, runner_id=THIRD))
    assert shown["id"] == environment_id("/work/app")
    assert shown["metadata"] == {
        "organizationId": OTHER,
        "name": "app",
        "creator": {"id": ORIGIN.creator_id, "principal": "PRINCIPAL_USER"},
        "createdAt": "1970-01-01T00:00:01.500Z",
        "runnerId": THIRD,
        "lastStartedAt": "1970-01-01T00:00:01.500Z",
        "role": "ENVIRONMENT_ROLE_DEFAULT",
    }
    assert shown["spec"] == {
        "specVersion": "0000000001500000",
        "desiredPhase": "ENVIRONMENT_PHASE_RUNNING",
        "machine": {"class": CLASSES.local_id},
    }
    assert shown["status"]["phase"] == "ENVIRONMENT_PHASE_RUNNING"
    assert shown["status"]["machine"] == {"phase": "PHASE_RUNNING"}
    assert shown["status"]["content"] == {
        "phase": "CONTENT_PHASE_READY", "contentLocationInMachine": "/work/app",
    }  # fmt: skip
    assert shown["status"]["automationsFile"]["automationsFilePresence"] == "PRESENCE_ABSENT"
    assert "failureMessage" not in shown["status"]


def test_every_phase_has_one_of_the_machine() -> None:
    """So that none is forgotten."""
    assert set(MACHINE_PHASES) == set(Phase)


def test_what_went_wrong_is_shown_where_it_belongs() -> None:
    """A clone that failed, and a file that has errors."""
    request = from_json(
        CreateEnvironmentRequest, {"spec": {"automationsFile": {"automationsFilePath": "a.yaml"}}}
    )
    record = made.scratch(OTHER, Path("/s") / OTHER, request, CLASSES, ORIGIN, 5)
    failed = to_dict(environment_message(replace(record, phase=Phase.STOPPED, failures=("no such host",))))
    assert failed["status"]["failureMessage"] == ["no such host"]
    assert failed["status"]["content"]["phase"] == "CONTENT_PHASE_FAILED"
    assert failed["status"]["content"]["failureMessage"] == "no such host"
    bad = replace(record, has_content=True, automations_file="a.yaml", automations_failure="1:1: bad")
    file = to_dict(environment_message(bad))["status"]["automationsFile"]
    assert file == {
        "automationsFilePath": "a.yaml",
        "phase": "CONTENT_PHASE_FAILED",
        "failureMessage": "1:1: bad",
        "automationsFilePresence": "PRESENCE_SPECIFIED",
    }


@pytest.mark.parametrize(
    ("classes", "preference", "chosen"),
    [
        ([], [], CLASSES.local_id),
        ([OTHER], [prefer(1, OTHER), prefer(2)], OTHER),
        ([OTHER], [prefer(2, OTHER), prefer(1)], CLASSES.local_id),
        ([OTHER, THIRD], [prefer(3, OTHER), prefer(2, THIRD)], THIRD),
    ],
)
def test_without_a_class_the_preferred_one_is_taken(
    classes: list[str], preference: list[ProjectEnvironmentClass], chosen: str
) -> None:
    """The enabled one of the lowest order."""
    every = (*CLASSES.classes, *(a_class(one) for one in classes))
    assert EnvironmentClasses(every, CLASSES.local_id, tuple(preference)).choose("").id == chosen


def test_a_disabled_class_is_refused_and_never_preferred() -> None:
    """Named or not; where all are disabled nothing is made."""
    every = (*CLASSES.classes, a_class(OTHER, enabled=False))
    classes = EnvironmentClasses(every, CLASSES.local_id, (prefer(1, OTHER), prefer(2)))
    assert classes.choose("").id == CLASSES.local_id
    with pytest.raises(FailedPrecondition, match="it is disabled"):
        classes.choose(OTHER)
    with pytest.raises(InvalidArgument):
        classes.choose(THIRD)
    none = EnvironmentClasses((a_class(OTHER, enabled=False),), OTHER)
    with pytest.raises(FailedPrecondition, match="every class is disabled"):
        none.choose("")
