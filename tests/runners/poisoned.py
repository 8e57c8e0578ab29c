"""A supervisor that one run is too much for: `poisoned.py HOW SOURCE DIRECTORY`. Run as a plain file.

HOW is `dies`: when it is to open a log that is named poison; `lies`: it tells statuses that are none.
"""

from __future__ import annotations

import os
import signal
import sys

sys.path.insert(0, sys.argv[2])

from phased.supervisor.actions import Actions
from phased.supervisor.loop import main


class PoisonedActions(Actions):
    """All but one thing is done as it should be."""

    def open_log(self, path: str) -> tuple[int, int]:
        """Open it, or die."""
        if sys.argv[1] == "dies" and path.endswith("poison.log"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open_log(path)

    def reap(self) -> tuple[int, int]:
        """What ended, and how; or a word."""
        pid, status = super().reap()
        return (pid, "well") if pid and sys.argv[1] == "lies" else (pid, status)  # type: ignore[return-value]


if __name__ == "__main__":
    main(sys.argv[3], PoisonedActions())
