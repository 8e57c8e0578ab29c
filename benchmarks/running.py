"""Runs one program to its end, and says what that cost: seconds, processor time, memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Failed(Exception):
    """A program that was to be measured did not succeed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a program took."""

    seconds: float
    """From its start to its end."""
    processor: float
    """Seconds of processor time, user and system, of it and every process that it waited for."""
    peak: int = 0
    """Most memory (resident, KiB) of the largest of its processes; 0 where it was less than ours, since a
    child's peak begins as its parent's."""


def run(
    argv: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> Cost:
    """Run a program in a folder, its output into a file. Raises Failed where it did not exit with 0."""
    target = output or folder.with_name(f"{folder.name}.out")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(target), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    variables = {**os.environ, **(environment or {})}
    here = Path.cwd()
    os.chdir(folder)  # posix_spawn cannot
    try:
        started = time.perf_counter()
        pid = os.posix_spawn(argv[0], list(argv), variables, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - started
    finally:
        os.chdir(here)
    if status != 0:
        said = target.read_bytes()[-2000:].decode(errors="replace")
        raise Failed(f"{' '.join(argv)[:200]} ended with wait status {status}:\n{said}")
    peak = usage.ru_maxrss if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)
