"""Compares the daemon's account with what the commands themselves have written, by rules that may complain.

No start lost, no step run twice, nothing before what it depends on, phases that fit together, exit codes
equal, logs equal byte for byte, services as told, no process left. Knows evidence alone, no daemon, no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.chaos.evidence import Evidence, Record, labels
from tests.chaos.graphs import STOP_TIMEOUT

_MAY_HAVE_RUN = r".*it may have run"
_UNKNOWN = rf"{_MAY_HAVE_RUN}|exit status unknown|ended while the daemon was away and left no exit code"
_REBOOTED = r"the machine rebooted.*"
_UNREADY = r"service s\d (stopped|was deleted|failed) before it was ready.*|a dependency failed: .*"
_KILLED = rf"did not stop (within {STOP_TIMEOUT} s|at once when that was asked for,) and was killed"
_UNMADE = r"its client ended, and there is no container"
EXCUSES = {
    "daemon": "",
    "keep": "",
    "reload": "",
    "client": "",
    "forgotten": rf"(service s\d failed: )?{_UNMADE}",
    "supervisor": _MAY_HAVE_RUN,
    "both": rf"{_UNKNOWN}|{_UNMADE}",
    "reboot": f"{_UNKNOWN}|{_REBOOTED}|signal SIGKILL|exit code 137|could not start.*",
    "full": r".*(cannot be (written|followed)|[Nn]o space left|no room|could not start|gave no reason).*",
    "stop": f"{_KILLED}|{_UNREADY}",
    "service": _UNREADY,
}
"""Patterns of causes of a failure that no command made, by what was done while the execution was open."""
_CUT = frozenset({"both", "reboot", "full"})
"""What may cost output: nobody was left to read it, or there was nowhere to put it."""
_GAP = re.compile(rb"\n\[phased: (\d+) bytes of output are missing here; [^\n]*\]\n")


@dataclass(frozen=True)
class _Step:
    """One step of one execution, and what was done while that was open."""

    name: str
    label: str
    phase: str
    message: str
    record: Record | None
    harms: frozenset[str]
    asked: bool
    """Whether the execution was to stop."""


def differences(evidence: Evidence) -> list[str]:
    """What does not fit, for people; nothing if all is well."""
    return [f"{rule.__name__}: {text}" for rule in RULES for text in rule(evidence)]


# ---- rules ------------------------------------------------------------------------------------------


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """What was acknowledged is known, and whatever ran; what could be done was not refused."""
    yield from (f"refused: {answer}" for answer in evidence.refused)
    for execution_id in evidence.acknowledged - evidence.executions.keys():
        yield f"{execution_id} was acknowledged, and is forgotten"
    known = {f"{one}.{step.label}" for one in evidence.executions for step in _steps(evidence, one)}
    for name in evidence.records:
        if name.rpartition(".")[2] in evidence.graph.tasks and name not in known:
            yield f"{name} ran, and the daemon does not know"


def nothing_ran_twice(evidence: Evidence) -> Iterator[str]:
    """Neither a step nor a session of a service."""
    for name, record in evidence.records.items():
        if record.times != 1:
            yield f"{name} ran {record.times} times"


def order_was_kept(evidence: Evidence) -> Iterator[str]:
    """Nothing began before what it depends on had succeeded, or was ready."""
    for name, record in evidence.records.items():
        execution_id, _, label = name.rpartition(".")
        for need in evidence.graph.tasks.get(label, []):
            if need in evidence.graph.services:
                ready = [one.ready for key, one in evidence.records.items() if key.endswith(f".{need}")]
                if not any(0 < moment <= record.began for moment in ready):
                    yield f"{name} began before {need} was ready"
                continue
            before = evidence.records.get(f"{execution_id}.{need}")
            if before is None or before.code != 0:
                yield f"{name} ran, and {need} had not succeeded"
            elif before.ended > record.began:
                yield f"{name} began before {need} ended"


def phases_fit(evidence: Evidence) -> Iterator[str]:
    """Everything has ended, and the whole is what its parts are."""
    for execution_id, execution in evidence.executions.items():
        phase, steps = _phase(execution), list(_steps(evidence, execution_id))
        seen = {step.phase for step in steps}
        if not seen <= {"SUCCEEDED", "FAILED", "STOPPED"}:
            yield f"{execution_id}: steps have not ended: {sorted(seen)}"
        if phase == "SUCCEEDED" and (seen - {"SUCCEEDED"} or len(steps) != len(labels(execution))):
            yield f"{execution_id} succeeded without all of its steps"
        if "FAILED" in seen and phase != "FAILED":
            yield f"{execution_id} is {phase}, and a step of it failed"
        if (phase == "FAILED") != bool(execution["status"].get("failureMessage")):
            yield f"{execution_id} is {phase}, its message {execution['status'].get('failureMessage')!r}"
        if "STOPPED" in {phase, *seen} and not _was_asked(evidence, execution_id):
            yield f"{execution_id} stopped, and nobody asked for that"


def ends_are_true(evidence: Evidence) -> Iterator[str]:
    """Each step ended as its command says; where it does not say it, for a reason that was given."""
    for step in _all_steps(evidence):
        is_task, code = step.label in evidence.graph.tasks, step.record.code if step.record else None
        if step.phase == "SUCCEEDED" and is_task and code != 0:
            yield f"{step.name} is said to have succeeded, its command wrote {code}"
        if (step.phase == "FAILED") != bool(step.message):
            yield f"{step.name} is {step.phase}, its message {step.message!r}"
        told = re.fullmatch(r"exit code (\d+)", step.message)
        if told and code is not None:
            if int(told[1]) != code:
                yield f"{step.name} is said to have ended with {told[1]}, its command wrote {code}"
        elif step.phase == "FAILED" and not _is_excused(step):
            yield f"{step.name} failed without a reason: {step.message!r}, its command wrote {code}"


def logs_are_whole(evidence: Evidence) -> Iterator[str]:
    """Byte for byte; one that was cut may have a line more than its command came to note."""
    harms = {step.name: step.harms for step in _all_steps(evidence)}
    everything = _with_combined(frozenset(harm.kind for harm in evidence.harms))
    for name, record in evidence.records.items():
        wrong = _log_differs(evidence.logs.get(name), record, harms.get(name, everything))
        if wrong:
            yield f"{name}: {wrong}"


def services_are_as_told(evidence: Evidence) -> Iterator[str]:
    """One that is said to run has processes of that session and of no other, one that rests has none."""
    kinds = _with_combined(frozenset(harm.kind for harm in evidence.harms))
    for name, one in evidence.services.items():
        wanted = frozenset({one.session} if one.phase == "RUNNING" else ())
        if one.phase not in {"RUNNING", "STOPPED", "FAILED"}:
            yield f"{name} is {one.phase} for ever"
        if one.alive != wanted:
            yield f"{name} is {one.phase}, session {one.session!r}; its processes: {sorted(one.alive)}"
        unmade = "forgotten" in kinds and re.fullmatch(_UNMADE, one.message)
        if one.phase == "FAILED" and not unmade and not kinds & {"reboot", "full", "supervisor", "both"}:
            yield f"{name} failed without a reason: {one.message!r}"


def nothing_is_left(evidence: Evidence) -> Iterator[str]:
    """No process of a stopped execution, none of anything after the daemon's end."""
    yield from evidence.left


