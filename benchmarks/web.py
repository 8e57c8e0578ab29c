"""`python -m benchmarks.web [--quick] [--json FILE]`: what the web page costs, in a real browser.

Needs chromium and Playwright, as `make test-web` does. The daemon, the browser and this share a machine.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from playwright.sync_api import Browser, Page
from tests.api.daemon import TASKS
from tests.web.browser.site import Missing, Site, launched, site_of

from benchmarks.api import Result, processor, show
from benchmarks.running import Failed

_GIGABYTE = 2**30
_LINE = b"2026-11-28T12:00:00 \x1b[32mINFO\x1b[0m request handled in 12 ms by worker %07d status=200\n"
_PAGES = 50
_FRAMES = """seconds => new Promise(done => {
    const begun = performance.now(); let last = begun; let longest = 0;
    const frame = now => {
        longest = Math.max(longest, now - last); last = now;
        if (now - begun < seconds * 1000) requestAnimationFrame(frame); else done(longest);
    };
    requestAnimationFrame(frame);
})"""
_SHOWS = """text => new Promise((done, failed) => {
    const begun = performance.now();
    const look = () => {
        const rows = document.querySelector(".log-rows");
        if (rows && rows.textContent.includes(text)) return done(performance.now());
        if (performance.now() - begun > 30000) return failed(new Error("never shown"));
        requestAnimationFrame(look);
    };
    look();
})"""


class Bench:
    """A daemon with its page, and a browser."""

    def __init__(self, site: Site, browser: Browser) -> None:
        self.site = site
        self.browser = browser
        self._context = browser.new_context(viewport={"width": 1200, "height": 800})
        self._context.new_page().goto(site.login())

    def page(self) -> Page:
        """A new one, logged in."""
        return self._context.new_page()

    # ---- what is measured ------------------------------------------------------------------------

    def first_page(self, rounds: int) -> list[Result]:
        """The page of the environment, with nothing in the browser's cache."""
        path, times, size = f"/environments/{self.site.api.environment}", [], 0
        for _ in range(rounds):
            context = self.browser.new_context()
            page = context.new_page()
            page.goto(self.site.login())
            cold = context.new_cdp_session(page)
            cold.send("Network.clearBrowserCache")
            page.goto(self.site.address(path))
            page.locator("body[data-feed=live]").wait_for()
            told = page.evaluate(
                "() => [performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,"
                " ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
                ".reduce((sum, one) => sum + one.transferSize, 0)]"
            )
            times.append(told[0])
            size = max(size, told[1])
            context.close()
        return [
            Result("first page: all that it loads", size / 1000, "kB", 150),
            Result("first page: usable", median(times), "ms", 300),
        ]

    def change(self, rounds: int) -> Result:
        """From a request to start a task until its page shows RUNNING, which holds the start itself."""
        self.site.apply(
            json.dumps({"tasks": {"change": {"command": "sleep 1000", "triggeredBy": ["manual"]}}})
        )
        task = self.site.ids_of("change")
        page = self.page()
        page.goto(self.site.address(f"/environments/{self.site.api.environment}"))
        page.locator("body[data-feed=live]").wait_for()
        times = []
        for _ in range(rounds):
            page.evaluate(
                "() => { const found = '#automation-change .phase[data-phase=running]';"
                " window.shown = new Promise(done => { const look = () => document.querySelector(found)"
                " ? done(Date.now()) : requestAnimationFrame(look); look() }) }"
            )
            begun = time.time()
            execution = self.site.api.start(task)
            times.append(page.evaluate("() => window.shown") - begun * 1000)
            self.site.api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
            page.locator("#automation-change .phase[data-phase=stopped]").wait_for()
        page.close()
        return Result("a task is started, until its page says so", median(times), "ms", 100)

    def storm(self, seconds: float) -> list[Result]:
        """About 200 changes a second, on the page of an execution with many steps."""
        steps: dict[str, object] = {f"s{number}": {"command": "true"} for number in range(400)}
        steps |= {f"t{number}": {"command": "true", "dependsOn": [f"s{number}"]} for number in range(400)}
        last = {"command": "true", "dependsOn": [f"t{number}" for number in range(400)]}
        self.site.apply(json.dumps({"tasks": steps | {"storm": last}}))
        task = self.site.ids_of("storm")
        page = self.page()
        execution = self.site.api.start(task)
        page.goto(self.site.address(f"/executions/{execution}"))
        page.locator("body[data-feed=live]").wait_for()
        before = _heap(page)
        ends = time.monotonic() + seconds
        longest = 0.0
        while time.monotonic() < ends:
            self.site.api.start(task)  # each is about 2,400 changes
            longest = max(longest, page.evaluate(_FRAMES, min(seconds, 4)))
        grown = _heap(page) - before
        page.close()
        return [
            Result("storm of changes: the longest frame", longest, "ms", 100),
            Result("storm of changes: the page's memory grows by", grown, "MiB", 20),
        ]

    def gigabyte(self, size: int) -> list[Result]:
        """A log of real lines: opened, scrolled to its end, searched through."""
        execution = self.site.api.run("gigabyte", "echo hello")["id"]
        block = b"".join(_LINE % number for number in range(12_000))
        with self.site.log_file(execution, "gigabyte").open("wb") as file:
            for _ in range(size // len(block)):
                file.write(block)
            file.write(b"the very last line\n")
        page = self.page()
        first = []
        for _ in range(3):
            page.goto(self.site.address(f"/executions/{execution}/log"), wait_until="commit")
            first.append(page.evaluate(_SHOWS, "worker 0000001"))
        begun = page.evaluate(
            "() => { const view = document.querySelector('.log-view'); view.scrollTop = view.scrollHeight;"
            " return performance.now() }"
        )
        to_end = page.evaluate(_SHOWS, "the very last line") - begun
        memory = max(_memory(page), 0)
        page.locator(".log-view").focus()
        page.keyboard.press("Home")
        page.evaluate(_SHOWS, "worker 0000001")
        clock = time.monotonic()
        page.get_by_role("searchbox").fill("very last")
        page.get_by_role("button", name="Next").click()
        page.locator("[data-log-said]", has_text=re.compile("^Found")).wait_for(timeout=600_000)
        searched = size / 1e6 / (time.monotonic() - clock)
        page.close()
        return [
            Result("a gigabyte of log: first screen", median(first), "ms", 300),
            Result("a gigabyte of log: scrolled to its end", to_end, "ms", 1000),
            Result("a gigabyte of log: the tab's own memory", memory, "MiB", 200),
            Result("a gigabyte of log: searched", searched, "MB/s", 0, at_least=True),
        ]

    def open_pages(self, seconds: float) -> Result:
        """Readers as pages are: a stream of events each, from as many browsers."""
        with ExitStack() as stack:
            for _ in range(_PAGES):
                client = stack.enter_context(httpx.Client(timeout=60))
                client.get(self.site.login())
                stack.enter_context(client.stream("GET", self.site.address("/events")))
            time.sleep(2)
            before = processor(self.site.daemon.pid)
            time.sleep(seconds)
            used = (processor(self.site.daemon.pid) - before) / seconds
        return Result(f"{_PAGES} open pages and nothing happens: of a core", used * 100, "%", 5)


def _heap(page: Page) -> float:
    """MiB of a page's objects, with the garbage gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = session.send("Runtime.getHeapUsage")
    return float(found["usedSize"]) / 2**20


def _memory(page: Page) -> float:
    """MiB that the largest renderer has to itself, shared libraries aside: that of the page at work."""
    page.evaluate("() => 0")
    sizes = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                sizes.append(process.memory_full_info().uss / 2**20)
        except psutil.Error:
            continue
    return max(sizes, default=0.0)


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Ended with the block. Raises Missing where there is no browser."""
    with launched() as browser, site_of() as site:
        yield Bench(site, browser)


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a limit is missed, since another machine's noise is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description="Measure the web page.")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run?")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args(given)
    quick = options.quick
    try:
        with open_bench() as bench:
            results = [
                *bench.first_page(1 if quick else 5),
                bench.open_pages(1 if quick else 20),
                bench.change(2 if quick else 20),
                *bench.gigabyte(2**24 if quick else _GIGABYTE),
                *bench.storm(4 if quick else 60),
            ]
    except (Failed, Missing, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    show(results, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
