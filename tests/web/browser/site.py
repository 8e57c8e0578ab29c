"""A daemon with its page, and people who look at it with a real browser.

Knows Playwright and the daemon of the API's tests. A page that complains (a script that fails, something that
the policy forbids or that cannot be loaded) fails the test that looked at it, but for what the test expects.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import expect as expect_that

from tests.api.daemon import NATIVE, PATIENCE, Api, Daemon

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE: Final = (1200, 800)
NARROW: Final = (390, 800)
MILLISECONDS: Final = PATIENCE * 1000

expect_that.set_options(timeout=MILLISECONDS)


class Missing(Exception):
    """There is no browser."""


def chromium() -> str:
    """Where it is. Raises Missing, which says what to do."""
    named = os.environ.get("PHASED_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if not found or not Path(found).exists():
        raise Missing(
            "cannot find a browser: install one (Debian: apt-get install chromium), or name it in"
            " PHASED_TEST_CHROMIUM"
        )
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser, ended when the context is left. Raises Missing."""
    path = chromium()
    # Its sandbox needs rights that many containers lack; /dev/shm is small there. It sees our pages alone.
    options = ["--disable-dev-shm-usage", "--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options, timeout=MILLISECONDS)
        try:
            yield browser
        finally:
            browser.close()


class Site:
    """A daemon that serves its page."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.api: Api

    def start(self, *arguments: str) -> None:
        """Start the daemon, or start it again: the page's address stays."""
        self.daemon.start("--web", *arguments)
        self.api = Api(self.daemon.client())

    def login(self, *roles: str) -> str:
        """An address that logs in once; with no roles those of who runs the tests."""
        body: dict[str, Any] = {"roles": roles} if roles else {}
        return str(self.api.call(f"{NATIVE}/CreateWebLogin", body)["address"])

    def address(self, path: str) -> str:
        """A page, by its path below /web."""
        told = next(line for line in reversed(self.daemon.lines) if line.startswith("page on "))
        return told.split()[2].rstrip(";/") + path

    def write_file(self, text: str) -> None:
        """The automations file of the workspace."""
        folder = self.daemon.workspace / ".gitpod"
        folder.mkdir(exist_ok=True)
        (folder / "automations.yaml").write_text(text, encoding="utf-8")

    def apply(self, text: str) -> None:
        """Write the automations file, and let the daemon take it over."""
        self.write_file(text)
        self.api.call(f"{NATIVE}/ApplyFile", {"environmentId": self.api.environment})

    def ids(self, kind: str = "tasks") -> dict[str, str]:
        """Ids of all tasks or services, by reference."""
        method = {"tasks": "ListTasks", "services": "ListServices"}[kind]
        body = {"pagination": {"pageSize": 100}, "filter": {"environmentIds": [self.api.environment]}}
        found = self.api.call(f"gitpod.v1.EnvironmentAutomationService/{method}", body)
        return {one["metadata"]["reference"]: one["id"] for one in found.get(kind, [])}

    def ids_of(self, reference: str) -> str:
        """The id of one task, however many there are."""
        body = {"filter": {"references": [reference], "environmentIds": [self.api.environment]}}
        found = self.api.call("gitpod.v1.EnvironmentAutomationService/ListTasks", body)
        return str(found["tasks"][0]["id"])

    def log_file(self, execution_id: str, label: str) -> Path:
        """Where the output of a step is kept."""
        plan = self.api.execution(execution_id)["spec"]["plan"]
        step = next(one["id"] for group in plan for one in group["steps"] if one["label"] == label)
        return self.daemon.state / "runs" / execution_id / f"{step}.log"


@contextmanager
def site_of(*arguments: str, name: str = "work") -> Iterator[Site]:
    """A daemon with its page, its workspace of this name; it leaves nothing behind."""
    daemon = Daemon()
    try:
        daemon.workspace = daemon.workspace.rename(daemon.home / name)
        made = Site(daemon)
        made.start(*arguments)
        yield made
    finally:
        daemon.close()


class Visitors:
    """Opens pages, each in a browser of its own as far as cookies go, unless told otherwise."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.expected: list[str] = []
        """Patterns of complaints that a test provokes."""

    def open(
        self,
        site: Site,
        path: str = "/",
        *,
        roles: tuple[str, ...] = (),
        size: tuple[int, int] = WIDE,
        **options: Any,
    ) -> Page:
        """Somebody logs in, with these roles, and looks at a page (`/executions/...`)."""
        page = self.context(size=size, **options).new_page()
        page.goto(site.login(*roles))
        if path != "/":
            self.go(page, site, path)
        return page

    def context(self, *, size: tuple[int, int] = WIDE, **options: Any) -> BrowserContext:
        """A browser that nobody has used."""
        width, height = size
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(MILLISECONDS)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        self._contexts.append(context)
        return context

    def go(self, page: Page, site: Site, path: str) -> None:
        """Another page of the same site."""
        page.goto(site.address(path))

    def expect(self, *patterns: str) -> None:
        """Complaints that these find are no fault."""
        self.expected += patterns

    def check(self) -> None:
        """Raises AssertionError where a page complained."""
        found = [one for one in self.complaints if not any(re.search(each, one) for each in self.expected)]
        assert not found, "\n".join(["a page complained:", *found])

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def __enter__(self) -> Self:
        """Nobody is there yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Everybody leaves."""
        for context in self._contexts:
            context.close()