RULES: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    nothing_is_lost,
    nothing_ran_twice,
    order_was_kept,
    phases_fit,
    ends_are_true,
    logs_are_whole,
    services_are_as_told,
    nothing_is_left,
)


# ---- what they ask ----------------------------------------------------------------------------------


def _phase(one: Mapping[str, Any]) -> str:
    return str(one.get("phase") or one["status"]["phase"]).removeprefix("TASK_EXECUTION_PHASE_")


def _all_steps(evidence: Evidence) -> Iterator[_Step]:
    for execution_id in evidence.executions:
        yield from _steps(evidence, execution_id)


def _steps(evidence: Evidence, execution_id: str) -> Iterator[_Step]:
    """Those that have started."""
    execution = evidence.executions[execution_id]
    by_id, harms = labels(execution), _harms(evidence, execution)
    for step in execution["status"].get("steps", []):
        label = by_id[step["id"]]
        name = f"{execution_id}.{label}"
        yield _Step(
            name,
            label,
            _phase(step),
            step.get("failureMessage", ""),
            evidence.records.get(name),
            harms,
            execution_id in evidence.stopped,
        )


def _harms(evidence: Evidence, execution: Mapping[str, Any]) -> frozenset[str]:
    """What was done between its creation and its end.

    The daemon inherits the runs of a supervisor that died; when that ends too, nobody is left.
    """
    metadata = execution["metadata"]
    began, ended = _moment(metadata.get("createdAt")), _moment(metadata.get("completedAt"))
    open_ones = [
        harm for harm in evidence.harms if harm.began <= (ended or harm.began) and began <= harm.ended
    ]
    return _with_combined(frozenset(harm.kind for harm in open_ones))


