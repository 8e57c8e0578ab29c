"""Compares the daemon's account with what the commands themselves have written.

No step lost, none run twice, nothing before what it depends on, exit codes equal, logs equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.graphs import Graph

_EXCUSES = {
    "lost": (
        "exit status unknown",
        "ended while the daemon was away",
        "may have run",
        "exit code",
        "killed by",
        "signal",
    ),
    "reboot": ("the machine rebooted", "the engine was lost", "before it was ready"),
    "full": ("cannot be written", "no room", "No space", "could not start"),
    "stop": ("was killed", "killed by", "signal", "before it was ready"),
}
"""What may be the cause of a failure, by what was done to the daemon."""


@dataclass
class Account:
    """What happened, as far as the trial knows."""

    graph: Graph
    records: Path
    harm: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    """Executions that were asked to stop."""


@dataclass(frozen=True)
class _Step:
    label: str
    phase: str
    message: str
    log: bytes


def differences(account: Account, executions: dict[str, dict[str, Any]], logs: dict[str, Path]) -> list[str]:
    """What does not fit, for people; `logs` by execution and label, separated by a dot."""
    found = []
    for execution_id, execution in executions.items():
        steps = _steps(execution_id, execution, logs)
        found += [
            f"{execution_id}: {text}" for text in _of_execution(account, execution_id, execution, steps)
        ]
    for path in account.records.glob("*.started"):
        if path.read_text().count("started") != 1:
            found.append(f"{path.name}: ran {path.read_text().count('started')} times")
    return found


def _steps(execution_id: str, execution: dict[str, Any], logs: dict[str, Path]) -> dict[str, _Step]:
    labels = {
        step["id"]: step.get("label", "")
        for group in execution["spec"].get("plan", [])
        for step in group.get("steps", [])
    }
    found = {}
    for step in execution["status"].get("steps", []):
        label = labels[step["id"]]
        path = logs.get(f"{execution_id}.{label}")
        log = path.read_bytes() if path is not None and path.exists() else b""
        phase = step["phase"].removeprefix("TASK_EXECUTION_PHASE_")
        found[label] = _Step(label, phase, step.get("failureMessage", ""), log)
    return found


def _of_execution(
    account: Account, execution_id: str, execution: dict[str, Any], steps: dict[str, _Step]
) -> Iterator[str]:
    phase = execution["status"]["phase"].removeprefix("TASK_EXECUTION_PHASE_")
    planned = sum(len(group.get("steps", [])) for group in execution["spec"].get("plan", []))
    if phase == "SUCCEEDED" and [one.phase for one in steps.values()].count("SUCCEEDED") != planned:
        yield "succeeded without all of its steps"
    if phase == "STOPPED" and execution_id not in account.stopped:
        yield "stopped, and nobody asked for that"
    for step in steps.values():
        if step.label in account.graph.tasks:
            yield from (f"{step.label}: {text}" for text in _of_step(account, execution_id, step))
    for name in account.graph.tasks:
        if (account.records / f"{execution_id}.{name}.started").exists() and name not in steps:
            yield f"{name}: ran, and the daemon does not know"


def _of_step(account: Account, execution_id: str, step: _Step) -> Iterator[str]:
    base = account.records / f"{execution_id}.{step.label}"
    started, code = base.with_name(f"{base.name}.started"), base.with_name(f"{base.name}.code")
    done = int(code.read_text()) if code.exists() else None
    if step.phase == "SUCCEEDED" and done != 0:
        yield f"said to have succeeded, wrote {done}"
    if step.phase == "FAILED":
        told = step.message.removeprefix("exit code ")
        if step.message.startswith("exit code ") and done is not None and told != str(done):
            yield f"said {step.message}, wrote {done}"
        elif step.message != f"exit code {done}" and not _is_excused(account, step.message):
            yield f"failed without a reason: {step.message!r}, wrote {done}"
    if step.phase not in {"SUCCEEDED", "FAILED", "STOPPED"}:
        yield f"never ended: {step.phase}"
    for need in account.graph.tasks[step.label]:
        before = account.records / f"{execution_id}.{need}.code"
        if need in account.graph.tasks and started.exists():
            if not before.exists():
                yield f"ran before {need} had ended"
            elif before.stat().st_mtime_ns > started.stat().st_mtime_ns:
                yield f"began before {need} ended"
    if not account.harm & {"full", "both", "reboot"}:
        out = base.with_name(f"{base.name}.out")
        wrote = out.read_bytes() if out.exists() else b""
        if step.log != wrote and not (done is None and step.log.startswith(wrote)):
            yield f"its log differs: {step.log!r}, it wrote {wrote!r}"


def _is_excused(account: Account, message: str) -> bool:
    kinds = {"both": "lost", "supervisor": "lost", "daemon": "lost"}
    excuses = {kinds.get(harm, harm) for harm in account.harm} | ({"stop"} if account.stopped else set())
    return any(word in message for excuse in excuses for word in _EXCUSES[excuse])
