"""A supervisor of another version of the protocol: `older.py SOURCE DIRECTORY`. Run as a plain file.

It has never heard of what came later: of `base` it takes what every version had.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

sys.path.insert(0, sys.argv[1])

from phased.supervisor import channel  # noqa: E402 - its place is known only now

channel.PROTOCOL = 0

from phased.supervisor import loop  # noqa: E402 - after the version was set
from phased.supervisor.actions import Actions  # noqa: E402 - the same

_KNOWN = ("do", "environment", "shell", "umask")


class Older(loop.Supervisor):
    """One that drops what it does not know."""

    def _serve(self, channel: channel.Channel, message: dict[str, Any]) -> None:
        if message["do"] == "base":
            message = {key: value for key, value in message.items() if key in _KNOWN}
        super()._serve(channel, message)


loop.Supervisor = Older  # type: ignore[misc]

if __name__ == "__main__":
    loop.main(sys.argv[2], Actions())
