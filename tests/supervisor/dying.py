"""A supervisor that kills itself before its Nth action: `dying.py SOURCE N DIRECTORY`. Run as a plain file.

Only the first generation dies: its successors have the same command and must live.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

sys.path.insert(0, sys.argv[1])

from phased.supervisor.actions import Actions  # noqa: E402 - its place is known only now
from phased.supervisor.loop import main  # noqa: E402 - the same


class DyingActions(Actions):
    """Counts what is done to the outside."""

    left = int(sys.argv[2])

    def count(self) -> None:
        """One more; the last is not done any more."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _counted(name: str) -> Callable[..., Any]:
    method = getattr(Actions, name)

    def act(self: DyingActions, *arguments: Any) -> Any:
        self.count()
        return method(self, *arguments)

    return act


for _name in ("open_log", "append", "spawn", "reap", "splice", "send"):
    setattr(DyingActions, _name, _counted(_name))

if __name__ == "__main__":
    directory = sys.argv[3]
    main(directory, DyingActions() if directory.endswith("/1") else Actions())
