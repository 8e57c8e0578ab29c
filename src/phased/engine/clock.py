"""The real clock: the one place that reads the machine's time."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `ports.Clock` by the kernel's clocks."""

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    def boot(self) -> float:
        """Seconds since boot, suspend included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
