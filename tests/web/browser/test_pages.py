"""What people do with the page, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.api.daemon import NATIVE, TASKS, wait_for
from tests.web.browser.looks import check_accessible, check_width
from tests.web.browser.site import NARROW, WIDE, Site, Visitors

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp"
STEPS = 1000


def file(**tasks: object) -> str:
    """An automations file with these tasks."""
    return json.dumps({"tasks": tasks})


def manual(command: str, **more: object) -> dict[str, object]:
    """A task that is started by hand."""
    return {"command": command, "triggeredBy": ["manual"], **more}


def environment(site: Site) -> str:
    """The page of the site's only environment."""
    return f"/environments/{site.api.environment}"


def phase(page: Page, word: str) -> None:
    """Wait until the page's own thing is in this phase: it says so in a word, and the title does."""
    expect(page.locator("h1 .phase")).to_have_attribute("data-phase", word)
    expect(page.locator("h1 .phase")).to_contain_text(word)


def live(page: Page) -> None:
    """Wait until what happens is shown."""
    expect(page.locator("body")).to_have_attribute("data-feed", "live")


# ---- start, follow, stop, fail -----------------------------------------------------------------------


def test_a_task_is_started_watched_and_stopped(site: Site, visitors: Visitors) -> None:
    """By the buttons, and without looking again."""
    site.apply(file(endless=manual("echo begun; sleep 1000")))
    page = visitors.open(site, environment(site))
    shown = page.locator("#automation-endless")
    shown.get_by_role("button", name="Start").click()
    expect(shown.locator(".phase")).to_have_attribute("data-phase", "running")
    shown.get_by_role("heading").get_by_role("link").click()
    phase(page, "running")
    expect(page).to_have_title(re.compile("running"))
    page.get_by_role("button", name=re.compile("^Stop")).first.click()
    phase(page, "stopped")
    expect(page).to_have_title(re.compile("stopped"))
    expect(page.get_by_role("button", name=re.compile("^Stop"))).to_have_count(0)


def test_the_keyboard_is_enough(site: Site, visitors: Visitors) -> None:
    """From the top of the page to the button, and on."""
    site.apply(file(typed=manual("exit 0")))
    page = visitors.open(site, environment(site))
    button = page.locator("#automation-typed").get_by_role("button", name="Start")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#automation-typed .phase")).to_have_attribute("data-phase", "succeeded")
    expect(button).to_be_focused()  # what is redrawn takes nothing away


def test_two_tabs_show_what_a_third_did(site: Site, visitors: Visitors) -> None:
    """A failure that was started by somebody else: at once, in each."""
    site.apply(file(shared=manual("while [ ! -e fail ]; do sleep 0.05; done; exit 7")))
    context = visitors.context()
    one, other = context.new_page(), context.new_page()
    one.goto(site.login())
    for page in (one, other):
        visitors.go(page, site, environment(site))
        live(page)
    execution = site.api.start(site.ids()["shared"])
    for page in (one, other):
        expect(page.locator("#automation-shared .phase")).to_have_attribute("data-phase", "running")
    (site.daemon.workspace / "fail").touch()
    for page in (one, other):
        expect(page.locator("#automation-shared .phase")).to_have_attribute("data-phase", "failed")
        expect(page.locator("#automation-shared")).to_contain_text("exit code 7")
    visitors.go(one, site, f"/executions/{execution}")
    expect(one.locator("main")).to_contain_text("exit code 7")


def test_a_service_is_started_restarted_and_stopped(site: Site, visitors: Visitors) -> None:
    """Each on the page of the environment."""
    text = {"services": {"server": {"commands": {"start": "sleep 1000"}, "triggeredBy": ["manual"]}}}
    site.apply(json.dumps(text))
    page = visitors.open(site, environment(site))
    shown = page.locator("#automation-server")
    shown.get_by_role("button", name="Start").click()
    expect(shown.locator(".phase")).to_have_attribute("data-phase", "running")
    service = site.ids("services")["server"]

    def session() -> str:
        found = site.api.call(f"{TASKS}/GetService", {"id": service})["service"]["status"]
        return str(found["session"]) if found["phase"] == "SERVICE_PHASE_RUNNING" else ""

    before = wait_for(session, "a session")
    shown.get_by_role("button", name="Restart").click()
    wait_for(lambda: session() not in {"", before}, "another session")
    page.reload()  # what stands there may be of the session before, and its buttons about to change
    expect(shown.locator(".phase")).to_have_attribute("data-phase", "running")
    shown.get_by_role("button", name="Stop").click()
    expect(shown.locator(".phase")).to_have_attribute("data-phase", "stopped")


def test_a_trigger_is_fired(site: Site, visitors: Visitors) -> None:
    """It says what it would start, and leads to what it did."""
    site.apply(file(hooked={"command": "true", "triggeredBy": ["postEnvironmentStart"]}))
    page = visitors.open(site, environment(site))
    shown = page.locator(".triggers li", has_text="postEnvironmentStart")
    expect(shown).to_contain_text("hooked")
    shown.get_by_role("button", name="Fire").click()
    page.wait_for_url("**/web/firings/*")
    expect(page.locator("h1 .phase")).to_have_attribute("data-phase", "succeeded")
    expect(page.locator("table")).to_contain_text("hooked")


