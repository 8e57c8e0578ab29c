"""From text to nodes: YAML 1.2 (and so JSON), by libyaml's events.

Knows the parser, anchors, aliases, merge keys and the bounds that keep a hostile file harmless.
Must not know what the file's keys mean. It recurses nowhere, so nesting cannot overflow the stack.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from phased.loader import syntax
from phased.loader.nodes import Kind, Mapping, Node, Scalar, Sequence, kind_of_plain
from phased.loader.report import Report, printable, quoted

MAX_DEPTH = 64
"""How deep lists and mappings may nest; a real file has five levels."""

MAX_VALUES = 250_000
"""How many values a file may have, each alias counted with all that it repeats."""

_TAG = "tag:yaml.org,2002:"
_TAGGED: dict[str, Kind] = {
    "null": "null",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "text",
}
_MERGE = "<<"
_SURROGATES = re.compile(r"((?<!\\)(?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PAIR_SHRINKS = len(r"\ud83d\ude00") - len(r"\U0001f600")

# The pure Python parser of the same package stands in where libyaml was not compiled in.
_Loader: type[yaml.CSafeLoader | yaml.SafeLoader] = (
    yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
)


def parse(report: Report) -> Node | None:
    """The document as a tree, or None if there is none or it cannot be parsed (then the report says why)."""
    text, offset_of = _without_surrogates(report.source.text)
    composer = _Composer(report)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            mark = event.start_mark
            composer.take(event, offset_of(mark.index) if mark is not None else 0)
    except yaml.MarkedYAMLError as error:
        syntax.explain(error, report, offset_of)
    except yaml.reader.ReaderError as error:
        offset = error.position if isinstance(error.position, int) else 0
        report.error(offset_of(offset), "", f"cannot read this as YAML: {error.reason}")
    except _Abandoned:
        pass
    else:
        return composer.root
    return None


def _without_surrogates(text: str) -> tuple[str, syntax.OffsetOf]:
    r"""JSON writes what is beyond 16 bits as two escapes, YAML as one: put the one there.

    The second value leads from an offset in the new text back to one in the old.
    """
    if not text.lstrip().startswith("{") or "\\u" not in text or not _is_json(text):
        return text, lambda offset: offset
    shifts: list[int] = []

    def join(match: re.Match[str]) -> str:
        shifts.append(match.end() - _PAIR_SHRINKS * (len(shifts) + 1))
        high, low = int(match[2], 16), int(match[3], 16)
        return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"

    joined = _SURROGATES.sub(join, text)
    return joined, lambda offset: offset + _PAIR_SHRINKS * bisect_right(shifts, offset)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Abandoned(Exception):
    """No error: the way out, once the report says why nothing more can be made of this file."""


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is not complete yet."""

    node: Sequence | Mapping
    anchor: str | None
    size: int = 1
    key: Scalar | None = None
    """The key whose value comes next; in a mapping without one, a key comes next."""
    lines: dict[str, int] = field(default_factory=dict)
    """The keys so far, and where each stands first."""
    merged: list[Node] = field(default_factory=list)


