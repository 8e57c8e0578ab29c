"""Where the boxes and lines of a plan's picture go: groups as columns, lines that an eye can follow.

Knows ids, who needs whom, and geometry in pixels. Must not know executions, phases, templates or SVG beyond
the text of a path. All of it is a function of its arguments. As Sugiyama's method has it: what crosses a
column gets a place in it, columns are ordered by the barycentre of their neighbours, then moved towards them.

What others imply is not drawn: where `c` needs `b` and `a`, and `b` needs `a`, the line from `a` to `c` is
left out. Several that need the same several meet in one knot, so a full mesh of n by m has n + m lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

WIDTH: Final = 176
"""Of a box, as of a column."""
GAP: Final = 88
"""Between two columns."""
MARGIN: Final = 16
MOST_LINES: Final = 6000
"""More would make no picture, and a slow page."""
_KNOT: Final = WIDTH + GAP // 2
_SWEEPS: Final = 6
_THROUGH: Final = 10
"""The height that a line takes where it crosses a column."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box to be placed; `needs` holds ids of nodes in earlier groups, others are passed over."""

    id: str
    needs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """Where a node stands: its upper left corner, its size, its column."""

    id: str
    x: int
    y: int
    width: int
    height: int
    column: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `path` is the `d` of an SVG path, from right of `source` to left of `target`.

    These are ids of nodes, or of a knot (`knot:0`).
    """

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture."""

    width: int
    height: int
    boxes: Sequence[Box]
    """In the order of the groups, and from the top within one."""
    lines: Sequence[Line]
    columns: Sequence[int]
    """Where each begins."""
    undrawn: int = 0
    """Lines that are left out, since they were too many."""


@dataclass(slots=True)
class _Place:
    """Anything that takes room in a column: a box, a knot, or a line on its way through."""

    column: int
    height: int
    node: str = ""
    before: list[_Place] = field(default_factory=list)
    after: list[_Place] = field(default_factory=list)
    order: float = 0.0
    y: float = 0.0
    """Its middle."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """A line to be drawn, through these places."""

    source: str
    target: str
    places: Sequence[_Place]


def arrange(groups: Sequence[Sequence[Node]]) -> Layout:
    """The picture of a plan."""
    dense = sum(map(len, groups)) > 150
    height, space = (30, 8) if dense else (44, 14)
    work = _Work.of(groups, height)
    for column in work.columns:
        for position, place in enumerate(column):
            place.order = position
    _sort(work.columns)
    _settle(work.columns, space)
    return _picture(work, height)


def essential(groups: Sequence[Sequence[Node]]) -> dict[str, tuple[str, ...]]:
    """What each node needs that nothing else it needs already does: the transitive reduction, by id."""
    bit: dict[str, int] = {}
    behind: dict[str, int] = {}
    """For each node, everything it needs at any distance, as bits."""
    kept: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for node in group:
            needs = [need for need in dict.fromkeys(node.needs) if need in behind]
            implied = 0
            for need in needs:
                implied |= behind[need]
            kept[node.id] = tuple(need for need in needs if not implied >> bit[need] & 1)
        for node in group:  # afterwards: members of one group do not see each other
            bit[node.id] = len(bit)
            mine = 0
            for need in kept[node.id]:
                mine |= behind[need] | 1 << bit[need]
            behind[node.id] = mine
    return kept


@dataclass(slots=True)
class _Work:
    columns: list[list[_Place]]
    wishes: list[_Wish]
    undrawn: int = 0
    knots: int = 0
    _lanes: dict[tuple[int, int], _Place] = field(default_factory=dict)
    """By whose line it is and the column that it crosses: all lines of one source share their way."""

    @classmethod
    def of(cls, groups: Sequence[Sequence[Node]], height: int) -> _Work:
        columns: list[list[_Place]] = [[] for _ in groups]
        boxes: dict[str, _Place] = {}
        for index, group in enumerate(groups):
            for node in group:
                boxes[node.id] = _Place(index, height, node.id)
                columns[index].append(boxes[node.id])
        work = cls(columns, [])
        kept = essential(groups)
        together: dict[tuple[str, ...], list[str]] = {}
        for node_id, needs in kept.items():
            together.setdefault(tuple(sorted(needs)), []).append(node_id)
        for needs, targets in together.items():
            if len(needs) > 1 and len(targets) > 1:
                work._knot(needs, targets, boxes)
            else:
                for target in targets:
                    for need in kept[target]:
                        work._wish(need, target, boxes[need], boxes[target])
        return work

    def _knot(self, needs: Sequence[str], targets: Sequence[str], boxes: Mapping[str, _Place]) -> None:
        """A place that only the lines meet in, in the column before the targets'."""
        column = boxes[targets[0]].column
        knot = _Place(column - 1, 2 * _THROUGH)
        name = f"knot:{self.knots}"
        self.knots += 1
        self.columns[column - 1].append(knot)
        for need in needs:
            self._wish(need, name, boxes[need], knot)
        for target in targets:
            self._wish(name, target, knot, boxes[target])

    def _wish(self, source: str, target: str, begin: _Place, end: _Place) -> None:
        if len(self.wishes) >= MOST_LINES:
            self.undrawn += 1
            return
        way = [begin]
        for column in range(begin.column + 1, end.column):
            lane = self._lanes.get((id(begin), column))
            if lane is None:
                lane = self._lanes[id(begin), column] = _Place(column, _THROUGH)
                self.columns[column].append(lane)
                _join(way[-1], lane)
            way.append(lane)
        way.append(end)
        _join(way[-2], end)
        self.wishes.append(_Wish(source, target, way))


