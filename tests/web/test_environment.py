"""The pages of an environment, a service and a firing: what is shown, and what can be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, NOBODY, TASKS, Api, Daemon, wait_for
from tests.web.conftest import FILE
from tests.web.visitor import Visitor, elements


@pytest.fixture
def page_of(api: Api) -> str:
    """The path of the environment's page."""
    return f"/web/environments/{api.environment}"


def bodies(text: str, method: str) -> list[object]:
    """What the buttons of a page send to a method."""
    return [
        json.loads(one["data-body"] or "")
        for one in elements(text, "button", "data-call")
        if (one["data-call"] or "").endswith(f"/{method}")
    ]


def test_the_only_environment_is_shown_at_once(visitor: Visitor, page_of: str) -> None:
    """And lists its tasks and services in columns, by what they need."""
    text = visitor.page("/web/")
    assert text.index('id="automation-gen"') < text.index('id="automation-build"')
    columns = [one["aria-label"] for one in elements(text, "ol", "aria-label")]
    assert columns == ["Column 1 of 2", "Column 2 of 2"]
    assert 'href="#automation-gen"' in text
    assert "Compiles everything." in text
    assert visitor.get(f"{page_of}x").status_code == 400
    assert visitor.get(f"/web/environments/{NOBODY}").status_code == 404


def test_starting_from_the_page(visitor: Visitor, api: Api, tasks: dict[str, str], page_of: str) -> None:
    """Prominent for `manual`, in a menu for the rest; a running one can be stopped."""
    text = visitor.page(page_of)
    main = [one for one in elements(text, "button", "data-call") if one.get("class") == "main"]
    assert [json.loads(one["data-body"] or "")["id"] for one in main] == [tasks["build"]]
    assert {"id": tasks["gen"]} in bodies(text, "StartTask")
    assert bodies(text, "StopTaskExecution") == []
    started = visitor.act(f"{TASKS}/StartTask", {"id": tasks["build"]}).json()["taskExecution"]["id"]
    api.until(started, "SUCCEEDED")
    text = visitor.page(page_of)
    assert f'data-execution="{started}">succeeded' in text
    assert f'href="/web/executions/{started}/log"' in text
    running = api.start(api.task("slow", "sleep 1000"))
    api.until(running, "RUNNING")
    text = visitor.page(page_of)
    assert bodies(text, "StopTaskExecution") == [{"id": running}]
    visitor.act(f"{TASKS}/StopTaskExecution", {"id": running})
    api.until(running, "STOPPED")
    failed = api.until(api.start(tasks["fail"]), "FAILED")
    assert failed["status"]["failureMessage"] in visitor.page(page_of)


def test_a_service_and_its_page(visitor: Visitor, api: Api, service: str, page_of: str) -> None:
    """Started, shown with its processes and variables, stopped; what is outdated says so."""
    text = visitor.page(page_of)
    assert bodies(text, "StartService") == [{"id": service}]
    visitor.act(f"{TASKS}/StartService", {"id": service})

    def phase() -> str:
        return str(api.call(f"{TASKS}/GetService", {"id": service})["service"]["status"]["phase"])

    wait_for(lambda: phase() == "SERVICE_PHASE_RUNNING", "the service runs")
    text = visitor.page(page_of)
    assert f'data-service="{service}">running' in text
    assert bodies(text, "StopService") == [{"id": service}]
    assert bodies(text, "RestartService") == [{"id": service}]
    text = visitor.page(f"/web/services/{service}")
    assert "sleep 1000" in text
    assert "PHASED_ENVIRONMENT_ID" in text
    assert "MiB" in text or "KiB" in text
    changed = FILE.replace("sleep 1000", "sleep 2000")
    api.call(f"{NATIVE}/ApplyFile", {"environmentId": api.environment, "content": changed})
    assert "outdated" in visitor.page(page_of)
    assert "outdated" in visitor.page(f"/web/services/{service}")
    visitor.act(f"{TASKS}/StopService", {"id": service})
    wait_for(lambda: phase() == "SERVICE_PHASE_STOPPED", "the service stops")
    assert bodies(visitor.page(f"/web/services/{service}"), "StartService") == [{"id": service}]
    api.call(f"{NATIVE}/ApplyFile", {"environmentId": api.environment, "content": FILE})
    assert visitor.get(f"/web/services/{NOBODY}").status_code == 404


def test_what_a_trigger_would_start_and_firing_it(visitor: Visitor, api: Api, page_of: str) -> None:
    """Its page says what came of each; it can be run again where something did not succeed."""
    text = visitor.page(page_of)
    assert {"environmentId": api.environment, "trigger": "postEnvironmentStart"} in bodies(
        text, "FireTrigger"
    )
    assert bodies(text, "StartPrebuild") == [{"environmentId": api.environment}]
    api.task("breaks", "exit 4", metadata={"triggeredBy": [{"postMachineStart": True}]})
    answer = visitor.act(
        f"{NATIVE}/FireTrigger", {"environmentId": api.environment, "trigger": "postMachineStart"}
    )
    firing = answer.json()["firing"]["id"]

    def ended() -> bool:
        return "completedAt" in api.call(f"{NATIVE}/GetFiring", {"id": firing})["firing"]

    wait_for(ended, "the firing ends")
    text = visitor.page(f"/web/firings/{firing}")
    assert "exit code 4" in text
    assert bodies(text, "ResumeFiring") == [{"id": firing}]
    assert f'href="/web/firings/{firing}"' in visitor.page(page_of)
    assert visitor.get(f"/web/firings/{NOBODY}").status_code == 404


