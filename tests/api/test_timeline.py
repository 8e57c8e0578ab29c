"""The course of an execution: times, attempts, how each step ended, versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.daemon import NATIVE, NOBODY, Api, Daemon

FLAKY = {
    "tasks": {
        "first": {"command": "true"},
        "flaky": {
            "command": "test -e tried || { touch tried; exit 7; }",
            "dependsOn": ["first"],
            "retries": {"limit": 1, "backoff": "0.1s"},
        },
        "fails": {"command": "exit 3", "dependsOn": ["flaky"]},
        "never": {"command": "true", "dependsOn": ["fails"]},
    }
}


@pytest.fixture(scope="module")
def course(served: Daemon) -> dict[str, Any]:
    """Of an execution in which a step was tried again, one failed, and one never started."""
    with served.client() as client:
        api = Api(client)
        body = {"environmentId": api.environment, "content": json.dumps(FLAKY)}
        api.call(f"{NATIVE}/ApplyFile", body)
        tasks = api.call("gitpod.v1.EnvironmentAutomationService/ListTasks")["tasks"]
        ids = {task["metadata"]["reference"]: task["id"] for task in tasks}
        execution = api.start(ids["never"])
        api.until(execution, "FAILED")
        return api.call(f"{NATIVE}/GetTimeline", {"id": execution})


def test_each_step_that_started_says_when_and_how_it_ended(course: dict[str, Any]) -> None:
    """In the plan's order; exit codes as numbers."""
    steps = {step["label"]: step for step in course["steps"]}
    assert list(steps) == ["first", "flaky", "fails"]
    assert steps["first"]["startedAt"] <= steps["first"]["completedAt"] <= steps["flaky"]["startedAt"]
    assert (steps["flaky"]["exitCode"], steps["fails"]["exitCode"]) == (0, 3)
    assert steps["fails"]["phase"] == "TASK_EXECUTION_PHASE_FAILED"


def test_attempts_are_told_one_by_one(course: dict[str, Any]) -> None:
    """From the changes in memory."""
    flaky = next(step for step in course["steps"] if step["label"] == "flaky")
    assert flaky["attempt"] == 2
    first, second = flaky["attempts"]
    assert (first["number"], second["number"]) == (1, 2)
    assert first["startedAt"] <= first["completedAt"] <= second["startedAt"] <= second["completedAt"]


def test_versions_lead_from_the_beginning_to_the_end(course: dict[str, Any]) -> None:
    """Each later than the one before; the last is the execution's end."""
    versions = course["versions"]
    assert course["complete"] is True
    assert [one["statusVersion"] for one in versions] == sorted(one["statusVersion"] for one in versions)
    assert versions[-1]["phase"] == "TASK_EXECUTION_PHASE_FAILED"
    assert "fails" in versions[-1]["failureMessage"]
    states = [
        change["state"] for one in versions for change in one.get("changes", ()) if change["label"] == "flaky"
    ]
    assert states.index("retrying") < states.index("succeeded")


def test_signals_are_named(api: Api) -> None:
    """As people say them."""
    ended = api.run("killed", "kill -9 $$")
    course = api.call(f"{NATIVE}/GetTimeline", {"id": ended["id"]})
    assert course["steps"][0]["exitSignal"] == "SIGKILL"


def test_what_is_not_there_is_not_found(api: Api) -> None:
    """As with every execution."""
    assert api.refused(f"{NATIVE}/GetTimeline", {"id": NOBODY})[0] == "not_found"


def test_a_daemon_that_was_not_there_knows_times_but_no_versions(api: Api, served: Daemon) -> None:
    """What it cannot know it does not invent."""
    ended = api.run("before", "true")
    served.process.terminate()
    served.process.wait()
    served.start("--listen", "127.0.0.1:0")
    with served.client() as client:
        course = Api(client).call(f"{NATIVE}/GetTimeline", {"id": ended["id"]})
    assert "complete" not in course
    assert "versions" not in course
    assert course["steps"][0]["completedAt"]
