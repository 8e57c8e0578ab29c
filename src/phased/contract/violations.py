"""What is wrong with a message, told to the client who sent it: the path of the field, and a phrase.

Knows the kinds of errors that validation finds. Must not repeat what was sent: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from json import dumps
from typing import Any, Final

from pydantic import ValidationError

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MAP_KEY: Final = "[key]"
_NAMES_SHOWN: Final = 12

_PHRASES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "must be a string of valid UTF-8",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "bytes_too_short": "must have at least {min_length} bytes",
    "bytes_too_long": "must have at most {max_length} bytes",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def describe(error: ValidationError) -> list[tuple[str, str]]:
    """Every violation as the JSON path of its field (`metadata.triggeredBy[0].trigger`) and a phrase.

    The path is empty where the whole message is wrong. Of a oneof it names a field that is set too many,
    or the oneof itself where none of its fields is set.
    """
    return [_violation(entry) for entry in error.errors(include_url=False, include_input=False)]


def summary(error: ValidationError) -> str:
    """The same on one line: `id: must be a UUID; spec.env[0].name: is required`."""
    return "; ".join(f"{path}: {phrase}" if path else phrase for path, phrase in describe(error))


def _violation(entry: Mapping[str, Any]) -> tuple[str, str]:
    kind, context = entry["type"], entry.get("ctx", {})
    location = tuple(entry["loc"])
    if location and location[-1] == _MAP_KEY:
        location = location[:-1]
    if kind == "oneof":
        return _path((*location, context["where"])), str(entry["msg"])
    return _path(location), _phrase(kind, context, str(entry["msg"]))


def _phrase(kind: str, context: Mapping[str, Any], message: str) -> str:
    match kind:
        case "value_error":
            return str(context["error"])
        case "enum" | "literal_error":
            names = re.findall(r"'([^']*)'", str(context["expected"]))
            shown = ", ".join(name or '""' for name in names[:_NAMES_SHOWN])
            return f"must be one of {shown}{', ...' if len(names) > _NAMES_SHOWN else ''}"
        case _ if kind in _PHRASES:
            return _PHRASES[kind].format_map(context)
        case _:
            return message


def _path(location: tuple[str | int, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{dumps(part, ensure_ascii=False)}]"
    return path
