"""The kinds of value that a file is made of, as data: what a reader checks and a JSON Schema says.

Knows no key of the file (`fields` has those) and reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """Text. Numbers and `true` are text only in quotes, unless `loose` takes any scalar as written."""

    nonempty: bool = False
    pattern: str = ""
    """Must match all of it (a regular expression without look-around, anchored by itself)."""
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within inclusive bounds."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words; `meant` leads from a frequent wrong word to what should be done."""

    values: tuple[str, ...]
    meant: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A duration such as `30s`, `1.5s`, `30m` or `1h30m`, of at most `maximum` seconds."""

    maximum: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Field:
    """A key that a record may have. `extension` marks what the public format has no place for."""

    name: str
    shape: Shape
    doc: str
    required: bool = False
    extension: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys; `meant` leads from a frequent wrong key to what should be done."""

    name: str
    """With its article: "a task"."""
    fields: tuple[Field, ...]
    meant: Mapping[str, str] = field(default_factory=dict)
    instead: str = ""
    """What to write where a scalar stands in place of the mapping; `{text}` is the scalar."""
    exclusive: bool = False
    """Whether at most one of the keys may be there."""


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping whose keys are names that the author chose."""

    key: str
    """What a key is: "a reference"."""
    pattern: str
    of: Shape
    example: str = ""
    """What to write in place of a list; `{name}` is what its first item calls itself."""


@dataclass(frozen=True, slots=True)
class Either:
    """A short form, or a mapping with more to say."""

    short: Text | Whole | Choice
    full: Record


Shape = Text | Flag | Whole | Choice | Span | Listing | Record | Table | Either