def _with_combined(kinds: frozenset[str]) -> frozenset[str]:
    both = "supervisor" in kinds and kinds & {"daemon", "keep"}
    # Who knows of what a container was to be made, or how its client ended.
    forgotten = "client" in kinds and kinds & {"daemon", "keep", "reload", "supervisor"}
    return kinds | ({"both"} if both else set()) | ({"forgotten"} if forgotten else set())


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _was_asked(evidence: Evidence, execution_id: str) -> bool:
    return execution_id in evidence.stopped or "stop" in _harms(evidence, evidence.executions[execution_id])


def _is_excused(step: _Step) -> bool:
    patterns = [EXCUSES[kind] for kind in step.harms] + ([_KILLED] if step.asked else [])
    if step.asked and "full" in step.harms:
        patterns.append("signal SIGTERM")  # a stop that could not be saved was refused, and had begun
    cause = re.sub(r"^service s\d failed: ", "", step.message)
    return any(re.fullmatch(pattern, one) for pattern in patterns if pattern for one in (cause, step.message))


def _log_differs(log: bytes | None, record: Record, harms: frozenset[str]) -> str:
    wrote = record.out
    if log == wrote:
        return ""
    if log is None:
        return "" if not wrote and harms & _CUT else f"it has no log, and wrote {len(wrote)} bytes"
    wrong = _where_they_part(log, wrote)
    if "full" in harms:
        return "" if _fits_with_gaps(log, wrote) or harms & {"both", "reboot", "supervisor"} else wrong
    if harms & _CUT:
        return "" if wrote.startswith(log) or _is_a_line_longer(log, wrote) else wrong
    return "" if record.code is None and _is_a_line_longer(log, wrote) else wrong


def _where_they_part(log: bytes, wrote: bytes) -> str:
    shorter = min(len(log), len(wrote))
    at = next((n for n in range(shorter) if log[n] != wrote[n]), shorter)
    begin = max(at - 20, 0)
    return f"its log has from byte {begin} {log[begin : at + 60]!r}, it wrote {wrote[begin : at + 60]!r}"


def _is_a_line_longer(log: bytes, wrote: bytes) -> bool:
    return log.startswith(wrote) and log[len(wrote) :].count(b"\n") <= 1


def _fits_with_gaps(log: bytes, wrote: bytes) -> bool:
    """Where output is missing the log says how much: with that left out, both are equal."""
    pieces = _GAP.split(log)
    at = 0
    for text, missing in zip(pieces[::2], [*map(int, pieces[1::2]), 0], strict=True):
        if wrote[at : at + len(text)] != text and not _is_a_line_longer(text, wrote[at:]):
            return False
        at += len(text) + missing
    return True
