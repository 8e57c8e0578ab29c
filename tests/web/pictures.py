"""`python -m tests.web.pictures [FOLDER]`: the pictures of the web page for the docs, made anew.

A real daemon runs a small project, and a real browser looks at it: chromium, as for `make test-web`. The
pictures differ a little each time, as what they show does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from tests.api.daemon import NATIVE, TASKS
from tests.web.browser.site import Missing, Site, launched, site_of

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
WIDE: Final = (960, 640)
NARROW: Final = (390, 760)

_COMPILES: Final = r"""for part in core engine api cli web; do
  printf '\033[32m   Compiling\033[0m %s\n' "$part"; sleep 0.15
done
printf '\033[33mwarning\033[0m: unused variable: `before` (engine, line 118)\n'"""
_TESTS: Final = r"""for name in plans_by_group joins_a_run stops_all resumes; do
  printf 'test %s ... \033[32mok\033[0m\n' "$name"; sleep 0.1
done
printf 'test survives_a_restart ... \033[31mFAILED\033[0m\n'
printf '\033[1;31merror\033[0m: expected 3 steps, found 2\n  at tests/restart.py:41\n'
exit 1"""

PROJECT: Final[dict[str, Any]] = {
    "tasks": {
        "deps": {
            "name": "Fetch dependencies",
            "command": "echo fetched 214 packages; sleep 0.4",
            "triggeredBy": ["prebuild"],
        },
        "gen": {"name": "Generate code", "command": "echo generated; sleep 0.3", "dependsOn": ["deps"]},
        "lint": {"command": "echo nothing to complain about; sleep 0.2", "dependsOn": ["deps"]},
        "build": {
            "description": "All parts, as a release has them.",
            "command": _COMPILES,
            "dependsOn": ["gen"],
            "triggeredBy": ["manual", "prebuild"],
        },
        "docs": {"command": "echo built 41 pages; sleep 0.5", "dependsOn": ["gen"]},
        "unit": {"name": "Unit tests", "command": "seq 200; sleep 0.6", "dependsOn": ["build"]},
        "integration": {"name": "Integration tests", "command": _TESTS, "dependsOn": ["build"], "retries": 1},
        "release": {
            "description": "Packs what was built, where all tests have passed.",
            "command": "echo packed",
            "dependsOn": ["lint", "docs", "unit", "integration"],
            "triggeredBy": ["manual"],
        },
        "watch": {"command": "while :; do date; sleep 1; done", "triggeredBy": ["manual"]},
    },
    "services": {
        "database": {
            "commands": {"start": "echo listening on 5432; exec sleep 1000", "ready": "true"},
            "triggeredBy": ["postEnvironmentStart"],
        },
        "server": {
            "commands": {"start": "echo serving on 8000; exec sleep 1000"},
            "triggeredBy": ["manual"],
            "dependsOn": ["database"],
        },
    },
}
BROKEN: Final = """\
tasks:
  build:
    command: make
    triggerBy: [manual]
  test:
    command: make test
    dependsOn: [biuld]
"""


class Camera:
    """Looks at pages of one site, and keeps what it sees."""

    def __init__(self, browser: Browser, site: Site, folder: Path) -> None:
        self._browser = browser
        self._site = site
        self._folder = folder

    def take(
        self,
        name: str,
        path: str,
        *,
        size: tuple[int, int] = WIDE,
        dark: bool = False,
        first: Callable[[Page], object] | None = None,
    ) -> None:
        """A picture of a page; `first` brings it into the state that is to be seen."""
        width, height = size
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        try:
            page = context.new_page()
            page.goto(self._site.login())
            page.goto(self._site.address(path))
            expect(page.locator("body")).to_have_attribute("data-feed", "live")
            if first is not None:
                first(page)
            page.evaluate("() => document.fonts.ready")
            page.screenshot(path=self._folder / f"{name}.png", animations="disabled")
            print(f"{name}.png")
        finally:
            context.close()

    def everywhere(self, name: str, path: str, **options: Any) -> None:
        """Light, dark, and on a phone."""
        self.take(name, path, **options)
        self.take(f"{name}-dark", path, dark=True, **options)
        self.take(f"{name}-narrow", path, size=NARROW, **options)


def with_nothing(browser: Browser, folder: Path) -> None:
    """An environment without an automations file, and with a broken one."""
    with site_of(name="shop") as site:
        camera = Camera(browser, site, folder)
        here = f"/environments/{site.api.environment}"
        camera.take("empty", here)
        site.write_file(BROKEN)
        camera.take("broken-file", here)


def with_little(browser: Browser, folder: Path) -> None:
    """A project at work."""
    with site_of(name="shop") as site:
        site.apply(json.dumps(PROJECT))
        ids, services = site.ids(), site.ids("services")
        for reference in ("build", "release", "build", "release"):
            site.api.until(site.api.start(ids[reference]), "SUCCEEDED", "FAILED")
        failed = site.api.until(site.api.start(ids["release"]), "FAILED")["id"]
        site.api.call(f"{TASKS}/StartService", {"id": services["server"]})
        body = {"environmentId": site.api.environment, "trigger": "postEnvironmentStart"}
        site.api.call(f"{NATIVE}/FireTrigger", body)
        site.api.until(site.api.start(ids["watch"]), "RUNNING")
        camera = Camera(browser, site, folder)
        here = f"/environments/{site.api.environment}"
        camera.everywhere("environment", here)
        camera.everywhere("graph", f"{here}/graph")
        camera.everywhere("execution", f"/executions/{failed}")
        camera.take("step", f"/executions/{failed}", first=_open_step)
        camera.everywhere("log", f"/executions/{failed}/log", first=_find_error)
        camera.everywhere("history", f"/history?environment={site.api.environment}")
        camera.take("service", f"/services/{services['server']}")


def with_much(browser: Browser, folder: Path) -> None:
    """A plan of a thousand steps, on its way."""
    tasks: dict[str, Any] = {}
    for number in range(999):
        needs = [f"step-{number - 60}", f"step-{(number * 7) % (number - 59)}"] if number >= 60 else []
        command = "sleep 1000" if number == 540 else "true"
        tasks[f"step-{number}"] = {"command": command, "dependsOn": sorted(set(needs))}
    tasks["everything"] = {"command": "true", "dependsOn": [f"step-{number}" for number in range(939, 999)]}
    with site_of(name="shop") as site:
        site.apply(json.dumps({"tasks": tasks}))
        execution = site.api.start(site.ids_of("everything"))
        camera = Camera(browser, site, folder)
        camera.take("much", f"/executions/{execution}", first=_until_half)


def _open_step(page: Page) -> None:
    page.locator("svg.graph a.step", has_text="integration").click()
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel h2, #panel h1").first).to_be_visible()


def _find_error(page: Page) -> None:
    page.get_by_role("button", name="First error").click()
    expect(page.locator(".log-row.is-marked")).to_be_visible()


def _until_half(page: Page) -> None:
    expect(page.locator("svg.graph a.step[data-phase=running]").first).to_be_attached()
    expect(page.locator("svg.graph a.step[data-phase=succeeded]").nth(400)).to_be_attached()


def main(given: Sequence[str] | None = None) -> int:
    """Make all of them."""
    arguments = sys.argv[1:] if given is None else list(given)
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with launched() as browser:
            for make in (with_nothing, with_little, with_much):
                make(browser, folder)
    except Missing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
