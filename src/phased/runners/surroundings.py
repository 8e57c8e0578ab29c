"""What this process hands on to steps, and what it keeps to itself (rule 16). Knows Linux, no settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_FROM_SYSTEMD = {
    "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID",
    "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID",
}  # fmt: skip
"""Said by systemd to the process that it started, systemd.exec(5): untrue for any other."""
_PREFIXES = ("LISTEN_", "PHASED_", "WATCHDOG_")


def steps_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment, less what was meant for this process alone, and its own variables."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _FROM_SYSTEMD and not name.startswith(_PREFIXES)
    }


def exchangeable(environment: Mapping[str, str]) -> dict[str, str]:
    """The same bytes, as a process that speaks UTF-8 decodes them, whatever this one's locale says."""
    return {
        os.fsencode(name).decode("utf-8", "surrogateescape"): os.fsencode(value).decode(
            "utf-8", "surrogateescape"
        )
        for name, value in environment.items()
    }


def default_shell(environment: Mapping[str, str]) -> str:
    """Bash if present, else sh (`semantics: Tasks and executions`)."""
    for folder in ["/bin", "/usr/bin", *environment.get("PATH", "").split(":")]:
        if folder.startswith("/") and os.access(f"{folder}/bash", os.X_OK):
            return f"{folder}/bash"
    return "/bin/sh"


def own_umask() -> int:
    """This process's umask, without changing it: other threads may create files."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
