"""A signal reaches the process that was seen, or nobody."""

from __future__ import annotations

import subprocess
from signal import SIGKILL

from phased.supervisor.census import look, send_signal


def test_a_process_that_took_the_place_of_the_one_seen_is_not_signalled() -> None:
    """Same pid, another start time: it is a stranger (rule 18)."""
    with subprocess.Popen(["sleep", "300"]) as process:
        try:
            seen = look(process.pid)
            assert seen is not None
            seen.start -= 1
            assert not send_signal(seen, SIGKILL)
            seen.start += 1
            assert send_signal(seen, SIGKILL)
            assert process.wait() == -SIGKILL
        finally:
            process.kill()
