"""The exception tree: as it is drawn, so it is; and every message says what cannot be done."""

from __future__ import annotations

import re

from phased import errors
from phased.errors import PhasedError


def drawn() -> list[tuple[int, str]]:
    """Depth and name of each exception in the drawing."""
    lines = (errors.__doc__ or "").splitlines()
    found = (re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line) for line in lines)
    return [(len(match[1]) // 4, match[2]) for match in found if match]


def real(root: type[PhasedError], depth: int = 0) -> list[tuple[int, str]]:
    """The same of the classes, in the order of definition."""
    below = (
        one
        for kind in root.__subclasses__()
        if kind.__module__ == errors.__name__
        for one in real(kind, depth + 1)
    )
    return [(depth, root.__name__), *below]


def test_the_drawing_is_the_tree() -> None:
    """Complete, and in the same order."""
    assert drawn() == real(PhasedError)


def test_messages_that_are_made_here_begin_with_what_cannot_be_done() -> None:
    """The rest is made where it is raised."""
    made = [
        errors.InvalidFile("f.yaml", ["x"]), errors.CycleFound(["a", "b", "a"]),
        errors.UnknownReference("a", near=["b"]), errors.UnknownReference("a", near=[], known=["b"]),
        errors.IllegalTransition("running", "StepDue"), errors.StaleVersion("x", 1, 2),
        errors.StateDirectoryHeld("/x", 7), errors.StateDirectoryHeld("/x", None),
    ]  # fmt: skip
    assert all(str(error).startswith("cannot ") for error in made)