# ---- what is not well --------------------------------------------------------------------------------


def test_an_empty_environment_says_what_to_do(fresh: Site, visitors: Visitors) -> None:
    """Then that the file is there; then what is wrong with it, at its line."""
    page = visitors.open(fresh, environment(fresh))
    expect(page.locator("main")).to_contain_text("Nothing is defined yet.")
    fresh.write_file("tasks:\n  build:\n    command: make\n    triggerBy: [manual]\n")
    page.reload()
    expect(page.locator(".problems")).to_contain_text("4:5")
    expect(page.locator(".problems")).to_contain_text("triggeredBy")
    fresh.write_file("tasks:\n  build:\n    command: 'true'\n    triggeredBy: [manual]\n")
    page.reload()
    page.get_by_role("button", name="Apply the file").first.click()
    expect(page.locator("#automation-build")).to_be_visible()


def test_a_restart_of_the_daemon_is_survived(fresh: Site, visitors: Visitors) -> None:
    """The page says that it is stale; then it is live again, and misses nothing."""
    visitors.expect("Failed to load resource", "ERR_")
    command = "while [ ! -e over ]; do sleep 0.05; done; exit 9"
    fresh.apply(file(survivor=manual(command)))
    execution = fresh.api.start(fresh.ids()["survivor"])
    page = visitors.open(fresh, f"/executions/{execution}")
    live(page)
    phase(page, "running")
    fresh.daemon.process.kill()
    fresh.daemon.process.wait()
    expect(page.locator("#live")).to_contain_text(re.compile("not live", re.IGNORECASE))
    (fresh.daemon.workspace / "over").touch()
    fresh.start()
    live(page)
    phase(page, "failed")
    expect(page.locator("main")).to_contain_text("exit code 9")


def test_names_are_text_whatever_they_say(site: Site, visitors: Visitors) -> None:
    """On every page that shows them."""
    metadata = {
        "reference": "evil",
        "name": HOSTILE,
        "description": HOSTILE,
        "triggeredBy": [{"manual": True}],
    }
    body = {
        "environmentId": site.api.environment,
        "metadata": metadata,
        "spec": {"command": f"echo '{HOSTILE}'; exit 1"},
    }
    task = site.api.call(f"{TASKS}/CreateTask", body)["task"]["id"]
    execution = site.api.until(site.api.start(task), "FAILED")["id"]
    page = visitors.open(site, environment(site))
    expect(page.locator("#automation-evil")).to_contain_text("<img src=x")
    for path in (
        environment(site),
        f"{environment(site)}/graph",
        f"/executions/{execution}",
        f"/executions/{execution}/log",
        f"/history?environment={site.api.environment}&reference=%3Cimg%20src%3Dx%3E",
    ):
        visitors.go(page, site, path)
        assert page.locator("img").count() == 0
        assert "\u202e" not in page.locator("body").inner_text()


# ---- who may -----------------------------------------------------------------------------------------


