"""A clock that moves when it is told to. Implements `ports.Clock`."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """Both clocks stand still until `advance`; whoever watches is told of each move."""

    def __init__(
        self, wall: int = 1_700_000_000_000_000, boot: float = 1000.0, boot_id: str = "boot-1"
    ) -> None:
        """`wall` in microseconds since the epoch, `boot` in seconds."""
        self._wall = wall
        self._boot = boot
        self._boot_id = boot_id
        self._watchers: list[Callable[[], None]] = []

    def wall(self) -> int:
        """Microseconds since the epoch."""
        return self._wall

    def boot(self) -> float:
        """Seconds of the boot clock."""
        return self._boot

    def boot_id(self) -> str:
        """Which boot this is."""
        return self._boot_id

    def watch(self, moved: Callable[[], None]) -> None:
        """Call this after each move, for example an engine's `wake`."""
        self._watchers.append(moved)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._wall += round(seconds * 1_000_000)
        self._boot += seconds
        self._tell()

    def set_wall(self, wall: int) -> None:
        """Somebody sets the wall clock (microseconds since the epoch); the boot clock does not care."""
        self._wall = wall
        self._tell()

    def reboot(self, boot_id: str) -> None:
        """Another boot: its clock begins anew."""
        self._boot, self._boot_id = 10.0, boot_id
        self._tell()

    def _tell(self) -> None:
        for moved in self._watchers:
            moved()
