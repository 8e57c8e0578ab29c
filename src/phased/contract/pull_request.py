"""Where a pull request stands. Nothing here produces one: it is shape alone."""

from __future__ import annotations

from phased.contract.base import Name


class State(Name):
    """The states of a pull request."""

    UNSPECIFIED = "STATE_UNSPECIFIED"
    OPEN = "STATE_OPEN"
    CLOSED = "STATE_CLOSED"
    MERGED = "STATE_MERGED"
