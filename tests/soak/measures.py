"""What a process holds, sampled over time, and whether it grew. Knows /proc and numbers alone."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_PAGE = os.sysconf("SC_PAGE_SIZE")
NOISE = 4 << 20
"""Bytes of memory that an allocator's mood may cost."""
_SHARE = 0.05
_FEW = 4
"""Descriptors and threads that may be there by chance: a connection that is being served, a worker."""
RUN_REMEMBERED = 1024
"""Bytes that a supervisor may keep of each run it had: it remembers all (rule 3), until it is replaced."""
_FEWEST_SAMPLES = 4


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    pid: int
    at: float
    """Seconds since the beginning."""
    memory: int
    """Resident bytes."""
    descriptors: int
    threads: int
    runs: int
    """Steps that were started until then."""


def look_at(pid: int, at: float, runs: int) -> Sample | None:
    """What a process holds now; None where it is gone."""
    with suppress(OSError, ValueError, IndexError):
        folder = Path(f"/proc/{pid}")
        resident = int((folder / "statm").read_text().split()[1]) * _PAGE
        return Sample(
            pid, at, resident, len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")), runs
        )
    return None


def growth(name: str, samples: list[Sample], remembered: int = 0) -> list[str]:
    """What of a process grew beyond noise from the second quarter of this time to the last; for people.

    `remembered`: bytes of memory that each run in between may have added.
    """
    if len(samples) < _FEWEST_SAMPLES:
        return [f"{name}: only {len(samples)} samples; give it more minutes"]
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    runs = late[-1].runs - early[0].runs
    was = median(one.memory for one in early)
    grown = median(one.memory for one in late) - was
    found = []
    if grown > max(NOISE, was * _SHARE) + remembered * runs:
        found.append(
            f"{name}: memory grew by {grown / 1e6:.1f} MB, from {was / 1e6:.1f} MB, over {runs} runs"
        )
    for what in ("descriptors", "threads"):
        before, after = (median(getattr(one, what) for one in some) for some in (early, late))
        if after > before + _FEW:
            found.append(f"{name}: {what} grew from {before:.0f} to {after:.0f} over {runs} runs")
    return found
