"""`python -m phased`: the same as `phased`."""

from __future__ import annotations

import sys

from phased.cli import main

if __name__ == "__main__":
    sys.exit(main())
