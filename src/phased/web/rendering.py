"""Templates, and how values are spelled in them.

Knows Jinja. Must not know pages. Everything is escaped; `stranger` is for names and texts that others wrote.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable

_FOLDER: Final = Path(__file__).parent / "templates"
_MARKED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""What would not be seen, or would change how the rest is seen: controls, and marks of direction (UAX #9)."""


class Templates:
    """All templates, compiled."""

    def __init__(self, address_of: Callable[[str], str], version: str) -> None:
        """`address_of` finds a file of the bundle."""
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {"asset": address_of, "version": version, "zip": zip}
        self._environment.filters |= {
            "stranger": stranger,
            "plain": plain,
            "when": when,
            "lasted": lasted,
            "phase": phase_word,
            "sign": sign,
        }

    def compile_all(self) -> None:
        """Now, so that a newer version that is installed meanwhile does not change what is shown."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, template: str, **values: object) -> str:
        """One page."""
        return self._environment.get_template(template).render(**values)


def stranger(text: object) -> Markup:
    """What somebody else wrote: of its own direction, and with marks in place of what is not seen."""
    parts: list[str] = []
    end = 0
    shown = str(text)
    for found in _MARKED.finditer(shown):
        parts += [escape(shown[end : found.start()]), _mark(found[0])]
        end = found.end()
    return Markup("<bdi>{}</bdi>").format(Markup("").join([*parts, escape(shown[end:])]))


def plain(text: object) -> str:
    """The same where no element may stand, as in a title."""
    return _MARKED.sub(lambda found: f"U+{ord(found[0]):04X}", str(text))


def _mark(character: str) -> Markup:
    code = f"U+{ord(character):04X}"
    return Markup('<span class="mark" title="{}">{}</span>').format(
        unicodedata.name(character, "control character"), code
    )


def when(moment: datetime | None) -> Markup:
    """A moment, in UTC; a module of the page makes it local. Nothing where there is none."""
    if moment is None:
        return Markup("")
    utc = moment.astimezone(UTC)
    exact = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact, exact, utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def lasted(value: timedelta | float | None) -> str:
    """How long something took: `820 ms`, `3.4 s`, `2 m 05 s`, `1 h 02 m`, `3 d 4 h`."""
    if value is None:
        return ""
    seconds = max(value.total_seconds() if isinstance(value, timedelta) else float(value), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole // 60 % 60:02} m"
    return f"{whole // 86400} d {whole // 3600 % 24} h"


def phase_word(phase: Enum | None) -> str:
    """`running` of any enum of phases; `waiting` where there is none: a step that has not started."""
    if phase is None:
        return "waiting"
    word = str(phase.value).rpartition("_PHASE_")[2].rpartition("FIRING_RESULT_")[2]
    return "waiting" if word == "UNSPECIFIED" else word.lower().replace("_", "-")


SIGNS: Final = {
    "waiting": "○", "pending": "◔", "starting": "◔", "running": "▶", "stopping": "■", "succeeded": "✓",
    "failed": "✕", "stopped": "■", "interrupted": "■", "deleted": "∅", "skipped": "○", "not-run": "○",
}  # fmt: skip
"""The shape of each phase, beside its colour; `phases.js` and `base.css` have the same."""


def sign(word: str) -> str:
    """The shape of a phase, by its word."""
    return SIGNS.get(word, "?")
