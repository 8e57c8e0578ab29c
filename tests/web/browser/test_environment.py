"""The pages of an environment in a browser: buttons, what follows without a reload, forms, keys."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.api.daemon import wait_for
from tests.web.browser.site import NARROW, Site, Visitors

FILE = """\
tasks:
  build:
    command: until test -e go; do sleep 0.05; done; echo built
    triggeredBy: [manual]
  lint:
    command: exit 3
services:
  db:
    commands: {start: sleep 1000}
    triggeredBy: [manual]
"""


def card(reference: str) -> str:
    """The card of a task or service, as a selector."""
    return f"#automation-{reference}"


def test_start_follow_stop_and_fail(site: Site, visitors: Visitors) -> None:
    """All on one page that is never loaded again, with the title telling what goes on."""
    site.apply(FILE)
    page = visitors.open(site)
    page.evaluate("window.marked = true")
    build = page.locator(card("build"))
    expect(build.locator(".soft").first).to_have_text("never run")
    build.get_by_role("button", name="Start build").click()
    expect(build.locator(".phase")).to_have_text("running")
    expect(page).to_have_title(re.compile("running"))
    expect(page.locator("html")).to_have_attribute("data-state", "running")
    build.get_by_role("button", name="Stop build").click()
    expect(build.locator(".phase")).to_have_text("stopped")
    build.get_by_role("button", name="Start build").click()
    expect(build.locator(".phase")).to_have_text("running")
    (site.daemon.workspace / "go").touch()
    expect(build.locator(".phase")).to_have_text("succeeded")
    expect(page).to_have_title(re.compile("succeeded"))
    lint = page.locator(card("lint"))
    lint.get_by_text("More").click()
    lint.get_by_role("button", name="Start lint").click()
    expect(lint.locator(".trouble")).to_have_text("step lint failed: exit code 3")
    expect(page).to_have_title(re.compile("failed"))
    expect(lint.locator("details.menu")).not_to_have_attribute("open", "")
    assert page.evaluate("window.marked") is True


def test_a_service_is_started_restarted_and_stopped(site: Site, visitors: Visitors) -> None:
    """Restarting is one button; each start is another session."""
    site.apply(FILE)
    page = visitors.open(site)
    db = page.locator(card("db"))
    db.get_by_role("button", name="Start db").click()
    expect(db.locator(".phase")).to_have_text("running")
    service = site.ids("services")["db"]

    def session() -> str:
        found = site.api.call("gitpod.v1.EnvironmentAutomationService/GetService", {"id": service})
        status = found["service"]["status"]
        return str(status["session"]) if status["phase"] == "SERVICE_PHASE_RUNNING" else ""

    first = wait_for(session, "a session")
    db.get_by_role("link", name="db", exact=True).click()
    expect(page.locator("h1 .phase")).to_have_text("running")
    with page.expect_response(lambda answer: answer.url.endswith("/RestartService")):
        page.get_by_role("button", name="Restart").click()
    wait_for(lambda: session() not in {"", first}, "another session")
    page.reload()  # what stands there may be of the first still, and its buttons about to change
    expect(page.locator("h1 .phase")).to_have_text("running")
    page.get_by_role("button", name="Stop db").click()
    expect(page.locator("h1 .phase")).to_have_text("stopped")


def test_the_file_is_mended_and_applied_from_the_page(fresh: Site, visitors: Visitors) -> None:
    """An empty environment says what to do; then each look at the page sees the file as it is."""
    page = visitors.open(fresh)
    expect(page.get_by_text("Nothing is defined yet")).to_be_visible()
    fresh.write_file(FILE.replace("command: exit", "comand: [").replace("tasks:", "tasks: [", 1))
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # as a browser does when one comes back to it
    expect(page.get_by_text("does not load")).to_be_visible()
    fresh.write_file(FILE)
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.get_by_role("button", name="Apply the file").click()
    expect(page.locator(card("build"))).to_be_visible()
    expect(page.get_by_text("does not load")).to_have_count(0)


def test_firing_leads_to_what_came_of_it(site: Site, visitors: Visitors) -> None:
    """And the history tells it."""
    site.apply(FILE)
    (site.daemon.workspace / "go").touch()
    page = visitors.open(site)
    page.get_by_role("button", name="Fire manual").click()
    page.wait_for_url("**/web/firings/*")
    expect(page.locator("h1 .phase")).to_have_text("succeeded")
    expect(page.get_by_role("row", name=re.compile("build"))).to_contain_text("succeeded")
    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_label("Phase").select_option("succeeded")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row", name=re.compile("build")).first).to_be_visible()
    expect(page.locator(".durations a").first).to_be_visible()


def test_finding_a_card_among_many(fresh: Site, visitors: Visitors) -> None:
    """What is hidden stays so when something changes; a phone shows one column."""
    many = "".join(f"  task-{number}:\n    command: exit {number % 2}\n" for number in range(40))
    fresh.apply(f"tasks:\n{many}")
    page = visitors.open(fresh, size=NARROW)
    page.get_by_label("Find").fill("task-3")
    expect(page.locator(".card:visible")).to_have_count(11)
    execution = fresh.api.start(fresh.ids_of("task-30"))
    fresh.api.until(execution, "SUCCEEDED")
    expect(page.locator(card("task-30")).locator(".phase")).to_have_text("succeeded")
    expect(page.locator(".card:visible")).to_have_count(11)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= NARROW[0]


def test_everything_by_keys(site: Site, visitors: Visitors) -> None:
    """Past the head, into a menu, out of it again, and a start."""
    site.apply(FILE)
    page = visitors.open(site)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    summary = page.locator(card("lint")).locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    start = page.get_by_role("button", name=re.compile("Start.* lint"))
    expect(start).to_be_focused()
    page.keyboard.press("Escape")
    expect(summary).to_be_focused()
    expect(page.locator(card("lint")).locator("details.menu")).not_to_have_attribute("open", "")


def test_a_viewer_looks_and_is_refused_if_he_acts(site: Site, visitors: Visitors) -> None:
    """He sees no button, and a button that he makes himself does nothing but say so."""
    site.apply(FILE)
    page = visitors.open(site, roles=("ENVIRONMENT_VIEWER",))
    expect(page.locator(card("build"))).to_be_visible()
    expect(page.locator("main button")).to_have_count(0)
    visitors.expect("403")
    task = site.ids()["build"]
    page.evaluate(
        """(task) => {
          const button = document.createElement("button");
          button.dataset.call = "gitpod.v1.EnvironmentAutomationService/StartTask";
          button.dataset.body = JSON.stringify({ id: task });
          button.textContent = "Mine";
          document.querySelector("main").append(button);
        }""",
        task,
    )
    page.get_by_role("button", name="Mine").click()
    expect(page.locator("#said")).to_contain_text("cannot use StartTask")


def test_logging_out_here_ends_it_in_every_tab(site: Site, visitors: Visitors) -> None:
    """The other tab says so, and what to do."""
    page = visitors.open(site)
    other = page.context.new_page()
    other.goto(page.url)
    visitors.expect("401")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    expect(other.locator("#live")).to_contain_text("phased web")
    other.reload()
    expect(other.get_by_role("heading", name="Not logged in")).to_be_visible()
