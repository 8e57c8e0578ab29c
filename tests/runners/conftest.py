"""A place for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runners.build import Place, new_place


@pytest.fixture
def place() -> Iterator[Place]:
    """A state directory, a workspace and a folder for logs; what a test leaves running is ended."""
    with new_place() as made:
        yield made
