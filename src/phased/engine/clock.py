"""The real clock: the one place that reads the machine's time."""

from __future__ import annotations

import time
from functools import cache

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class SystemClock:
    """Implements `ports.Clock` by the kernel's clocks."""

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    def boot(self) -> float:
        """Seconds since boot, suspend included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """The kernel's random id of this boot (random(4)); empty where there is no /proc."""
        return _boot_id()


@cache
def _boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
