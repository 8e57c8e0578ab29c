"""What a setting is, and how its value is understood. Standard library only.

Knows types, bounds and texts. Must not know which settings there are, or where values come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))")

_BYTES = {"": 1, "b": 1}
_BYTES |= {f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", start=1)}
_BYTES |= {f"{letter}b": 1000**n for n, letter in enumerate("kmgt", start=1)}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?(|b|[kmgt]i?b)", re.ASCII | re.IGNORECASE)

T = TypeVar("T")
Value = Any
"""What a setting may be: bool, int, float (seconds), str, a tuple of str, or what its `parse` makes."""


def setting(
    default: T,
    meaning: str,
    *,
    least: float | None = None,
    choices: tuple[str, ...] = (),
    variable: str | None = None,
    parse: Callable[[object], T] | None = None,
) -> T:
    """A field of a section. The default's type says what is read: a float is a duration in seconds.

    `meaning` is one sentence or more for people; `variable` replaces the name PHASED_SECTION_KEY; `parse`
    takes what the file or the environment holds and raises ValueError with a phrase where it is bad.
    """
    metadata = {"meaning": meaning, "least": least, "choices": choices, "variable": variable, "parse": parse}
    made: T = field(default=default, metadata=metadata)
    return made


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as documents and messages need it."""

    section: str
    key: str
    default: Value
    meaning: str
    least: float | None
    choices: tuple[str, ...]
    variable: str
    parse: Callable[[object], Value] | None

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"

    def read(self, raw: object) -> Value:
        """The value that a file's entry or a variable's text means. Raises ValueError with a phrase."""
        if self.parse is not None:
            return self.parse(raw)
        value = _read(self.default, raw)
        if self.choices and value not in self.choices:
            near = nearest(str(value), self.choices)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"it is one of {', '.join(self.choices)}, not {value!r}{hint}")
        if self.least is not None and value < self.least:
            raise ValueError(f"it is at least {self.least:g}, not {value:g}")
        return value


def _read(default: Value, raw: object) -> Value:
    """By the type of the default; text (of a variable) is understood as well as the file's own types."""
    match default:
        case bool():
            return _boolean(raw)
        case int():
            return _integer(raw)
        case float():
            return duration(raw)
        case str():
            return _text(raw)
        case tuple():
            return _texts(raw)
        case _:
            raise TypeError(f"a setting of type {type(default).__name__} needs its own parse")


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {
        "true": True,
        "yes": True,
        "1": True,
        "on": True,
        "false": False,
        "no": False,
        "0": False,
        "off": False,
    }
    if isinstance(raw, str) and raw.lower() in words:
        return words[raw.lower()]
    raise ValueError(f"it is true or false, not {raw!r}")


def _integer(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"[+-]?\d{1,18}", raw.strip(), re.ASCII):
        return int(raw)
    raise ValueError(f"it is a whole number, not {raw!r}")


def duration(raw: object) -> float:
    """Seconds: from a number of seconds, or text as `1.5s`, `10m`, `1h30m`. Raises ValueError."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw) and raw >= 0:
        return float(raw)
    if isinstance(raw, str):
        text = raw.strip()
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", text, re.ASCII):
            return float(text)
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    raise ValueError(f"it is a duration as 30s, 10m or 1h30m, not {raw!r}")


def size(raw: object) -> int:
    """Bytes: from a number of bytes, or text as `100MiB`, `2GB`. Raises ValueError."""
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
        return raw
    found = _SIZE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(f"it is a size as 500000, 100MiB or 2GB, not {raw!r}")
    return round(float(found[1]) * _BYTES[(found[2] or "").lower()])


def _text(raw: object) -> str:
    if isinstance(raw, str) and "\0" not in raw:
        return raw
    raise ValueError(f"it is text, not {raw!r}")


def _texts(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if isinstance(raw, list | tuple) and all(isinstance(part, str) for part in raw):
        return tuple(raw)
    raise ValueError(f"it is a list of text, not {raw!r}")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The known name that was likely meant, or none."""
    import difflib  # noqa: PLC0415 - only for a mistake

    return difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
