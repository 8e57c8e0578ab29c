"""Runs tests that failed once more, each alone in a process of its own, and says which of them were flaky.

Takes the path of pytest's `lastfailed` file. Exits with 0 where all passed this time, else with 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 20
"""With more failures than this, chance is no explanation."""

LIMIT = 600
"""Seconds for one test."""


def main(lastfailed: str) -> int:
    """Run them again and print both outcomes of each."""
    tests = sorted(json.loads(Path(lastfailed).read_text(encoding="utf-8")))
    print(f"\n--- {len(tests)} failed; once more, each alone", flush=True)
    if not 0 < len(tests) <= MOST:
        print(f"cannot try again: not between 1 and {MOST} tests")
        return 1
    outcomes = {test: _passes(test) for test in tests}
    print("\n--- both outcomes")
    for test, passed in outcomes.items():
        print(f"FLAKY failed, then passed: {test}" if passed else f"FAILED twice: {test}")
    return 0 if all(outcomes.values()) else 1


def _passes(test: str) -> bool:
    options = ["-q", "-p", "no:cacheprovider", f"--timeout={LIMIT - 20}"]
    command = [sys.executable, "-m", "pytest", *options, test]
    try:
        return subprocess.run(command, check=False, timeout=LIMIT, stdin=subprocess.DEVNULL).returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
