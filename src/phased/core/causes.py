"""How things ended, as the phrases that people read (`semantics: End states carry their cause`).

Knows numbers and names. Must not know steps, services or states. Durations are seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from signal import Signals


def exit_cause(code: int | None, signal: int | None) -> str:
    """How a process ended: `exit code 3`, `signal SIGKILL`, `exit status unknown`."""
    if signal is not None:
        try:
            return f"signal {Signals(signal).name}"
        except ValueError:
            return f"signal {signal}"
    return "exit status unknown" if code is None else f"exit code {code}"


def timed_out(timeout: float) -> str:
    """An attempt ran as long as it may."""
    return f"timed out after {seconds(timeout)}"


def was_killed(stop_timeout: float, *, impatient: bool) -> str:
    """A leader did not end when it was asked to; `impatient`: nobody waited for the limit."""
    if impatient:
        return "did not stop at once when that was asked for, and was killed"
    return f"did not stop within {seconds(stop_timeout)} and was killed"


def seconds(value: float) -> str:
    """`10 s`, `0.25 s`."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + " s"


def stamp(wall: int) -> str:
    """A moment, given in microseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(wall // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
