"""Fixtures for every suite: asyncio is the backend that must work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

# What it remembers of failures stays between runs, and outside a checkout that may be read-only.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"phased-hypothesis-{os.getuid()}")


@pytest.fixture
def anyio_backend() -> str:
    """The one backend of the engine."""
    return "asyncio"
