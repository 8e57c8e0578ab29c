"""The page follows what happens: over restarts of the daemon, in several tabs; it says when it does not."""

from __future__ import annotations

import json
import re
import signal

from playwright.sync_api import Page, Route, expect

from tests.api.daemon import NATIVE, wait_for
from tests.web.browser.site import Site, Visitors

WAITS = 'until test -e "$FLAG"; do sleep 0.05; done'
LOST = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_NETWORK"


def waiting(site: Site, name: str) -> str:
    """A running execution that ends once `flag` is called with the same name; its id."""
    flag = site.daemon.workspace / f"flag-{name}"
    site.apply(json.dumps({"tasks": {name: {"command": WAITS, "env": {"FLAG": str(flag)}}}}))
    execution = site.api.start(site.ids()[name])
    site.api.until(execution, "RUNNING")
    return execution


def flag(site: Site, name: str) -> None:
    """Let it end."""
    (site.daemon.workspace / f"flag-{name}").touch()


def state_of(page: Page, phase: str) -> None:
    """Wait until the page's own thing is in a phase."""
    expect(page.locator("[data-page]")).to_have_attribute("data-phase", phase)


def live(page: Page, state: str = "live") -> None:
    """Wait until the page is live, stale or ended."""
    expect(page.locator("body")).to_have_attribute("data-feed", state)


def stop(site: Site) -> None:
    """End the daemon; what it runs goes on."""
    site.daemon.process.send_signal(signal.SIGKILL)
    site.daemon.process.wait()


def marked(page: Page) -> None:
    """Set what a reload would lose."""
    page.evaluate("window.marked = true")


def still_marked(page: Page) -> None:
    """It was not reloaded."""
    assert page.evaluate("window.marked") is True


def revoke(site: Site) -> None:
    """End every session of the page."""
    tokens = site.api.call(f"{NATIVE}/ListTokens", {"pagination": {"pageSize": 100}})["tokens"]
    for token in tokens:
        if token.get("description") == "web page":
            site.api.call(f"{NATIVE}/RevokeToken", {"id": token["id"]})


def test_a_page_outlives_a_restart_of_the_daemon(fresh: Site, visitors: Visitors) -> None:
    """It says that it is stale, goes on by itself, and shows what happened meanwhile."""
    visitors.expect(LOST)
    execution = waiting(fresh, "long")
    page = visitors.open(fresh, f"/executions/{execution}")
    live(page)
    marked(page)
    stop(fresh)
    live(page, "stale")
    expect(page.locator("#live")).to_contain_text("Not live since")
    expect(page).to_have_title(re.compile("^! stale"))
    flag(fresh, "long")
    fresh.start()
    live(page)
    state_of(page, "succeeded")
    expect(page).to_have_title(re.compile("succeeded"))
    still_marked(page)


def test_what_happens_after_a_restart_is_followed_too(fresh: Site, visitors: Visitors) -> None:
    """The new daemon's stream is a new one."""
    visitors.expect(LOST)
    execution = waiting(fresh, "later")
    page = visitors.open(fresh, f"/executions/{execution}")
    live(page)
    marked(page)
    stop(fresh)
    live(page, "stale")
    fresh.start()
    live(page)
    flag(fresh, "later")
    state_of(page, "succeeded")
    still_marked(page)


def test_a_session_that_was_revoked_is_told(site: Site, visitors: Visitors) -> None:
    """At once, without a click."""
    visitors.expect("401", "403")
    page = visitors.open(site, "/")
    live(page)
    revoke(site)
    live(page, "ended")
    expect(page.locator("#live")).to_contain_text("phased web")


def test_a_new_session_wakes_the_tabs_of_an_old_one(fresh: Site, visitors: Visitors) -> None:
    """They show what they have missed."""
    visitors.expect("401", "403")
    execution = waiting(fresh, "asleep")
    page = visitors.open(fresh, f"/executions/{execution}")
    live(page)
    marked(page)
    revoke(fresh)
    live(page, "ended")
    flag(fresh, "asleep")
    fresh.api.until(execution, "SUCCEEDED")
    page.context.new_page().goto(fresh.login())
    live(page)
    state_of(page, "succeeded")
    still_marked(page)


def test_all_tabs_share_one_stream(fresh: Site, visitors: Visitors) -> None:
    """A browser allows few connections to a host; each tab is told all the same."""
    execution = waiting(fresh, "shared")
    pages = [visitors.open(fresh, f"/executions/{execution}")]
    for _ in range(7):
        pages.append(pages[0].context.new_page())
        visitors.go(pages[-1], fresh, f"/executions/{execution}")
    for page in pages:
        live(page)
    wait_for(lambda: _streams(fresh) == 1, "one stream")
    flag(fresh, "shared")
    for page in pages:
        state_of(page, "succeeded")


def test_a_browser_without_shared_workers_follows_too(site: Site, visitors: Visitors) -> None:
    """Each tab then reads for itself."""
    execution = waiting(site, "alone")
    page = visitors.context().new_page()
    page.add_init_script("delete window.SharedWorker")
    page.goto(site.login())
    visitors.go(page, site, f"/executions/{execution}")
    live(page)
    flag(site, "alone")
    state_of(page, "succeeded")


def test_a_change_between_the_page_and_its_stream_is_not_lost(site: Site, visitors: Visitors) -> None:
    """The stream begins where the page was rendered, however late its scripts come."""
    execution = waiting(site, "between")
    page = visitors.open(site)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(r"/feed\.js$"), hold)
    page.goto(site.address(f"/executions/{execution}"), wait_until="commit")
    expect(page.locator("[data-page]")).to_have_attribute("data-phase", "running")
    flag(site, "between")
    site.api.until(execution, "SUCCEEDED")
    wait_for(lambda: _looked(page) and held, "the page asks for its scripts")
    held[0].continue_()
    state_of(page, "succeeded")


def test_opened_details_and_the_focus_stay(site: Site, visitors: Visitors) -> None:
    """What changes around them changes in place."""
    execution = waiting(site, "details")
    page = visitors.open(site, f"/executions/{execution}")
    live(page)
    page.locator("details.versions summary").click()
    before = page.locator("details.versions tbody tr").count()
    flag(site, "details")
    state_of(page, "succeeded")
    expect(page.locator("details.versions tbody tr")).not_to_have_count(before)
    expect(page.locator("details.versions")).to_have_attribute("open", "")
    expect(page.locator("details.versions summary")).to_be_focused()


def _streams(site: Site) -> int:
    with site.daemon.client() as client:
        text = client.get("/metrics").text
    return int(float(re.findall(r"^phased_event_subscribers ([\d.]+)$", text, re.MULTILINE)[0]))


def _looked(page: Page) -> bool:
    """Let the browser's events come in."""
    return bool(page.evaluate("true"))