def _join(one: _Place, other: _Place) -> None:
    one.after.append(other)
    other.before.append(one)


def _sort(columns: Sequence[list[_Place]]) -> None:
    """Order each column by the mean of its neighbours' places, forth and back."""
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        for column in columns if forth else reversed(columns):
            for place in column:
                others = place.before if forth else place.after
                if place.node:  # what stands beside it in its column follows it, not the reverse
                    others = [one for one in others if one.column != place.column]
                if others:
                    place.order = sum(one.order for one in others) / len(others)
            column.sort(key=lambda place: place.order)  # stable: the file's order among equals
            scale = max(len(column) - 1, 1)
            for position, place in enumerate(column):
                place.order = position / scale


def _settle(columns: Sequence[list[_Place]], space: int) -> None:
    """Give each place its height: as near to its neighbours as the order and the room of others allow."""
    for column in columns:
        y = 0.0
        for place in column:
            place.y = y
            y += place.height + space
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            _pull(column, space)


def _pull(column: Sequence[_Place], space: int) -> None:
    """Move a column's places to where their neighbours' mean is, in order and apart: least squares.

    Pool adjacent violators: what would overlap becomes one block that moves as a whole.
    """
    blocks: list[tuple[float, int]] = []
    """The mean of what its members want, less their offset; and how many they are."""
    offsets: list[float] = []
    offset = 0.0
    for index, place in enumerate(column):
        if index:
            before = column[index - 1]
            offset += (before.height + place.height) / 2 + (space if before.node or place.node else 0)
        offsets.append(offset)
        others = place.before + place.after
        wanted = sum(one.y for one in others) / len(others) if others else place.y
        mean, count = wanted - offset, 1
        while blocks and blocks[-1][0] > mean:
            last, members = blocks.pop()
            mean = (mean * count + last * members) / (count + members)
            count += members
        blocks.append((mean, count))
    index = 0
    for mean, count in blocks:
        for place, own in zip(column[index : index + count], offsets[index : index + count], strict=True):
            place.y = mean + own
        index += count


def _picture(work: _Work, height: int) -> Layout:
    places = [place for column in work.columns for place in column]
    top = min((place.y - place.height / 2 for place in places), default=0.0) - MARGIN
    bottom = max((place.y + place.height / 2 for place in places), default=0.0) + MARGIN
    for place in places:
        place.y -= top
    left = [MARGIN + index * (WIDTH + GAP) for index in range(len(work.columns))]
    boxes = [
        Box(place.node, left[place.column], round(place.y - height / 2), WIDTH, height, place.column)
        for place in places
        if place.node
    ]
    lines = [Line(wish.source, wish.target, _path(wish.places, left)) for wish in work.wishes]
    width = (left[-1] + WIDTH if left else 0) + MARGIN
    return Layout(width, round(bottom - top), boxes, lines, left, work.undrawn)


def _path(places: Sequence[_Place], left: Sequence[int]) -> str:
    """From the right edge of the first, straight through those between, to the left edge of the last.

    A knot stands in the middle of the gap behind its column; a line from elsewhere crosses the column to it.
    """
    first, last = places[0], places[-1]
    x, y = left[first.column] + (WIDTH if first.node else _KNOT), round(first.y)
    parts = [f"M{x} {y}"]
    for before, place in pairwise(places):
        beside = place.column == before.column
        to, end = left[place.column] + (_KNOT if beside else 0), round(place.y)
        half = (to - x) // 2
        parts.append(f"H{to}" if end == y else f"C{x + half} {y} {to - half} {end} {to} {end}")
        x, y = to, end
        if not beside and (place is not last or not place.node):
            x = left[place.column] + (_KNOT if place is last else WIDTH)
            parts.append(f"H{x}")
    return "".join(parts)
