"""The command line: one verb a file, and how answers are shown.

Knows what is typed and what is printed. Must not know how anything is done. This file imports nothing, so
that `phased --version` costs no more than Python's own start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line (without the program's name); its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments in (["--version"], ["-V"]):
        from phased import __version__  # noqa: PLC0415 - see the module's opening

        print(f"phased {__version__}")
        return 0
    try:
        from phased.cli.application import invoke  # noqa: PLC0415 - see the module's opening

        return invoke(arguments)
    except KeyboardInterrupt:
        return 130