def test_the_files_errors_at_their_lines(visitor: Visitor, served: Daemon, api: Api, page_of: str) -> None:
    """What was applied goes on; a file that differs can be applied from the page."""
    file = served.workspace / ".ona" / "automations.yaml"
    try:
        file.write_text(FILE.replace("dependsOn: [gen]\n    triggered", "dependsOn: [gne]\n    triggred"))
        text = visitor.page(page_of)
        assert "does not load" in text
        assert "8:17" in text
        assert "dependsOn: [gne]" in text
        assert "did you mean `gen`?" in text
        assert 'id="automation-build"' in text
        assert bodies(text, "ApplyFile") == []
        file.write_text(
            FILE.replace("echo generated", "echo anew") + "  extra:\n    commands: {start: sleep 9}\n"
        )
        text = visitor.page(page_of)
        assert "differs from what is at work" in text
        assert bodies(text, "ApplyFile") == [{"environmentId": api.environment, "lenient": True}]
        applied = visitor.act(f"{NATIVE}/ApplyFile", {"environmentId": api.environment, "lenient": True})
        assert applied.status_code == 200, applied.text
        text = visitor.page(page_of)
        assert "differs" not in text
        assert 'id="automation-extra"' in text
    finally:
        file.write_text(FILE)
        api.call(f"{NATIVE}/ApplyFile", {"environmentId": api.environment})


def test_check_file(served: Daemon, api: Api, tmp_path: Path) -> None:
    """As a method: every problem with its place; nothing of a file that a link leads to."""
    file = served.workspace / ".ona" / "automations.yaml"
    asked = {"environmentId": api.environment}
    try:
        file.write_text("tasks:\r  a:\r\n    comand: x\n")
        told = api.call(f"{NATIVE}/CheckFile", asked)
        assert told["file"] == ".ona/automations.yaml"
        (problem,) = told["problems"]
        assert (problem["line"], problem["column"], problem["excerpt"]) == (3, 5, "    comand: x")
        assert (problem["warning"], problem["path"]) == (True, "tasks.a.comand")
        assert told["differs"] == ["a"]
        outside = tmp_path / "private"
        outside.write_text("tasks: {a: {command: [my secret]}}\n")
        file.unlink()
        file.symlink_to(outside)
        (problem,) = api.call(f"{NATIVE}/CheckFile", asked)["problems"]
        assert "excerpt" not in problem
        assert "leads out of the workspace" in problem["message"]
        file.unlink()
        assert api.call(f"{NATIVE}/CheckFile", asked) == {}
    finally:
        file.unlink(missing_ok=True)
        file.write_text(FILE)
    assert api.refused(f"{NATIVE}/CheckFile", {"environmentId": NOBODY})[0] == "not_found"


def test_list_automations(api: Api, tasks: dict[str, str]) -> None:
    """As a method: needs, groups, triggers, and the newest run, also beyond the newest hundred."""
    oldest = api.until(api.start(tasks["fail"]), "FAILED")["id"]
    for _ in range(101):
        newest = api.start(tasks["gen"])
    api.until(newest, "SUCCEEDED")
    listed = api.call(f"{NATIVE}/ListAutomations", {"environmentId": api.environment})["automations"]
    found = {one["reference"]: one for one in listed}
    assert [one["reference"] for one in listed][:3] == ["gen", "build", "fail"]
    assert "group" not in found["gen"]
    assert found["build"]["group"] == 1
    assert found["build"]["dependsOn"] == ["gen"]
    assert found["build"]["triggeredBy"] == ["manual", "prebuild"]
    assert found["gen"]["lastRun"]["id"] == newest
    assert found["fail"]["lastRun"]["id"] == oldest
    assert found["fail"]["lastRun"]["failureMessage"] == "step fail failed: exit code 3"
    assert "lastRun" not in found["late"]
    assert (found["db"]["service"], found["db"]["dependsOn"]) == (True, ["gen"])


def test_an_empty_environment_says_what_to_do_next(visitor: Visitor, api: Api) -> None:
    """A new one, beside the first; then both are listed."""
    classes = api.call(f"{ENVIRONMENTS}/ListEnvironmentClasses")["environmentClasses"]
    body = {"spec": {"machine": {"class": classes[0]["id"]}}}
    other = str(api.call(f"{ENVIRONMENTS}/CreateEnvironment", body)["environment"]["id"])

    def phase() -> str:
        found = api.call(f"{ENVIRONMENTS}/GetEnvironment", {"environmentId": other})["environment"]
        return str(found["status"].get("phase"))

    try:
        wait_for(lambda: phase() == "ENVIRONMENT_PHASE_RUNNING", "the new environment runs")
        text = visitor.page(f"/web/environments/{other}")
        assert "Nothing is defined yet" in text
        assert "phased update" in text
        listed = visitor.page("/web/")
        assert f"/web/environments/{other}" in listed
        assert f"/web/environments/{api.environment}" in listed
        visitor.act(f"{ENVIRONMENTS}/StopEnvironment", {"environmentId": other})
        wait_for(lambda: phase() == "ENVIRONMENT_PHASE_STOPPED", "the new environment stops")
        text = visitor.page(f"/web/environments/{other}")
        assert "nothing can be started" in text
        assert bodies(text, "StartEnvironment") == [{"environmentId": other}]
    finally:
        api.call(f"{ENVIRONMENTS}/DeleteEnvironment", {"environmentId": other, "force": True})
