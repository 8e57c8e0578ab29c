"""The pages of executions: what stands in them, and for whom."""

from __future__ import annotations

import json
import re

import pytest

from tests.api.daemon import NATIVE, NOBODY, Api, Daemon
from tests.web.visitor import Visitor, elements

MIDDLE = {
    "command": "test -e again || { touch again; exit 7; }",
    "dependsOn": ["first"],
    "retries": {"limit": 1, "backoff": "0.1s"},
    "env": {"PLAIN": "text", "KEY": {"secret": "API_KEY"}},
}
PLAN = {
    "tasks": {
        "first": {"command": 'echo WORD=hello >> "$PHASED_OUTPUT"; touch done'},
        "slow": {"command": "until test -e done; do sleep 0.05; done; sleep 1.5"},
        "middle": MIDDLE,
        "fails": {"command": "rm done; echo '<i>no</i>'; exit 3", "dependsOn": ["middle", "slow"]},
        "whole": {"command": "true", "dependsOn": ["fails"]},
    }
}


@pytest.fixture(scope="module")
def execution(served: Daemon) -> tuple[str, dict[str, str]]:
    """One that failed, with the ids of its steps by label."""
    with served.client() as client:
        api = Api(client)
        secret = {"environmentId": api.environment, "name": "API_KEY", "value": "never-to-be-seen"}
        api.call("gitpod.v1.SecretService/CreateSecret", secret | {"apiOnly": True})
        api.call(f"{NATIVE}/ApplyFile", {"environmentId": api.environment, "content": json.dumps(PLAN)})
        listed = api.call(f"{NATIVE}/ListAutomations", {"environmentId": api.environment})["automations"]
        whole = next(one["id"] for one in listed if one["reference"] == "whole")
        api.until(api.start(whole), "FAILED")
        made = api.until(api.start(whole), "FAILED")
        steps = {step["label"]: step["id"] for group in made["spec"]["plan"] for step in group["steps"]}
        return made["id"], steps


def test_an_execution_shows_its_plan_and_its_course(
    visitor: Visitor, execution: tuple[str, dict[str, str]]
) -> None:
    """Every step is a box and a row, each with its phase; lines lead between them."""
    execution_id, steps = execution
    page = visitor.page(f"/web/executions/{execution_id}")
    boxes = {one["data-step"]: one["data-phase"] for one in elements(page, "a", "data-step")}
    rows = {one["data-step"]: one["data-phase"] for one in elements(page, "li", "data-step")}
    wanted = dict.fromkeys(steps.values(), "succeeded") | {
        steps["fails"]: "failed",
        steps["whole"]: "skipped",
    }
    assert boxes == rows == wanted
    assert len(elements(page, "path", "data-from")) == 4
    assert "step fails failed: exit code 3" in page
    assert "Where the time went" in page


def test_it_says_why_and_how_long_things_waited(
    visitor: Visitor, execution: tuple[str, dict[str, str]]
) -> None:
    """A step whose needs had ended waits for its group's turn."""
    page = visitor.page(f"/web/executions/{execution[0]}")
    assert re.search(r"its turn came when <bdi>slow</bdi> had ended", page)
    assert 'class="waited"' in page


def test_versions_are_listed(visitor: Visitor, execution: tuple[str, dict[str, str]]) -> None:
    """The newest first, with what was new."""
    page = visitor.page(f"/web/executions/{execution[0]}")
    keys = re.findall(r'data-key="v(\d+)"', page)
    assert keys == sorted(keys, reverse=True)
    assert len(keys) >= 5
    assert "<bdi>fails</bdi> failed" in page


def test_a_step_shows_what_it_ran_with(visitor: Visitor, execution: tuple[str, dict[str, str]]) -> None:
    """Command, exit code, variables with their origin, secrets by name alone."""
    execution_id, steps = execution
    page = visitor.page(f"/web/executions/{execution_id}/steps/{steps['fails']}")
    assert "rm done; echo &#39;&lt;i&gt;no&lt;/i&gt;&#39;; exit 3" in page
    assert "<i>" not in page
    assert "<dt>Exit code</dt><dd>3</dd>" in page
    middle = visitor.page(f"/web/executions/{execution_id}/steps/{steps['middle']}")
    assert "PLAIN" in middle
    assert "secret <bdi>API_KEY</bdi>" in middle
    assert (
        middle.index("PLAIN")
        < middle.index("from the base environment</summary>")
        < middle.index("<bdi>PATH")
    )
    assert "never-to-be-seen" not in middle
    first = visitor.page(f"/web/executions/{execution_id}/steps/{steps['first']}")
    assert '<bdi>WORD</bdi></dt><dd class="mono"><bdi>hello</bdi>' in first


def test_processes_are_shown_while_they_live(visitor: Visitor, api: Api) -> None:
    """With memory and CPU time."""
    task = api.task("sleeper", "sleep 1000")
    execution_id = api.start(task)
    api.until(execution_id, "RUNNING")
    step = api.execution(execution_id)["spec"]["plan"][0]["steps"][0]["id"]
    page = visitor.page(f"/web/executions/{execution_id}/steps/{step}")
    assert "Processes" in page
    assert re.search(r"[KM]iB", page)
    api.call("gitpod.v1.EnvironmentAutomationService/StopTaskExecution", {"id": execution_id})
    api.until(execution_id, "STOPPED", "FAILED")


def test_a_viewer_sees_no_buttons_and_no_variables(
    viewer: Visitor, execution: tuple[str, dict[str, str]]
) -> None:
    """The rest of the page is the same."""
    execution_id, steps = execution
    page = viewer.page(f"/web/executions/{execution_id}")
    assert not elements(page, "button", "data-call")
    step = viewer.page(f"/web/executions/{execution_id}/steps/{steps['middle']}")
    assert "Your role does not show variables." in step
    assert "PLAIN" not in step


def test_a_run_is_compared_with_the_one_before(
    visitor: Visitor, api: Api, execution: tuple[str, dict[str, str]]
) -> None:
    """Step by step; the first run has none before it."""
    page = visitor.page(f"/web/executions/{execution[0]}/compare")
    assert page.count("<tr>") == 3 + len(execution[1])
    first = api.run("once", "true")["id"]
    assert "There is no earlier run" in visitor.page(f"/web/executions/{first}/compare")


def test_what_an_environment_defines_is_a_graph(
    visitor: Visitor, api: Api, execution: tuple[str, dict[str, str]]
) -> None:
    """All of it, or one task with what it needs, which leads to its newest run."""
    path = f"/web/environments/{api.environment}/graph"
    everything = visitor.page(path)
    assert elements(everything, "a", "data-service")
    assert "not-run" in everything
    page = visitor.page(f"{path}?reference=whole")
    assert re.findall(r'class="label"[^>]*>(\w+)<', page) == ["first", "slow", "middle", "fails", "whole"]
    assert f"/web/executions/{execution[0]}" in page
    visitor.page(f"{path}?reference=nothing", status=404)


@pytest.mark.parametrize("path", ["", "/compare", "/steps/x"])
def test_what_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    """As a page."""
    visitor.page(f"/web/executions/{NOBODY}{path}", status=404)


def test_a_step_of_another_execution_is_not_found(
    visitor: Visitor, execution: tuple[str, dict[str, str]]
) -> None:
    """Steps belong to their execution."""
    visitor.page(f"/web/executions/{execution[0]}/steps/{NOBODY}", status=404)
