"""What a trial has seen, as plain values: what was done, what the daemon tells, what the commands wrote.

Knows the files that the commands of `graphs` write. Must not know daemons, or judge anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.graphs import Graph


@dataclass(frozen=True)
class Harm:
    """Something was done; between these moments, seconds since the epoch."""

    kind: str
    began: float
    ended: float


@dataclass(frozen=True)
class Record:
    """What one command wrote; moments in nanoseconds since the epoch, 0 where there is none."""

    times: int
    """How often it began."""
    out: bytes
    code: int | None
    began: int
    ended: int
    ready: int


@dataclass(frozen=True)
class Standing:
    """A service at the end, and for which sessions it has living processes."""

    phase: str
    message: str
    session: str
    alive: frozenset[str]


@dataclass(frozen=True)
class Evidence:
    """Everything that is compared."""

    graph: Graph
    harms: tuple[Harm, ...] = ()
    acknowledged: frozenset[str] = frozenset()
    """Executions whose start was answered."""
    stopped: frozenset[str] = frozenset()
    """Executions whose stop was asked for, and perhaps not answered."""
    refused: tuple[str, ...] = ()
    """Answers by which something was refused for no good reason."""
    executions: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """The daemon's account, by id."""
    records: Mapping[str, Record] = field(default_factory=dict)
    """By `EXECUTION.TASK` and `SESSION.SERVICE`."""
    logs: Mapping[str, bytes] = field(default_factory=dict)
    """By the same names; what has no log is missing."""
    services: Mapping[str, Standing] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    """Processes and containers that should be gone."""


def read_records(folder: Path) -> dict[str, Record]:
    """All that commands wrote there."""
    return {path.stem: _read_record(path) for path in folder.glob("*.started")}


def _read_record(started: Path) -> Record:
    out, code, ready = (started.with_suffix(suffix) for suffix in (".out", ".code", ".ready"))
    return Record(
        started.read_text().count("started"),
        out.read_bytes() if out.exists() else b"",
        int(code.read_text()) if code.exists() else None,
        started.stat().st_mtime_ns,
        code.stat().st_mtime_ns if code.exists() else 0,
        ready.stat().st_mtime_ns if ready.exists() else 0,
    )


def read_logs(
    runs: Path, executions: Mapping[str, dict[str, Any]], services: Mapping[str, str]
) -> dict[str, bytes]:
    """The daemon's logs; `services`: reference by id. A log that is not there is missing in the answer."""
    paths = {
        f"{execution_id}.{label}": runs / execution_id / f"{step_id}.log"
        for execution_id, execution in executions.items()
        for step_id, label in labels(execution).items()
    }
    for service_id, reference in services.items():
        paths |= {f"{path.stem}.{reference}": path for path in (runs / service_id).glob("*.log")}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def labels(execution: Mapping[str, Any]) -> dict[str, str]:
    """Of every step of a plan, by id."""
    return {
        step["id"]: step.get("label", "")
        for group in execution["spec"].get("plan", [])
        for step in group.get("steps", [])
    }
