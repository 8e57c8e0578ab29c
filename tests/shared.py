"""Where the reference material and the corpus of real files are, if they are here at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("PHASED_SHARED") or Path(__file__).parents[1] / ".." / "shared").resolve()

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the shared reference folder is not at {SHARED} (set PHASED_SHARED)"
)
