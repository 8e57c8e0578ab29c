"""The example on the page about the client runs as it is."""

from __future__ import annotations

import subprocess
import sys

from tests.api.daemon import PATIENCE, Daemon
from tests.docs.pages import DOCS, blocks


def test_the_example_runs(served: Daemon) -> None:
    """Each line of it does what the page says."""
    page = (DOCS / "how-to" / "python-client.md").read_text(encoding="utf-8")
    example = next(block.text for block in blocks(page) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", example],
        env=served.environment({"PHASED_SOCKET": str(served.socket)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "TASK_EXECUTION_PHASE_SUCCEEDED" in lines
    assert "hello" in lines
    assert lines[-1].startswith("not_found cannot find")
