"""The version of a status: what orders two copies of it.

The rule (`semantics: Tasks and executions`): microseconds since the epoch, or the previous version plus
one where that is not larger; written as 16 decimal digits. So it grows across restarts and when the
wall clock is set back, and comparing as text and as number agree.
"""

from __future__ import annotations


def next_version(previous: int, wall: int) -> int:
    """The version after `previous` (0: there is none) at `wall` microseconds since the epoch."""
    return max(previous + 1, wall)


def spell(version: int) -> str:
    """A version as the API spells it."""
    return f"{version:016d}"
