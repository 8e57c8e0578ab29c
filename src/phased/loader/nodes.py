"""The tree that a file is, before anybody asks what it means: scalars, sequences, mappings, with offsets.

Knows the YAML 1.2 core schema (chapter 10.3 of the specification). Must not know the parser or the
file's keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["null", "boolean", "integer", "number", "text"]

_CORE: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("null", re.compile(r"null|Null|NULL|~|")),
    ("boolean", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("integer", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        "number",
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        ),
    ),
)
_LONGEST_NUMBER = 400
"""Longer plain scalars are text without a look: no number of a file is that long."""


@dataclass(slots=True)
class Scalar:
    """One value; `text` is what was written, without quotes and with escapes resolved."""

    at: int
    text: str
    kind: Kind


@dataclass(slots=True)
class Sequence:
    """A list."""

    at: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys and values in the file's order. A key that stands twice is here twice."""

    at: int
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


def kind_of_plain(text: str) -> Kind:
    """What an unquoted scalar is. There is no `yes`, `on` or `1:30` here: those are text since YAML 1.2."""
    if len(text) <= _LONGEST_NUMBER:
        for kind, pattern in _CORE:
            if pattern.fullmatch(text):
                return kind
    return "text"


def is_null(node: Node) -> bool:
    """Whether nothing was written there (or `null`, or `~`)."""
    return isinstance(node, Scalar) and node.kind == "null"


def describe(node: Node) -> str:
    """The sort of thing a node is, with its article, as messages name it."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Scalar(kind="null"):
            return "an empty value"
        case Scalar(kind=kind):
            return f"an {kind}" if kind == "integer" else f"a {kind}" if kind != "text" else "text"
