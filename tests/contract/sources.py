"""The two sources of the contract, read: the messages of the public API and the shared models' page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.shared import SHARED

_CLASS = re.compile(r"class (\w+):")
_FIELD = re.compile(
    r"([a-z_]+): ((?:Optional\[)?(?:str|bool|int|object|datetime|(?:List|Dict)\[.*\]|[A-Z]\w*)\]?)"
)
_CONSTRAINT = re.compile(r"(minLength|maxLength|format)(\S+)")
_VALUE = re.compile(r'"(\w+)"')


@dataclass
class SharedField:
    """One line `name: type` of the page, with the constraints that stand below it."""

    name: str
    type: str
    constraints: dict[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    """Of an enum, where the page spells them out."""


@dataclass
class SharedModels:
    """The page: classes with their fields (nested ones follow their field, unmarked), and literals."""

    classes: dict[str, list[SharedField]] = field(default_factory=dict)
    literals: list[tuple[str, ...]] = field(default_factory=list)


def contract() -> dict[str, Any]:
    """The messages, enums and services as the reference has them."""
    loaded: dict[str, Any] = json.loads((SHARED / "reference" / "contract.json").read_text(encoding="utf-8"))
    return loaded


def shared_models() -> SharedModels:
    """The page, parsed."""
    return parse((SHARED / "reference" / "seed-shared-models.txt").read_text(encoding="utf-8"))


def parse(text: str) -> SharedModels:
    """The classes and literals of the page's text."""
    models = SharedModels()
    fields: list[SharedField] = []
    values: list[str] | None = None
    for line in text.splitlines():
        if found := _CLASS.fullmatch(line):
            fields = models.classes.setdefault(found[1], [])
            values = None
        elif line.startswith("Literal["):
            # The values follow after "One of the following:", each on its line; this one is cut short.
            fields, values = [], []
        elif values is not None and (found := _VALUE.fullmatch(line)):
            values.append(found[1])
            if len(values) == 1:
                models.literals.append(())
            models.literals[-1] = tuple(values)
        elif fields and (found := _VALUE.fullmatch(line)):
            fields[-1].values += (found[1],)
        elif found := _FIELD.fullmatch(line):
            fields.append(SharedField(found[1], found[2]))
        elif fields and (found := _CONSTRAINT.fullmatch(line)):
            fields[-1].constraints[found[1]] = found[2]
    return models
