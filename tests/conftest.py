"""Fixtures for every suite: asyncio is the backend that must work."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

# What it remembers of failures stays between runs, and outside a checkout that may be read-only.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / f"phased-hypothesis-{os.getuid()}")

# Whoever runs this in the background, or by nohup, lets it ignore these. What it starts shall heed them, as a
# user's would: what is handled here is back to its default after execve(2), and what is ignored is not.
for _number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.fixture
def anyio_backend() -> str:
    """The one backend of the engine."""
    return "asyncio"
