"""A bounded number of trials, and that their judge cannot be lied to; `make test-chaos` runs many."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.accounts import RULES, differences
from tests.chaos.evidence import Evidence
from tests.chaos.trial import attempt, witness

_CALM = 44
"""A seed whose graph has services and tasks that depend on others; nothing is done to that daemon."""


@pytest.mark.parametrize("seed", [54, 129])
def test_what_is_told_is_what_happened(seed: int) -> None:
    """Whatever was killed meanwhile. A seed that fails here fails there again."""
    assert attempt(seed) == []


@pytest.fixture(scope="module")
def truth() -> Evidence:
    """What a calm trial has seen."""
    return witness(_CALM, ["start_task"] * 8)


def a_start_is_forgotten(truth: Evidence) -> Evidence:
    """An execution is missing in the daemon's account."""
    executions = dict(truth.executions)
    executions.popitem()
    return replace(truth, executions=executions)


def a_step_is_forgotten(truth: Evidence) -> Evidence:
    """It ran, and its execution does not show it."""
    executions = copy.deepcopy(dict(truth.executions))
    next(iter(executions.values()))["status"]["steps"].pop()
    return replace(truth, executions=executions)


def a_start_was_refused(truth: Evidence) -> Evidence:
    """For no good reason."""
    return replace(truth, refused=("too busy",))


def one_ran_twice(truth: Evidence) -> Evidence:
    """A command recorded two beginnings."""
    name = _name_of_a_success(truth)
    return _with_record(truth, name, times=2)


def one_began_too_early(truth: Evidence) -> Evidence:
    """What it needs ended later."""
    name, need = _name_of_a_dependent(truth)
    return _with_record(truth, need, ended=truth.records[name].began + 1)


def one_began_before_a_service(truth: Evidence) -> Evidence:
    """The service that it needs was never ready."""
    records = {name: replace(record, ready=0) for name, record in truth.records.items()}
    return replace(truth, records=records)


def a_phase_is_wrong(truth: Evidence) -> Evidence:
    """An execution is said to have been stopped."""
    executions = copy.deepcopy(dict(truth.executions))
    next(iter(executions.values()))["status"]["phase"] = "TASK_EXECUTION_PHASE_STOPPED"
    return replace(truth, executions=executions)


def an_exit_code_is_wrong(truth: Evidence) -> Evidence:
    """A command wrote another one than it is said to have ended with."""
    return _with_record(truth, _name_of_a_success(truth), code=3)


def a_failure_is_invented(truth: Evidence) -> Evidence:
    """With a cause that only harm excuses."""
    executions = copy.deepcopy(dict(truth.executions))
    step = next(iter(executions.values()))["status"]["steps"][0]
    step |= {"phase": "TASK_EXECUTION_PHASE_FAILED", "failureMessage": "exit status unknown"}
    return replace(truth, executions=executions)


def a_line_is_missing(truth: Evidence) -> Evidence:
    """In the middle of a log."""
    return _with_log(truth, lambda lines: [*lines[:1], *lines[2:]])


def a_line_is_there_twice(truth: Evidence) -> Evidence:
    """At the end of a log."""
    return _with_log(truth, lambda lines: [*lines, lines[-1]])


def a_service_is_gone(truth: Evidence) -> Evidence:
    """It is said to run."""
    services = {
        name: replace(one, phase="RUNNING", alive=frozenset()) for name, one in truth.services.items()
    }
    return replace(truth, services=services)


def a_process_is_left(truth: Evidence) -> Evidence:
    """After the end of all."""
    return replace(truth, left=("sleep 1000 is left at the end",))


LIES: dict[Callable[[Evidence], Evidence], str] = {
    a_start_is_forgotten: "nothing_is_lost",
    a_step_is_forgotten: "nothing_is_lost",
    a_start_was_refused: "nothing_is_lost",
    one_ran_twice: "nothing_ran_twice",
    one_began_too_early: "order_was_kept",
    one_began_before_a_service: "order_was_kept",
    a_phase_is_wrong: "phases_fit",
    an_exit_code_is_wrong: "ends_are_true",
    a_failure_is_invented: "ends_are_true",
    a_line_is_missing: "logs_are_whole",
    a_line_is_there_twice: "logs_are_whole",
    a_service_is_gone: "services_are_as_told",
    a_process_is_left: "nothing_is_left",
}
"""Each with the rule that has to notice it."""


def test_a_calm_trial_is_as_told(truth: Evidence) -> None:
    """It has all that the lies are about."""
    assert differences(truth) == []
    assert truth.services


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_noticed(truth: Evidence, lie: Callable[[Evidence], Evidence]) -> None:
    """So an empty answer means something."""
    assert LIES[lie] in {text.partition(":")[0] for text in differences(lie(truth))}


def test_there_is_a_lie_for_every_rule() -> None:
    """A rule that never complains would not be missed."""
    assert {rule.__name__ for rule in RULES} == set(LIES.values())


# ---- what lies are made of --------------------------------------------------------------------------


def _name_of_a_success(truth: Evidence) -> str:
    """Of a step that wrote its exit code 0 and at least three lines."""
    return next(name for name, one in truth.records.items() if one.code == 0 and one.out.count(b"\n") > 2)


def _name_of_a_dependent(truth: Evidence) -> tuple[str, str]:
    """Of a step that ran after another task, and of that."""
    for name in truth.records:
        execution_id, _, label = name.rpartition(".")
        for need in truth.graph.tasks.get(label, []):
            if need in truth.graph.tasks:
                return name, f"{execution_id}.{need}"
    raise LookupError("no task of this graph depends on another one")


def _with_record(truth: Evidence, name: str, **changes: Any) -> Evidence:
    return replace(truth, records={**truth.records, name: replace(truth.records[name], **changes)})


def _with_log(truth: Evidence, change: Callable[[list[bytes]], list[bytes]]) -> Evidence:
    name = _name_of_a_success(truth)
    lines = truth.logs[name].splitlines(keepends=True)
    return replace(truth, logs={**truth.logs, name: b"".join(change(lines))})
