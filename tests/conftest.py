"""Fixtures for every suite: asyncio is the backend that must work."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The one backend of the engine."""
    return "asyncio"
