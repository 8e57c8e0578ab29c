"""A program for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.program import Program, program


@pytest.fixture
def phased() -> Iterator[Program]:
    """phased, in a workspace and a state directory of its own."""
    with program() as made:
        yield made
