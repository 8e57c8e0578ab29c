"""What processes use: time on the processor, memory, age; and what they were started with says of them.

Knows psutil and /proc. Must not know runs or executions. A pid alone means nothing: its start must match.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from phased.supervisor.census import look

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SHOWN: Final = frozenset(
    {"PHASED_ENVIRONMENT_ID", "PHASED_EXECUTION_ID", "PHASED_STEP_ID", "PHASED_TASK", "PHASED_SERVICE",
     "PHASED_SERVICE_ID"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one process."""

    cpu_time: float
    """Seconds, its own and the kernel's for it."""
    memory: int
    """Bytes that are in memory."""
    age: float
    """Seconds."""
    shown: Mapping[str, str]
    """The variables that say whose it is, where it has them and may be looked at."""


def measure(pid: int, start_time: int, boot: float) -> Measure | None:
    """A process by its pid and start (clock ticks since boot), at a time of the boot clock; None if gone."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info().rss
    except psutil.Error:
        return None
    now = look(pid)
    if now is None or now.start != start_time:
        return None
    age = max(0.0, boot - start_time / _TICKS)
    return Measure(times.user + times.system, memory, age, _shown(pid))


def _shown(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            entries = file.read(1 << 22).split(b"\0")
    except OSError:
        return {}
    pairs = (
        entry.decode("utf-8", "replace").partition("=") for entry in entries if entry.startswith(b"PHASED_")
    )
    return {name: value for name, _, value in pairs if name in _SHOWN}