def test_who_may_only_look_has_no_buttons_and_is_refused(site: Site, visitors: Visitors) -> None:
    """Also where he posts all the same."""
    visitors.expect("status of 403")
    site.apply(file(guarded=manual("true")))
    page = visitors.open(site, environment(site), roles=("ENVIRONMENT_VIEWER",))
    expect(page.locator("#automation-guarded")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Start|Stop|Fire|Apply"))).to_have_count(0)
    told = page.evaluate(
        """id => fetch("/web/api/gitpod.v1.EnvironmentAutomationService/StartTask", {
            method: "POST", body: JSON.stringify({ id }),
            headers: { "content-type": "application/json", "x-phased": "1" },
        }).then(answer => answer.status)""",
        site.ids()["guarded"],
    )
    assert told == 403


def test_a_session_ends(site: Site, visitors: Visitors) -> None:
    """The open page says so, and the next one says what to do."""
    visitors.expect("status of 401", "EventSource")
    page = visitors.open(site, environment(site))
    live(page)
    tokens = site.api.call(f"{NATIVE}/ListTokens", {"pagination": {"pageSize": 100}})["tokens"]
    for token in tokens:
        if token.get("description") == "web page":
            site.api.call(f"{NATIVE}/RevokeToken", {"id": token["id"]})
    expect(page.locator("#live")).to_contain_text(re.compile("session", re.IGNORECASE))
    page.reload()
    expect(page.locator("main")).to_contain_text("phased web")
    assert page.title().startswith("Not logged in")


def test_an_address_logs_in_once(site: Site, visitors: Visitors) -> None:
    """The second who opens it is told what to do; and whoever logs out is."""
    visitors.expect("status of 40[13]")
    address = site.login()
    one, other = visitors.context().new_page(), visitors.context().new_page()
    one.goto(address)
    expect(one.locator("h1")).not_to_have_text("Not logged in")
    other.goto(address)
    expect(other.locator("main")).to_contain_text("used before")
    one.get_by_role("button", name="Log out").click()
    expect(one.locator("main")).to_contain_text("You are logged out.")
    visitors.go(one, site, "/")
    expect(one.locator("h1")).to_have_text("Not logged in")


# ---- much --------------------------------------------------------------------------------------------


def test_a_plan_of_a_thousand_steps_is_shown_as_it_runs(fresh: Site, visitors: Visitors) -> None:
    """Every step is there, and changes."""
    tasks: dict[str, object] = {
        f"step-{number}": {"command": "true", "dependsOn": [f"step-{number - 50}"] if number >= 50 else []}
        for number in range(STEPS - 1)
    }
    gate = "while [ ! -e go ]; do sleep 0.05; done"
    for number in range(50):
        tasks[f"step-{number}"] = {"command": gate}
    last = [f"step-{number}" for number in range(STEPS - 51, STEPS - 1)]
    fresh.apply(file(**tasks, all={"command": "true", "dependsOn": last}))
    execution = fresh.api.start(fresh.ids_of("all"))
    page = visitors.open(fresh, f"/executions/{execution}")
    expect(page.locator("svg.graph a.step")).to_have_count(STEPS)
    live(page)
    (fresh.daemon.workspace / "go").touch()
    phase(page, "succeeded")
    expect(page.locator("svg.graph a.step[data-phase=succeeded]")).to_have_count(STEPS)
    visitors.go(page, fresh, f"/executions/{execution}/log")
    expect(page.locator(".log-heading").first).to_be_visible()
    page.locator(".log-view").focus()
    page.keyboard.press("End")
    expect(page.locator(".log-heading").last).to_contain_text("all")


# ---- every page, however it is looked at --------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """A site with something of everything."""

    site: Site
    failed: str
    running: str
    service: str
    firing: str

    def pages(self) -> list[str]:
        """Their paths."""
        here = environment(self.site)
        return [
            *(here, f"{here}/graph", f"/history?environment={self.site.api.environment}"),
            *(f"/executions/{self.failed}{part}" for part in ("", "/log", "/compare")),
            f"/executions/{self.running}",
            *(f"/services/{self.service}{part}" for part in ("", "/log")),
            f"/firings/{self.firing}",
        ]


@pytest.fixture(scope="module")
def filled(site: Site) -> Iterator[Filled]:
    """Tasks that succeeded, failed and run, a service, a firing."""
    tasks = {
        "gen": {"command": "printf '\\033[32mgenerated\\033[0m\\n'"},
        "build": manual("echo building; echo 'error: it broke'; exit 2", dependsOn=["gen"]),
        "test": manual("echo testing; sleep 1000", dependsOn=["gen"]),
        "hook": {"command": "true", "triggeredBy": ["postEnvironmentStart"]},
    }
    services = {
        "db": {"commands": {"start": "echo ready; sleep 1000", "ready": "true"}, "triggeredBy": ["manual"]}
    }
    site.apply(json.dumps({"tasks": tasks, "services": services}))
    ids = site.ids()
    site.api.until(site.api.start(ids["build"]), "FAILED")
    failed = site.api.until(site.api.start(ids["build"]), "FAILED")["id"]
    running = site.api.start(ids["test"])
    service = site.ids("services")["db"]
    site.api.call(f"{TASKS}/StartService", {"id": service})
    body = {"environmentId": site.api.environment, "trigger": "postEnvironmentStart"}
    firing = site.api.call(f"{NATIVE}/FireTrigger", body)["firing"]["id"]
    yield Filled(site, failed, running, service, firing)
    site.api.call(f"{TASKS}/StopTaskExecution", {"id": running})


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide-light", "narrow-dark"]
)
def test_everybody_can_use_every_page(
    filled: Filled, visitors: Visitors, size: tuple[int, int], scheme: str
) -> None:
    """axe-core has nothing to say of any, and none is wider than the window."""
    page = visitors.open(filled.site, size=size, color_scheme=scheme, reduced_motion="reduce")
    found = []
    for path in filled.pages():
        visitors.go(page, filled.site, path)
        live(page)
        if path.endswith("/log"):
            expect(page.locator(".log-row").first).to_be_visible()
        for check in (check_accessible, check_width):
            try:
                check(page)
            except AssertionError as error:
                found.append(str(error))
    assert not found, "\n".join(found)


def test_a_page_is_small(filled: Filled, visitors: Visitors) -> None:
    """Below 150 kB, with all that it loads; and nothing is from elsewhere."""
    page = visitors.open(filled.site)
    for path in filled.pages():
        visitors.go(page, filled.site, path)
        live(page)
        entries = page.evaluate(
            "() => ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
            ".map(one => [one.name, one.encodedBodySize])"
        )
        here = page.url.partition("/web/")[0]
        assert [name for name, _ in entries if not name.startswith((here, "data:"))] == []
        assert 0 < sum(size for _, size in entries) < 150_000, path
