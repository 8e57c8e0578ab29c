"""Going on with a container's log: what is there already is not written again, and nothing is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phased.runners.docker import following

LINES = b"".join(b"line %d\n" % (number % 7) for number in range(5000))
"""So much alike that only its length says where it broke off."""


def follow(log: Path, recorded: bytes, *, before: bytes = b"") -> bytes:
    """What is written of `recorded` where the log, after `before`, has a part of it."""
    source = log.with_suffix(".recorded")
    source.write_bytes(recorded)
    words = [sys.executable, "-I", "-S", following.__file__, str(log), str(len(before)), "cat", str(source)]
    return subprocess.run(words, capture_output=True, check=True, timeout=60).stdout


CHATTER = b"Unable to find image locally\nPulling\n"
COMPLAINT = b'time="x" msg="error"\n\nRun help\n'
CASES = {
    "nothing": (b"", 0, b""),
    "nothing, after a pull": (CHATTER, 0, COMPLAINT),
    "a byte": (b"", 1, b""),
    "a byte, after a pull": (CHATTER, 1, b""),
    "a line": (CHATTER, 7, COMPLAINT),
    "in the midst of a line": (b"", 100, b""),
    "much": (CHATTER, 30_000 - 30_000 % 7, b""),
    "much, and a complaint": (b"", 28_000, COMPLAINT),
    "all": (CHATTER, len(LINES), COMPLAINT),
}
"""What a client said itself, how many bytes of the output came after it, and its last words."""


@pytest.mark.parametrize(("chatter", "carried", "complaint"), CASES.values(), ids=CASES)
def test_the_rest_and_nothing_twice(tmp_path: Path, chatter: bytes, carried: int, complaint: bytes) -> None:
    """Whatever earlier clients said before and after the container's own output."""
    log, before = tmp_path / "log", b"of an earlier attempt\n"
    log.write_bytes(before + chatter + LINES[:carried] + complaint)
    assert LINES[:carried] + follow(log, LINES, before=before) == LINES


def test_what_was_not_recorded_is_not_waited_for(tmp_path: Path) -> None:
    """An engine that keeps no logs has nothing to go on with."""
    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    assert follow(log, b"") == b""
