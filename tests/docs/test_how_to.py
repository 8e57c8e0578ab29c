"""Pages of docs/how-to whose commands need nothing but a workspace are done as they are written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import DOCS, blocks

FILE = """\
tasks:
  build: {command: echo built, triggeredBy: [prebuild, postEnvironmentStart], prebuildRequiresSuccess: true}
  test: {command: echo tested, dependsOn: [build]}
  last: {command: echo last, triggeredBy: [beforeSnapshot]}
"""


def test_the_page_on_continuous_integration() -> None:
    """Every block, in a job's fresh workspace."""
    place = Path(tempfile.mkdtemp(prefix="phased-", dir="/tmp"))
    try:
        program = place / "phased"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m phased "$@"\n')
        program.chmod(0o755)
        (place / "w" / ".ona").mkdir(parents=True)
        (place / "w" / ".ona" / "automations.yaml").write_text(FILE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PHASED_", "XDG_"))}
        environment = {**kept, "PATH": f"{place}:{kept.get('PATH', os.defpath)}", "HOME": str(place / "h")}
        found = [
            one for one in blocks((DOCS / "how-to" / "continuous-integration.md").read_text()) if one.language
        ]
        assert len(found) >= 5
        for block in found:
            done = subprocess.run(
                ["sh", "-ec", block.text], cwd=place / "w", env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False, timeout=240,
            )  # fmt: skip
            assert done.returncode == 0, (block.text, done.stdout, done.stderr)
        assert json.loads((place / "w" / "prebuild.json").read_text())
        kept_history = json.loads((place / "w" / "executions.json").read_text())["taskExecutions"]
        assert [one["status"]["phase"] for one in kept_history] == ["TASK_EXECUTION_PHASE_SUCCEEDED"]
    finally:
        shutil.rmtree(place, ignore_errors=True)
