"""A bounded number of trials; `make test-chaos` runs many. A seed that fails here fails there again."""

from __future__ import annotations

import pytest

from tests.chaos.trial import attempt


@pytest.mark.parametrize("seed", [8, 11])
def test_what_is_told_is_what_happened(seed: int) -> None:
    """Whatever was killed meanwhile."""
    assert attempt(seed) == []
