"""What must hold of every page: axe-core finds nothing, and it is not wider than the window."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

_RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }
}


def check_accessible(page: Page) -> None:
    """Raises AssertionError with each rule that is broken, and where."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("rules => axe.run(document, rules)", _RULES)
    told = [
        f"{one['id']} ({one['impact']}): {one['help']}\n    " + "\n    ".join(map(_place, one["nodes"][:5]))
        for one in found["violations"]
    ]
    assert not told, "\n".join([f"axe-core complains of {page.url}:", *told])


def check_width(page: Page) -> None:
    """Raises AssertionError where the page has to be scrolled sideways."""
    beyond = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert beyond <= 0, f"{page.url} is {beyond} pixels wider than the window"


def _place(node: dict[str, Any]) -> str:
    return f"{node['html'][:200]}  {' '.join(str(node.get('failureSummary', '')).split())[:300]}"
