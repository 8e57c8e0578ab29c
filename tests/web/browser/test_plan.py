"""The picture of a plan and the time line, as they run; a step's panel; all of it by keyboard."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.browser.site import NARROW, Site, Visitors

GATE = "until test -e go; do sleep 0.05; done"
PLAN = {
    "tasks": {
        "prepare": {"command": "echo ready"},
        "left": {"command": GATE, "dependsOn": ["prepare"], "env": {"SIDE": "left"}},
        "right": {"command": f"{GATE}; exit 4", "dependsOn": ["prepare"]},
        "whole": {"dependsOn": ["left", "right"]},
    }
}


@pytest.fixture
def running(site: Site) -> str:
    """An execution that stands at its gate; its id. `go` opens it."""
    (site.daemon.workspace / "go").unlink(missing_ok=True)
    site.apply(json.dumps(PLAN))
    execution = site.api.start(site.ids()["whole"])
    site.api.until(execution, "RUNNING")
    return execution


def go(site: Site) -> None:
    """Let the steps end."""
    (site.daemon.workspace / "go").touch()


def box(page: Page, label: str) -> Locator:
    """The box of a step."""
    return page.locator(".graph .step", has=page.get_by_text(label, exact=True))


def row(page: Page, label: str) -> Locator:
    """The row of a step in the time line."""
    return page.locator("ol.course li", has=page.locator(".name", has_text=label))


def test_boxes_and_rows_follow_the_steps(site: Site, visitors: Visitors, running: str) -> None:
    """Phase, sign and word of each; what never came is skipped; the title tells the end."""
    page = visitors.open(site, f"/executions/{running}")
    for label in ("left", "right"):
        expect(box(page, label)).to_have_attribute("data-phase", "running")
        expect(box(page, label).locator(".word")).to_have_text("running")
        expect(row(page, label)).to_have_attribute("data-phase", "running")
    expect(box(page, "whole")).to_have_attribute("data-phase", "waiting")
    expect(row(page, "whole").locator(".waits")).to_have_text("waits for left, right")
    expect(page).to_have_title(re.compile("running"))
    go(site)
    expect(box(page, "left")).to_have_attribute("data-phase", "succeeded")
    expect(box(page, "right")).to_have_attribute("data-phase", "failed")
    expect(box(page, "right").locator(".sign")).to_have_text("✕")
    expect(row(page, "right").locator(".said-of")).to_contain_text("exit code 4")
    expect(box(page, "whole")).to_have_attribute("data-phase", "skipped")
    expect(page).to_have_title(re.compile("failed"))
    expect(page.locator(".note.bad")).to_contain_text("step right failed: exit code 4")


def test_a_bar_grows_while_its_step_runs(site: Site, visitors: Visitors, running: str) -> None:
    """And stands still afterwards."""
    page = visitors.open(site, f"/executions/{running}")
    took = row(page, "left").locator(".took")
    first = took.inner_text()
    expect(took).not_to_have_text(first)
    go(site)
    expect(page.locator("[data-page]")).to_have_attribute("data-phase", "failed")
    assert int(row(page, "left").locator(".ran").get_attribute("width") or 0) > 0


def test_a_click_shows_the_step_beside(site: Site, visitors: Visitors, running: str) -> None:
    """Command, variables with their origin, living processes; closed with Escape, and the focus is back."""
    page = visitors.open(site, f"/executions/{running}")
    box(page, "left").click()
    panel = page.locator("#panel")
    expect(panel.locator("h2").first).to_be_focused()
    expect(panel.locator("pre")).to_have_text(GATE)
    expect(panel.get_by_role("row", name=re.compile("MiB|KiB|kB")).first).to_be_visible()
    expect(panel.get_by_role("row", name=re.compile("SIDE left"))).to_be_visible()
    panel.locator("summary").click()
    expect(panel.get_by_role("row", name=re.compile("^PATH "))).to_be_visible()
    expect(page).to_have_url(re.compile("#step="))
    go(site)
    expect(panel.locator(".phase")).to_have_attribute("data-phase", "succeeded")
    expect(panel.locator("details")).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(box(page, "left")).to_be_focused()
    expect(page.locator("[data-page]")).to_have_attribute("data-phase", "failed")


def test_a_link_to_a_step_opens_its_panel(site: Site, visitors: Visitors, running: str) -> None:
    """As its address says."""
    plan = site.api.execution(running)["spec"]["plan"]
    step = next(one["id"] for group in plan for one in group["steps"] if one["label"] == "right")
    page = visitors.open(site, f"/executions/{running}#step={step}")
    expect(page.locator("#panel pre")).to_have_text(f"{GATE}; exit 4")
    go(site)


def test_the_plan_is_walked_by_keyboard(site: Site, visitors: Visitors, running: str) -> None:
    """One stop of the tab key; arrows follow lines and columns; Enter opens."""
    page = visitors.open(site, f"/executions/{running}")
    expect(page.locator(".graph .step[tabindex='0']")).to_have_count(1)
    box(page, "prepare").focus()
    page.keyboard.press("ArrowRight")
    expect(box(page, "left")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(box(page, "right")).to_be_focused()
    expect(page.locator(".lines path.near")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(box(page, "whole")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_contain_text("it joins what it needs")
    go(site)


def test_the_plan_can_be_made_larger_and_smaller(site: Site, visitors: Visitors, running: str) -> None:
    """By buttons and keys."""
    page = visitors.open(site, f"/executions/{running}")
    graph = page.locator(".graph")
    page.get_by_role("button", name="1:1").click()
    whole = int(graph.get_attribute("width") or 0)
    page.get_by_role("button", name="Smaller").click()
    expect(graph).to_have_attribute("width", str(round(whole / 1.25)))
    page.locator(".graph .step").first.focus()
    page.keyboard.press("0")
    expect(graph).to_have_attribute("width", str(whole))
    go(site)


def test_nothing_is_wider_than_a_phone(site: Site, visitors: Visitors, running: str) -> None:
    """The plan scrolls in its window; the panel lies over the page."""
    page = visitors.open(site, f"/executions/{running}", size=NARROW)
    box(page, "prepare").click()
    expect(page.locator("#panel h2").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
    go(site)


def test_the_environments_graph_follows_runs_and_services(
    site: Site, visitors: Visitors, running: str
) -> None:
    """Also those that begin later."""
    environment = site.api.environment
    page = visitors.open(site, f"/environments/{environment}/graph?reference=whole")
    expect(box(page, "whole")).to_have_attribute("data-phase", "running")
    expect(box(page, "prepare")).to_have_attribute("data-phase", "not-run")
    site.api.until(site.api.start(site.ids()["prepare"]), "SUCCEEDED")
    expect(box(page, "prepare")).to_have_attribute("data-phase", "succeeded")
    go(site)
    expect(box(page, "whole")).to_have_attribute("data-phase", "failed")
    page.get_by_role("link", name="The newest run of whole").click()
    expect(page).to_have_url(re.compile(running))


def test_a_thousand_steps_are_followed_to_their_end(fresh: Site, visitors: Visitors) -> None:
    """Every box and row, by events alone: the page is too large to be fetched at every change."""
    tasks: dict[str, dict[str, Any]] = {f"s{number}": {} for number in range(999)}
    for number in range(20, 999):
        tasks[f"s{number}"] = {"dependsOn": [f"s{number - 20}", f"s{number - 19}"]}
    tasks["s5"] = {"command": GATE}
    tasks["all"] = {"dependsOn": [f"s{number}" for number in range(979, 999)]}
    fresh.apply(json.dumps({"tasks": tasks}))
    listed = fresh.api.call(
        "phased.v1.DaemonService/ListAutomations", {"environmentId": fresh.api.environment}
    )
    task = next(one["id"] for one in listed["automations"] if one["reference"] == "all")
    execution = fresh.api.start(task)
    page = visitors.open(fresh, f"/executions/{execution}")
    expect(page.locator("body")).to_have_attribute("data-feed", "live")
    expect(page.locator(".graph .step")).to_have_count(1000)
    expect(page.locator(".graph .step[data-phase=waiting]").first).to_be_attached()
    (fresh.daemon.workspace / "go").touch()
    expect(page.locator(".graph .step[data-phase=succeeded]")).to_have_count(1000)
    expect(page.locator("ol.course li[data-phase=succeeded]")).to_have_count(1000)
    expect(page.locator("[data-page]")).to_have_attribute("data-phase", "succeeded")
