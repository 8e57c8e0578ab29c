"""The page of a log: any size, followed, searched; and what a hostile one can do, which is nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.api.daemon import TASKS, Api
from tests.web.browser.site import NARROW, Site, Visitors

HERE = Path(__file__).parent
GIGABYTE = 2**30


def rows(page: Page) -> Locator:
    """The lines that are in the page: those in sight, and some more."""
    return page.locator(".log-text")


def row(page: Page, text: str) -> Locator:
    """One of them, by the whole of its text."""
    return page.locator(".log-text", has_text=re.compile(f"^{re.escape(text)}$"))


def said(page: Page) -> Locator:
    """What the page says of it."""
    return page.locator("[data-log-said]")


def marked(page: Page) -> Locator:
    """The line that is marked."""
    return page.locator(".log-row.is-marked .log-text")


def log_of(execution: str) -> str:
    """Its page."""
    return f"/executions/{execution}/log"


def printed(api: Api, reference: str, text: str) -> str:
    """The id of an execution that printed this."""
    return str(api.run(reference, f"printf '%s' '{text}'")["id"])


def large_log(site: Site, reference: str, size: int = GIGABYTE) -> str:
    """An execution with a log of this size: lines at both ends, and one endless line in between."""
    execution = str(site.api.run(reference, "echo hello")["id"])
    path = site.log_file(execution, reference)
    block = b"".join(b"line %06d of many, all of them alike\n" % number for number in range(20_000))
    with path.open("wb") as file:
        file.write(block)
        file.truncate(size - len(block) - 14)
        file.seek(0, 2)
        file.write(b"\n" + block + b"the very last")
    return execution


def test_a_log_is_followed_paused_and_followed_again(site: Site, visitors: Visitors) -> None:
    """New lines come by themselves, until somebody looks at older ones."""
    gate = site.daemon.workspace / "gates"
    gate.mkdir()
    wait = f"while [ ! -e {gate}/$1 ]; do sleep 0.05; done"
    command = (
        f"wait() {{ {wait}; }}; seq 200; wait a; echo second; seq 200; wait b; echo third; wait c; echo last"
    )
    execution = site.api.start(site.api.task("followed", command))
    page = visitors.open(site, log_of(execution))
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    expect(row(page, "200")).to_be_visible()
    (gate / "a").touch()
    expect(row(page, "second")).to_have_count(0)  # it is 200 lines above the end
    expect(row(page, "200")).to_be_in_viewport()
    page.locator(".log-view").focus()
    page.keyboard.press("Home")
    expect(row(page, "1")).to_be_in_viewport()
    expect(follow).to_have_attribute("aria-pressed", "false")
    (gate / "b").touch()
    expect(page.locator("[data-log-size]")).to_have_text("1.4 kB")
    expect(row(page, "1")).to_be_in_viewport()
    follow.click()
    expect(row(page, "third")).to_be_in_viewport()
    page.get_by_role("button", name="Times").click()
    seen = page.locator(".log-row", has_text="third").locator(".log-at")
    expect(seen).to_have_text(re.compile(r"\d:\d\d:\d\d.* 402$"))
    (gate / "c").touch()
    expect(row(page, "last")).to_be_in_viewport()
    expect(follow).to_be_disabled()  # it has ended


def test_a_gigabyte_opens_as_a_kilobyte_does(site: Site, visitors: Visitors) -> None:
    """Both ends of it are near, and the page holds a few rows of it."""
    execution = large_log(site, "gigabyte")
    page = visitors.open(site, log_of(execution))
    expect(row(page, "line 000000 of many, all of them alike")).to_be_in_viewport()
    expect(page.locator("[data-log-size]")).to_have_text("1.1 GB")
    page.locator(".log-view").focus()
    page.keyboard.press("End")
    expect(row(page, "the very last")).to_be_in_viewport()
    expect(row(page, "line 019999 of many, all of them alike")).to_be_in_viewport()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    expect(row(page, "the very last")).not_to_be_in_viewport()
    page.keyboard.press("Home")
    expect(row(page, "line 000000 of many, all of them alike")).to_be_in_viewport()
    page.evaluate("view => { view.scrollTop = view.scrollHeight / 2 }", page.query_selector(".log-view"))
    expect(page.locator(".log-view:not([aria-busy])")).to_be_visible()
    assert rows(page).count() < 300


def test_scrolling_a_large_log_skips_no_line(site: Site, visitors: Visitors) -> None:
    """Row by row and page by page, down and up again, whatever the bar says."""
    execution = large_log(site, "pages", 2**22)
    page = visitors.open(site, log_of(execution))
    expect(row(page, "line 000000 of many, all of them alike")).to_be_in_viewport()
    page.locator(".log-view").focus()
    seen: set[int] = set()

    def press(key: str) -> None:
        page.keyboard.press(key)
        page.wait_for_function(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        shown = rows(page).all_inner_texts()
        seen.update(int(text.split()[1]) for text in shown if text.startswith("line "))

    for _ in range(12):
        press("PageDown")
    for _ in range(200):  # as often as it takes: keys that come while it still moves may be lost
        press("PageUp")
        if row(page, "line 000000 of many, all of them alike").count():
            break
    assert seen == set(range(max(seen) + 1))
    assert len(seen) > 200
    expect(row(page, "line 000000 of many, all of them alike")).to_be_attached()


def test_output_is_text_whatever_it_says(site: Site, visitors: Visitors) -> None:
    """Markup, controls of terminals and marks of direction: shown or dropped, never obeyed."""
    lines = (
        r"<script>document.title=\"owned\"</script><img src=x onerror=alert(1)>",
        r"\033[2J\033[H\033[999Bcleared",
        r"\033]0;owned\007\033]8;;http://evil.example\033\\linked\033]8;;\033\\",
        r"rtl \342\200\256gnp.exe",
        r"10%%\r50%%\rdone",
        r"nul \000 bell \007.",
        r"\033[1;31mred\033[0m \033[38;2;1;2;3mtrue\033[0m \033[48;5;200mback\033[0m plain",
        r"broken \377\376 bytes",
    )
    text = r"\n".join(lines)
    execution = str(site.api.run("hostile", f"printf '{text}'")["id"])
    page = visitors.open(site, log_of(execution))
    expect(rows(page)).to_have_text(
        [
            '<script>document.title="owned"</script><img src=x onerror=alert(1)>',
            "cleared",
            "linked",
            "rtl RLOgnp.exe",
            "done",
            "nul ␀ bell .",
            "red true back plain",
            "broken �� bytes",
        ]
    )
    expect(page.locator(".log-mark").first).to_have_attribute("title", "U+202E")
    expect(page.locator(".log-text .fg-1.is-bold")).to_have_text("red")
    assert page.locator(".log-view a[href*=evil], .log-view img, .log-view script").count() == 0
    assert "owned" not in page.title()


def test_steps_are_shown_together_or_one_alone(site: Site, visitors: Visitors) -> None:
    """Under a heading each, with its phase."""
    first = site.api.task("together-1", "echo one; echo uno")
    silent = site.api.task("together-2", "true", dependsOn=[first])
    last = site.api.task("together-3", "echo three; exit 3", dependsOn=[silent])
    execution = site.api.until(site.api.start(last), "FAILED")["id"]
    page = visitors.open(site, log_of(execution))
    headings = page.locator(".log-heading")
    expect(headings).to_have_text(
        [
            re.compile("together-1.*succeeded.*8 bytes"),
            re.compile("together-2.*succeeded.*no output"),
            re.compile("together-3.*failed.*6 bytes"),
        ]
    )
    expect(rows(page)).to_have_text(["one", "uno", "three"])
    page.get_by_label("Step").select_option("together-3")
    expect(rows(page)).to_have_text(["three"])
    expect(headings).to_have_count(0)
    expect(page).to_have_url(re.compile("step="))


def test_search_goes_forward_and_back(site: Site, visitors: Visitors) -> None:
    """By text and by pattern; the log may be large."""
    execution = large_log(site, "searched", 2**25)
    page = visitors.open(site, log_of(execution))
    box = page.get_by_role("searchbox")
    box.fill("the very last")
    box.press("Enter")
    expect(marked(page)).to_have_text("the very last")
    expect(page.locator(".log-text mark")).to_have_text("the very last")
    box.fill("line 01234[5-6]")
    box.press("Enter")
    expect(said(page)).to_have_text("Nothing was found.")
    page.get_by_role("button", name="Regex").click()
    page.get_by_role("button", name="Previous").click()
    expect(marked(page)).to_have_text(re.compile("line 012346"))
    page.get_by_role("button", name="Previous").click()
    expect(marked(page)).to_have_text(re.compile("line 012345"))
    page.locator(".log-view").focus()
    page.keyboard.press("n")
    expect(marked(page)).to_have_text(re.compile("line 012346"))
    page.keyboard.press("n")  # from the beginning again, where the first of these is
    expect(marked(page)).to_have_text(re.compile("line 012345"))
    box.fill("(")
    box.press("Enter")
    expect(said(page)).to_have_text(re.compile("^Cannot search for this: "))


def test_a_search_that_takes_for_ever_can_be_cancelled(site: Site, visitors: Visitors) -> None:
    """It has a thread of its own."""
    execution = printed(site.api, "patience", "a" * 60 + "!")
    page = visitors.open(site, log_of(execution))
    page.get_by_role("searchbox").fill("(a|aa)+$")
    page.get_by_role("button", name="Regex").click()
    page.evaluate("() => { document.querySelector('[data-log-pattern]').form.requestSubmit() }")
    page.get_by_role("button", name="Cancel").click()
    expect(said(page)).to_have_text("The search was cancelled.")
    expect(page.get_by_role("progressbar")).to_be_hidden()


def test_the_first_error_is_found(site: Site, visitors: Visitors) -> None:
    """What says that there is none is passed over."""
    execution = printed(site.api, "faulty", "fine\n0 errors, no failure\nTypeError: undefined\nerror again\n")
    page = visitors.open(site, log_of(execution))
    page.get_by_role("button", name="First error").click()
    expect(marked(page)).to_have_text("TypeError: undefined")


def test_a_line_has_an_address(site: Site, visitors: Visitors) -> None:
    """Of a byte, so that it holds for a log of any size."""
    execution = large_log(site, "linked", 2**23)
    page = visitors.open(site, log_of(execution))
    rows(page).nth(5).locator("xpath=preceding-sibling::a").click()
    expect(marked(page)).to_have_text("line 000005 of many, all of them alike")
    address = page.url
    other = visitors.open(site)
    other.goto(address)
    expect(marked(other)).to_have_text("line 000005 of many, all of them alike")
    other.goto(re.sub(r"at=\d+", f"at={2**23 - 60}", address))
    expect(marked(other)).to_have_text(re.compile("^line 01999"))
    expect(marked(other)).to_be_in_viewport()


def test_what_was_dropped_is_said(site: Site, visitors: Visitors) -> None:
    """A log beyond its budget has lost its oldest lines."""
    execution = str(site.api.run("dropped", "echo hello")["id"])
    with site.log_file(execution, "dropped").open("wb") as file:
        file.truncate(2**20)
        file.seek(0, 2)
        file.write(b"rest of a line\nwhole\nlast\n")
    page = visitors.open(site, log_of(execution))
    expect(rows(page)).to_have_text(["whole", "last"])
    expect(page.locator("[data-log-note]")).to_have_text(re.compile("1.0 MB were dropped"))


def test_a_view_survives_a_restart_of_the_daemon(fresh: Site, visitors: Visitors) -> None:
    """The step goes on, the page says that it is not live, and then is again."""
    visitors.expect("Failed to load resource", "ERR_CONNECTION_REFUSED", "ERR_", "EventSource")
    command = "while [ ! -e over ]; do date +%N; sleep 0.1; done; echo finished"
    execution = fresh.api.start(fresh.api.task("survivor", command))
    page = visitors.open(fresh, log_of(execution))
    expect(rows(page).nth(3)).to_be_visible()
    fresh.daemon.process.kill()
    fresh.daemon.process.wait()
    expect(said(page)).to_have_text(re.compile("^Not live: "))
    fresh.start()
    expect(said(page)).to_have_text("")
    (fresh.daemon.workspace / "over").touch()
    expect(row(page, "finished")).to_be_in_viewport()
    fresh.api.until(execution, "SUCCEEDED")


def test_long_lines_are_wrapped_on_a_phone(site: Site, visitors: Visitors) -> None:
    """Nothing has to be scrolled sideways."""
    execution = printed(site.api, "wrapped", "word " * 200)
    page = visitors.open(site, log_of(execution), size=NARROW)
    expect(rows(page).nth(5)).to_be_visible()
    sizes = page.evaluate(
        "() => { const view = document.querySelector('.log-view');"
        " return [view.scrollWidth - view.clientWidth, document.documentElement.scrollWidth - innerWidth] }"
    )
    assert max(sizes) <= 0
    assert "".join(rows(page).all_text_contents()) == "word " * 200
    page.get_by_role("button", name="Wrap").click()
    expect(rows(page)).to_have_count(1)


def test_the_log_of_a_service_is_that_of_its_newest_session(site: Site, visitors: Visitors) -> None:
    """A restart begins a new one."""
    metadata = {"reference": "server", "name": "server"}
    spec = {"commands": {"start": "echo session $$; exec sleep 1000"}}
    body = {"environmentId": site.api.environment, "metadata": metadata, "spec": spec}
    service = site.api.call(f"{TASKS}/CreateService", body)["service"]["id"]
    page = visitors.open(site, f"/services/{service}/log")
    expect(page.locator("[data-log-note]")).to_have_text("Nothing was printed.")
    site.api.call(f"{TASKS}/StartService", {"id": service})
    page.reload()
    expect(rows(page)).to_have_text([re.compile("^session ")])
    site.api.call(f"{TASKS}/StopService", {"id": service})
    expect(page.get_by_role("button", name="Follow")).to_be_disabled()


@pytest.mark.parametrize(
    "check", re.findall(r"^  async (\w+)\(", (HERE / "modules.js").read_text(), re.MULTILINE)
)
def test_modules(site: Site, visitors: Visitors, check: str) -> None:
    """What needs no page: parsing, and lines of any bytes."""
    page = visitors.open(site)
    folder = page.evaluate("() => document.querySelector('script[type=module]').src.replace(/[^/]*$/, '')")
    source = (HERE / "modules.js").read_text()
    page.evaluate(f"([folder, check]) => {{ {source}; return checks(folder)[check]() }}", [folder, check])
