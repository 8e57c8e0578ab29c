"""Holds a tree against a shape: checked values come out, and whatever is wrong goes to the report.

Knows shapes and nodes; must not know the file's keys. Everything wrong is reported, not the first alone.
What comes out is made of dict, list, str, int, bool and timedelta, and lacks what was wrong or empty.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import assert_never

from phased.loader.corrections import (
    camel,
    end_of,
    hint_for_list,
    hint_for_text,
    last_of,
    likeliest,
    own_name,
    repaired,
)
from phased.loader.nodes import Mapping, Node, Scalar, Sequence, describe, is_null
from phased.loader.report import Report, printable, quoted
from phased.loader.shapes import Choice, Either, Field, Flag, Listing, Record, Shape, Span, Table, Text, Whole

WRONG = object()
"""What reading gives where the report has an error."""

_SPAN = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})?)h)?(?:(\d{1,9}(?:\.\d{1,9})?)m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?")
_MILLISECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)ms")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")


def duration(text: str) -> timedelta | None:
    """`30s`, `1.5s`, `30m`, `1h30m`, `500ms`; None for anything else."""
    if match := _MILLISECONDS.fullmatch(text):
        return timedelta(milliseconds=float(match[1]))
    match = _SPAN.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


class Reader:
    """Reads nodes of one file into one report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def read(self, shape: Shape, node: Node, path: str, owner: int) -> object:  # noqa: PLR0911 - one a shape
        """The value of a node, or WRONG. `owner` is where its key stands: the place of what is missing."""
        match shape:
            case Text():
                return self._text(shape, node, path, owner)
            case Flag():
                return self._flag(node, path, owner)
            case Whole():
                return self._whole(shape, node, path, owner)
            case Choice():
                return self._choice(shape, node, path, owner)
            case Span():
                return self._span(shape, node, path, owner)
            case Listing():
                return self._listing(shape, node, path)
            case Record():
                return self._record(shape, node, path, owner)
            case Table():
                return self._table(shape, node, path)
            case Either():
                return self.read(shape.full if isinstance(node, Mapping) else shape.short, node, path, owner)
            case _:
                assert_never(shape)

    def _text(self, shape: Text, node: Node, path: str, owner: int) -> object:
        if not isinstance(node, Scalar) or is_null(node):
            hint = 'write "" for an empty text' if is_null(node) else hint_for_text(node)
            return self._mismatch(node, path, owner, "text", hint)
        if node.kind != "text" and not shape.loose:
            hint = f'quote it, if it is text: "{printable(node.text)}"'
            return self._mismatch(node, path, owner, "text", hint)
        if "\0" in node.text:
            return self._wrong(
                node.at, path, "cannot use text with a NUL character in it", "remove it", node.text
            )
        if shape.nonempty and not node.text:
            return self._wrong(node.at, path, "cannot be empty", "write something, or remove the key", "")
        return node.text

    def _flag(self, node: Node, path: str, owner: int) -> object:
        if not isinstance(node, Scalar) or node.kind != "boolean":
            said = node.text.lower() if isinstance(node, Scalar) else ""
            meant = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
            hint = f"write `{meant.get(said, said)}`" if {said} & {*meant, "true", "false"} else ""
            return self._mismatch(node, path, owner, "`true` or `false`", hint)
        return node.text.lower() == "true"

    def _whole(self, shape: Whole, node: Node, path: str, owner: int) -> object:
        wanted = f"a whole number from {shape.minimum} to {shape.maximum}"
        if not isinstance(node, Scalar) or node.kind != "integer":
            hint = "write it without quotes" if isinstance(node, Scalar) and node.text.isdecimal() else ""
            return self._mismatch(node, path, owner, wanted, hint)
        text = node.text
        number = int(text, 0 if text.startswith(("0o", "0x")) else 10) if _WHOLE.fullmatch(text) else -1
        if not shape.minimum <= number <= shape.maximum:
            return self._mismatch(node, path, owner, wanted, "")
        return number

    def _choice(self, shape: Choice, node: Node, path: str, owner: int) -> object:
        listed = ", ".join(value or '""' for value in shape.values)
        if not isinstance(node, Scalar) or is_null(node):
            named = [key.text for key, _ in node.entries] if isinstance(node, Mapping) else []
            meant = next((found for name in named if (found := likeliest(name, shape.values))), None)
            hint = f"write the word alone: `{meant}`" if meant else f"one of: {listed}"
            return self._mismatch(node, path, owner, "a single word", hint)
        if node.text in shape.values:
            return node.text
        near = likeliest(node.text, shape.values)
        hint = shape.meant.get(node.text) or (f"did you mean `{near}`?" if near else f"one of: {listed}")
        return self._wrong(
            node.at, path, f"cannot use {quoted(node.text)} for {last_of(path)}", hint, node.text
        )

    def _span(self, shape: Span, node: Node, path: str, owner: int) -> object:
        wanted = "a duration such as 30s, 10m or 1h30m"
        if not isinstance(node, Scalar) or is_null(node):
            return self._mismatch(node, path, owner, wanted, "")
        span = duration(node.text)
        if span is None:
            number = node.kind in ("integer", "number") and not node.text.startswith("-")
            hint = f"add the unit: `{printable(node.text)}s`" if number else f"write {wanted}"
            return self._wrong(
                node.at, path, f"cannot use {quoted(node.text)} as a duration", hint, node.text
            )
        if span > timedelta(seconds=shape.maximum):
            hint = f"{shape.maximum // 3600}h is the most"
            return self._wrong(
                node.at, path, f"cannot use {quoted(node.text)}: it is too long", hint, node.text
            )
        return span

    def _listing(self, shape: Listing, node: Node, path: str) -> object:
        if not isinstance(node, Sequence):
            return self._mismatch(node, path, node.at, "a list", hint_for_list(shape, node, path))
        values: list[object] = []
        seen: set[str] = set()
        for number, item in enumerate(node.items):
            place = f"{path}[{number}]"
            value = self.read(shape.of, item, place, item.at)
            if isinstance(value, str) and value in seen:
                message = f"{quoted(value)} is in this list twice"
                self._report.warning(item.at, place, message, hint="remove one of them", text=value)
            elif value is not WRONG:
                values.append(value)
                seen.update([value] if isinstance(value, str) else [])
        return values

    def _record(self, shape: Record, node: Node, path: str, owner: int) -> object:
        if not isinstance(node, Mapping):
            hint = ""
            if is_null(node):
                hint = "indent its keys below it"
            elif end_of(path) in [entry.name for entry in shape.fields]:
                hint = f"indent it below what it belongs to: it is a key of {shape.name}"
            elif isinstance(node, Scalar) or "{text}" not in shape.instead:
                written = node.text if isinstance(node, Scalar) else ""
                hint = shape.instead.format(text=printable(written.strip()))
            return self._mismatch(node, path, owner, f"the mapping of {shape.name}", hint)
        known = {entry.name: entry for entry in shape.fields}
        values: dict[str, object] = {}
        for key, value in node.entries:
            place = f"{path}.{printable(key.text)}" if path else printable(key.text)
            entry = known.get(key.text)
            if entry is None:
                self._unknown(shape, key, place)
                continue
            self._portability(shape, entry, key, place)
            # An empty value is an unset one, as in proto3 JSON: real files comment out all items of a list.
            # `machine:` says something by being there.
            if not is_null(value) or (isinstance(entry.shape, Record) and not entry.shape.fields):
                self._keep(values, entry, value, place, key.at)
        for entry in shape.fields:
            if entry.required and entry.name not in values:
                self._missing(shape, entry, path, owner)
        if shape.exclusive and len(values) > 1:
            message = f"cannot use {' and '.join(f'`{name}`' for name in values)} together"
            self._report.error(owner, path, message, hint="remove all but one", text=end_of(path))
        return values

    def _keep(self, values: dict[str, object], entry: Field, node: Node, path: str, owner: int) -> None:
        if is_null(node):
            values[entry.name] = {}
        else:
            values[entry.name] = self.read(entry.shape, node, path, owner)

    def _table(self, shape: Table, node: Node, path: str) -> object:
        if isinstance(node, Sequence):
            return self._listed(shape, node, path)
        if not isinstance(node, Mapping):
            wanted = f"a mapping from {shape.key.split(maxsplit=1)[1]} to what it is"
            return self._mismatch(node, path, node.at, wanted, "")
        values: dict[str, object] = {}
        for key, value in node.entries:
            place = f"{path}.{printable(key.text)}"
            if not re.fullmatch(shape.pattern, key.text):
                message = f"cannot use {quoted(key.text)} as {shape.key}"
                self._report.error(key.at, place, message, hint=repaired(shape, key.text), text=key.text)
            read = self.read(shape.of, value, place, key.at)
            if read is not WRONG:
                values[key.text] = read
        return values

    def _listed(self, shape: Table, node: Sequence, path: str) -> object:
        hint = shape.example.format(name=own_name(node) or "reference")
        self._mismatch(
            node, path, node.at, f"a mapping from {shape.key.split(maxsplit=1)[1]} to what it is", hint
        )
        for number, item in enumerate(node.items):
            if isinstance(item, Mapping) and isinstance(shape.of, Record):
                self.read(shape.of, item, f"{path}[{number}]", item.at)
        return WRONG

    def _unknown(self, shape: Record, key: Scalar, path: str) -> None:
        hint = shape.meant.get(key.text) or shape.meant.get(camel(key.text))
        if hint is None:
            near = likeliest(key.text, [entry.name for entry in shape.fields])
            if near is None:
                hint = f"{shape.name} has: {', '.join(entry.name for entry in shape.fields) or 'no keys'}"
            else:
                hint = f"did you mean `{near}`?"
        message = f"cannot use the key {quoted(key.text)} in {shape.name}"
        if self._report.lenient:
            message = f"the key {quoted(key.text)} in {shape.name} is unknown and left out"
            self._report.warning(key.at, path, message, hint=hint, text=key.text)
        else:
            self._report.error(key.at, path, message, hint=hint, text=key.text)

    def _portability(self, shape: Record, entry: Field, key: Scalar, path: str) -> None:
        if entry.extension and self._report.portable:
            message = f"cannot use the key {quoted(key.text)} of {shape.name} in a portable file"
            hint = "it is an extension of phased: remove it, or validate without --portable"
            self._report.error(key.at, path, message, hint=hint, text=key.text)

    def _missing(self, shape: Record, entry: Field, path: str, owner: int) -> None:
        of = shape.name if shape.name.startswith("a ") else f"`{shape.name}`"
        message = f"cannot use {of} without `{entry.name}`"
        self._report.error(owner, path, message, hint=f"add `{entry.name}:` to it", text=end_of(path))

    def _mismatch(self, node: Node, path: str, owner: int, wanted: str, hint: str) -> object:
        at = owner if is_null(node) else node.at
        shown = f" {quoted(node.text)}" if isinstance(node, Scalar) and not is_null(node) else ""
        kind = describe(node) + (f" {shown.strip()}" if shown else "")
        where = f" for {last_of(path)}" if path else ""
        message = f"cannot use {kind}{where}: {wanted} belongs here"
        text = node.text if isinstance(node, Scalar) else self._report.source.line_at(at)
        return self._wrong(at, path, message, hint, text)

    def _wrong(self, at: int, path: str, message: str, hint: str, text: str) -> object:
        if message == "cannot be empty":
            message = f"cannot use an empty text for {last_of(path)}"
        self._report.error(at, path, message, hint=hint, text=text)
        return WRONG