class _Composer:
    """Takes events one by one and builds the tree."""

    def __init__(self, report: Report) -> None:
        self.root: Node | None = None
        self._report = report
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._total = 0
        self._documents = 0

    def take(self, event: yaml.Event, at: int) -> None:
        """One event, which begins at this offset. Raises _Abandoned once the report says why."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._abandon(
                        at, "cannot use a second document (after `---`)", hint="one file holds one document"
                    )
            case yaml.ScalarEvent():
                self._count(at, 1)
                scalar = Scalar(at, event.value, self._kind(event, at))
                self._remember(event.anchor, scalar, 1)
                self._place(scalar, 1)
            case yaml.AliasEvent():
                self._alias(event.anchor, at)
            case yaml.SequenceStartEvent():
                self._open(Sequence(at), event, at)
            case yaml.MappingStartEvent():
                self._open(Mapping(at), event, at)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close()
            case _:
                pass

    def _open(self, node: Sequence | Mapping, event: yaml.CollectionStartEvent, at: int) -> None:
        expected = "seq" if isinstance(node, Sequence) else "map"
        if event.tag not in (None, "!", _TAG + expected):
            self._report.error(at, "", f"cannot use the tag {quoted(_short(event.tag))}", hint="leave it out")
        if len(self._stack) >= MAX_DEPTH:
            self._abandon(at, f"cannot nest deeper than {MAX_DEPTH} levels")
        self._count(at, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, Mapping):
            self._merge(frame, frame.node)
        self._remember(frame.anchor, frame.node, frame.size)
        self._place(frame.node, frame.size)

    def _place(self, node: Node, size: int) -> None:
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        frame.size += size
        if isinstance(frame.node, Sequence):
            frame.node.items.append(node)
        elif frame.key is None:
            frame.key = self._as_key(node, frame)
        else:
            if frame.key.text == _MERGE and frame.key.kind == "text":
                frame.merged.append(node)
            else:
                frame.node.entries.append((frame.key, node))
            frame.key = None

    def _as_key(self, node: Node, frame: _Frame) -> Scalar:
        if not isinstance(node, Scalar):
            sort = "list" if isinstance(node, Sequence) else "mapping"
            hint = "quote it, if braces or brackets belong to the key"
            self._report.error(node.at, "", f"cannot use a {sort} as a key", hint=hint)
            return Scalar(node.at, "", "null")
        first = frame.lines.setdefault(node.text, node.at)
        if first != node.at and node.text != _MERGE:
            line, _ = self._report.source.position(first)
            message = f"cannot have the key {quoted(node.text)} twice: it stands in line {line} already"
            hint = "rename or remove one of them"
            self._report.error(node.at, self._path(node.text), message, hint=hint, text=node.text)
        return node

    def _path(self, last: str) -> str:
        """Where in the structure the next node is, by the keys and list positions above it."""
        path = ""
        for frame in self._stack:
            if isinstance(frame.node, Sequence):
                path += f"[{len(frame.node.items)}]"
            elif frame.key is not None:
                path += f".{printable(frame.key.text)}"
        return f"{path}.{printable(last)}".removeprefix(".")

    def _merge(self, frame: _Frame, mapping: Mapping) -> None:
        """What `<<` brings in, after the mapping's own keys, which win; of several the first wins."""
        for merged in frame.merged:
            for source in merged.items if isinstance(merged, Sequence) else [merged]:
                if not isinstance(source, Mapping):
                    self._report.error(source.at, "", "cannot merge with `<<` anything but a mapping")
                    continue
                for key, value in source.entries:
                    if key.text not in frame.lines:
                        frame.lines[key.text] = key.at
                        mapping.entries.append((key, value))

    def _alias(self, anchor: str | None, at: int) -> None:
        name = anchor or ""
        if name not in self._anchors:
            hint = "quote the value, if the asterisk belongs to it"
            self._abandon(at, f"cannot find the anchor of {quoted('*' + name)}", hint=hint)
        known = self._anchors[name]
        if known is None:
            self._abandon(at, f"cannot use {quoted('*' + name)} inside of what it stands for")
        node, size = known
        self._count(at, size)
        self._place(node, size)

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)

    def _count(self, at: int, size: int) -> None:
        self._total += size
        if self._total > MAX_VALUES:
            self._abandon(at, f"cannot use more than {MAX_VALUES} values, with what aliases repeat")

    def _kind(self, event: yaml.ScalarEvent, at: int) -> Kind:
        if event.tag in (None, ""):
            return kind_of_plain(event.value) if event.implicit[0] else "text"
        wanted = _TAGGED.get(event.tag.removeprefix(_TAG)) if event.tag.startswith(_TAG) else None
        if event.tag == "!" or wanted == "text":
            return "text"
        found = kind_of_plain(event.value)
        if wanted is None or (found != wanted and (found, wanted) != ("integer", "number")):
            self._report.error(
                at, "", f"cannot use the tag {quoted(_short(event.tag))} here", hint="leave it out"
            )
        return wanted or "text"

    def _abandon(self, at: int, message: str, *, hint: str = "") -> NoReturn:
        self._report.error(at, "", message, hint=hint, text=self._report.source.line_at(at))
        raise _Abandoned


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
