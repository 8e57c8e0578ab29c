"""The picture of a plan: complete, nothing upon another, lines that lead where they should."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from phased.web.layout import GAP, MOST_LINES, WIDTH, Box, Layout, Line, Node, arrange, essential

Groups = list[list[Node]]


@st.composite
def plans(draw: st.DrawFn) -> Groups:
    """Groups of nodes that need some of those in earlier groups."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=0, max_size=6))
    groups: Groups = []
    earlier: list[str] = []
    for column, size in enumerate(sizes):
        group = []
        for row in range(size):
            needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=6)) if earlier else []
            group.append(Node(f"{column}.{row}", tuple(needs)))
        groups.append(group)
        earlier += [node.id for node in group]
    return groups


def reach(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Everything behind each, at any distance; edges point to what is needed, of ids in order."""
    found: dict[str, set[str]] = {}
    for one, needs in edges.items():
        found[one] = set(needs).union(*(found[need] for need in needs)) if needs else set()
    return found


def wanted(groups: Groups) -> dict[str, set[str]]:
    """What each needs."""
    return {node.id: set(node.needs) for group in groups for node in group}


def drawn(groups: Groups, lines: list[Line]) -> dict[str, set[str]]:
    """What each is shown to need, through knots."""
    shown: dict[str, set[str]] = {node.id: set() for group in groups for node in group}
    into: dict[str, set[str]] = {}
    for line in lines:
        into.setdefault(line.target, set()).add(line.source)
    for one in shown:
        for need in into.get(one, ()):
            shown[one] |= into[need] if need.startswith("knot:") else {need}
    return shown


def middle(box: Box) -> int:
    """Where lines meet it."""
    return box.y + box.height // 2


def points(line: Line) -> list[tuple[str, list[int]]]:
    """The commands of a path, with their numbers."""
    return [
        (command, [int(number) for number in numbers.split()])
        for command, numbers in re.findall(r"([MHC])([\d -]+)", line.path)
    ]


@settings(max_examples=100, deadline=None)
@given(plans())
def test_every_step_has_one_box_in_its_column_and_none_lies_upon_another(groups: Groups) -> None:
    """Inside the picture, in the column of its group."""
    layout = arrange(groups)
    ids = [node.id for group in groups for node in group]
    assert sorted(box.id for box in layout.boxes) == sorted(ids)
    below: dict[int, int] = {}
    for box in layout.boxes:
        assert box.column == int(box.id.partition(".")[0])
        assert box.x == layout.columns[box.column]
        assert box.x >= 0
        assert box.x + box.width <= layout.width
        assert below.get(box.column, 0) <= box.y
        below[box.column] = box.y + box.height
        assert below[box.column] <= layout.height


@settings(max_examples=100, deadline=None)
@given(plans())
def test_the_lines_say_who_needs_whom_and_no_more(groups: Groups) -> None:
    """What is left out is implied by what is drawn."""
    layout = arrange(groups)
    assert not layout.undrawn
    assert reach(drawn(groups, list(layout.lines))) == reach(wanted(groups))
    kept = essential(groups)
    assert reach({one: set(needs) for one, needs in kept.items()}) == reach(wanted(groups))
    for one, needs in kept.items():
        for need in needs:  # none of them is implied by the others
            others = set(needs) - {need}
            assert need not in set().union(*(reach(wanted(groups))[other] for other in others))
        assert set(needs) <= wanted(groups)[one]


@settings(max_examples=100, deadline=None)
@given(plans())
def test_lines_touch_boxes_at_their_ends_alone(groups: Groups) -> None:
    """They leave at the right, arrive at the left, and cross columns only where no box is."""
    layout = arrange(groups)
    boxes = {box.id: box for box in layout.boxes}
    for line in layout.lines:
        commands = points(line)
        x, y = commands[0][1]
        if line.source in boxes:
            source = boxes[line.source]
            assert x == source.x + source.width
            assert abs(y - middle(source)) <= 1
        for command, numbers in commands[1:]:
            before = (x, y)
            x, y = (numbers[0], y) if command == "H" else (numbers[4], numbers[5])
            assert x > before[0]
            if command == "H":
                _check_free(layout, before[0], x, y)
        if line.target in boxes:
            target = boxes[line.target]
            assert x == target.x
            assert abs(y - middle(target)) <= 1


def _check_free(layout: Layout, begin: int, end: int, y: int) -> None:
    for box in layout.boxes:
        if begin < box.x + box.width and box.x < end:
            assert not box.y < y < box.y + box.height, (box, begin, end, y)


def test_a_full_mesh_meets_in_a_knot() -> None:
    """Ten by a hundred: lines to and from it, not each with each."""
    groups = [[Node(f"{column}.{row}", _all(column - 1)) for row in range(100)] for column in range(10)]
    layout = arrange(groups)
    assert len(layout.lines) == 9 * 200
    assert layout.width == 32 + 10 * WIDTH + 9 * GAP


def _all(column: int) -> list[str]:
    return [f"{column}.{row}" for row in range(100)] if column >= 0 else []


def test_a_chain_in_which_each_needs_all_before_is_a_chain() -> None:
    """A thousand steps, half a million needs, 999 lines; all at one height."""
    ids = [str(number) for number in range(1000)]
    layout = arrange([[Node(one, ids[:number])] for number, one in enumerate(ids)])
    assert len(layout.lines) == 999
    assert len({box.y for box in layout.boxes}) == 1


def test_what_no_eye_could_follow_is_left_out_and_counted() -> None:
    """Each of the second column needs all but one of the first."""
    first = [f"0.{row}" for row in range(100)]
    second = [Node(f"1.{row}", [one for one in first if one != f"0.{row}"]) for row in range(100)]
    layout = arrange([[Node(one) for one in first], second])
    assert len(layout.lines) == MOST_LINES
    assert layout.undrawn == 100 * 99 - MOST_LINES


def test_neighbours_stand_beside_each_other() -> None:
    """Two chains whose order the file has crossed do not cross in the picture."""
    groups = [
        [Node("a0"), Node("b0")],
        [Node("b1", ["b0"]), Node("a1", ["a0"])],
        [Node("a2", ["a1"]), Node("b2", ["b1"])],
    ]
    layout = arrange(groups)
    heights = {box.id: box.y for box in layout.boxes}
    assert heights["a0"] == heights["a1"] == heights["a2"]
    assert heights["b0"] == heights["b1"] == heights["b2"]


def test_nothing_gives_an_empty_picture() -> None:
    """A plan without steps."""
    layout = arrange([])
    assert (layout.boxes, layout.lines) == ([], [])


def test_what_is_not_there_is_passed_over() -> None:
    """Needs of unknown ids, of itself, of its own group."""
    layout = arrange([[Node("a", ["x", "a", "b"]), Node("b")]])
    assert not layout.lines
