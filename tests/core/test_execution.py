"""The execution machine: what it starts, how it ends, what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import events as e
from phased.core import instructions as i
from phased.core.causes import exit_cause, seconds
from phased.core.execution import ExecutionMachine
from phased.core.phases import PHASE_OF, TERMINAL, TRANSITIONS, State, next_state
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.core.versions import next_version, spell
from phased.errors import IllegalTransition
from tests.core.build import at, machine, spec


def started(instructions: list[i.Instruction]) -> list[str]:
    """The ids of the steps that these start."""
    return [one.step_id for one in instructions if isinstance(one, i.StartStep)]


def run_step(m: ExecutionMachine, step: str, outcome: e.StepEvent | None = None) -> list[i.Instruction]:
    """Start a step and end it; what follows."""
    m.handle(e.StepStarted(step), at(1))
    return m.handle(outcome or e.StepSucceeded(step), at(2))


def test_groups_are_barriers() -> None:
    """The second group starts when the last step of the first has ended."""
    m = machine("a b", "c")
    assert started(m.handle(e.ExecutionBegun(), at(0))) == ["a", "b"]
    assert started(run_step(m, "a")) == []
    assert started(run_step(m, "b")) == ["c"]
    assert run_step(m, "c") == [i.Finish()]
    assert m.phase is Phase.SUCCEEDED


def test_max_parallel_bounds_what_runs() -> None:
    """A place that becomes free is filled at once, in the plan's order."""
    m = machine("a b c", max_parallel=2)
    assert started(m.handle(e.ExecutionBegun(), at(0))) == ["a", "b"]
    assert started(run_step(m, "b")) == ["c"]


def test_a_step_without_a_command_succeeds_at_once() -> None:
    """It joins its dependencies."""
    m = machine("a", "all!")
    m.handle(e.ExecutionBegun(), at(0))
    assert run_step(m, "a") == [i.Finish()]
    assert m.steps["all"].state is State.SUCCEEDED


def test_an_empty_plan_succeeds() -> None:
    """There is nothing to wait for."""
    m = machine()
    assert m.handle(e.ExecutionBegun(), at(0)) == [i.Finish()]
    assert m.phase is Phase.SUCCEEDED


def test_siblings_of_a_failed_step_finish_and_later_groups_never_start() -> None:
    """The execution names the first that failed; the rest is told beside the status."""
    m = machine("a b", "c")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("b"), at(0))
    run_step(m, "a", e.StepFailed("a", code=3))
    change = m.change(at(2))
    assert (change.phase, change.failure_message) == (Phase.RUNNING, "step a failed: exit code 3")
    assert m.handle(e.StepSucceeded("b"), at(3)) == [i.Finish()]
    change = m.change(at(3))
    assert change.phase is Phase.FAILED
    assert m.steps["c"].state is State.WAITING
    assert change.why == "step a failed: exit code 3; never started: c"


def test_a_death_by_signal_is_named() -> None:
    """By the signal's name."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a", e.StepFailed("a", signal=9))
    assert m.steps["a"].cause == "signal SIGKILL"


def test_a_stop_ends_running_steps_and_starts_no_more() -> None:
    """SIGTERM, then empty: STOPPED."""
    m = machine("a", "b")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    asked = m.handle(e.StopRequested("somebody"), at(1))
    assert asked == [i.DetachStep("a"), i.AskToEnd("a"), i.RemindOfLimit("a", 1, at(11).boot)]
    assert m.handle(e.StepFailed("a", signal=15), at(2)) == [i.AwaitEmpty("a")]
    assert m.phase is Phase.RUNNING
    assert m.handle(e.StepEmptied("a"), at(3)) == [i.Finish()]
    change = m.change(at(3))
    assert (change.phase, change.failure_message) == (Phase.STOPPED, None)
    assert change.why == "stopped by somebody at 2023-11-14T22:13:21Z; never started: b"
    assert m.steps["a"].state is State.STOPPED
    assert m.steps["b"].state is State.WAITING


def test_a_leader_that_ignores_the_request_is_killed_and_failed() -> None:
    """And says so."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("somebody"), at(1))
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == [i.KillStep("a", 1, at(21).boot)]
    m.handle(e.StepFailed("a", signal=9), at(11))
    m.handle(e.StepEmptied("a"), at(12))
    assert m.phase is Phase.FAILED
    assert m.steps["a"].cause == "did not stop within 10 s and was killed"


def test_children_that_outlive_the_leader_are_killed_and_change_nothing() -> None:
    """The command itself ended in time."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("somebody"), at(1))
    m.handle(e.StepFailed("a", signal=15), at(2))
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == [i.KillStep("a", 1, at(21).boot)]
    m.handle(e.StepEmptied("a"), at(12))
    assert m.phase is Phase.STOPPED


def test_a_stop_while_a_step_is_being_started_asks_it_once_it_runs() -> None:
    """There was nobody to signal before."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    limit = i.RemindOfLimit("a", 1, at(11).boot)
    assert m.handle(e.StopRequested("somebody"), at(1)) == [i.DetachStep("a"), limit]
    assert m.handle(e.StepStarted("a"), at(1))[:2] == [i.DetachStep("a"), i.AskToEnd("a")]


def test_a_stop_before_the_first_step_is_stopped() -> None:
    """Nothing ran, nothing will."""
    m = machine("a")
    assert m.handle(e.StopRequested("somebody"), at(1)) == [i.Finish()]
    assert m.phase is Phase.STOPPED


def test_stopping_what_has_ended_ends_what_it_left_and_no_more() -> None:
    """It is no error. That it goes on belongs to the status, so that the next daemon goes on with it."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a")
    before = m.change(at(2))
    assert m.handle(e.StopRequested("somebody"), at(5)) == [i.EndLeftovers(at(15).boot, at(25).boot)]
    assert m.change(at(5)).clearing == (at(15).boot, at(25).boot)
    assert m.handle(e.StopRequested("somebody"), at(6)) == []
    assert not m.changed
    assert m.handle(e.LeftoversEnded(), at(7)) == []
    after = m.change(at(7))
    assert after == replace(before, expected_version=after.expected_version, version=after.version, steps=())


@pytest.mark.parametrize("ended", [False, True])
def test_a_restored_machine_goes_on_ending_what_was_left(ended: bool) -> None:
    """Within the same limits; once that is done there is nothing to go on with."""
    m = machine("a", "b")
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a")
    if ended:
        run_step(m, "b")
    m.handle(e.StopRequested("somebody"), at(5))
    m.change(at(5))
    restored = ExecutionMachine.restore(spec("a", "b"), m.policy, m.status())
    limits = i.EndLeftovers(at(15).boot, at(25).boot)
    assert [one for one in restored.resume(at(9)) if isinstance(one, i.EndLeftovers)] == [limits]
    restored.handle(e.LeftoversEnded(), at(10))
    restored.change(at(10))
    restored = ExecutionMachine.restore(spec("a", "b"), m.policy, restored.status())
    assert [one for one in restored.resume(at(11)) if isinstance(one, i.EndLeftovers)] == []


def test_a_second_request_kills_at_once() -> None:
    """Somebody will not wait."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("somebody"), at(1))
    assert m.handle(e.KillRequested(), at(2)) == [i.KillStep("a", 1, at(12).boot)]
    m.handle(e.StepFailed("a", signal=9), at(2))
    m.handle(e.StepEmptied("a"), at(2))
    assert m.phase is Phase.FAILED


def test_a_timeout_ends_the_attempt() -> None:
    """Its cause is the timeout, not the signal that enforced it."""
    m = machine("a", a=StepPolicy(timeout=5))
    m.handle(e.ExecutionBegun(), at(0))
    assert m.handle(e.StepStarted("a"), at(0)) == [i.RemindOfTimeout("a", 1, at(5).boot)]
    assert m.handle(e.StepTimedOut("a", 1), at(5))[0] == i.AskToEnd("a", expired=True)
    assert m.handle(e.StepFailed("a", signal=15), at(6)) == [i.AwaitEmpty("a")]
    m.handle(e.StepEmptied("a"), at(6))
    assert (m.phase, m.steps["a"].cause) == (Phase.FAILED, "timed out after 5 s")


def test_a_failed_attempt_is_repeated_with_a_doubling_pause() -> None:
    """As often as the task allows; the last failure counts."""
    m = machine("a", a=StepPolicy(retries=2, backoff=2))
    m.handle(e.ExecutionBegun(), at(0))
    for attempt, pause in ((1, 2), (2, 4)):
        assert run_step(m, "a", e.StepFailed("a", code=1)) == [i.RemindOfRetry("a", at(2 + pause).boot)]
        assert m.handle(e.StepDue("a"), at(9)) == [i.StartStep("a", attempt + 1)]
    run_step(m, "a", e.StepFailed("a", code=1))
    assert (m.phase, m.steps["a"].attempt) == (Phase.FAILED, 3)


def test_only_listed_exit_codes_are_retried() -> None:
    """Another failure is final."""
    m = machine("a", a=StepPolicy(retries=2, exit_codes=frozenset({75})))
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a", e.StepFailed("a", code=1))
    assert m.phase is Phase.FAILED


def test_a_change_holds_only_the_steps_that_changed() -> None:
    """And is made from the version before."""
    m = machine("a b")
    m.handle(e.ExecutionBegun(), at(0))
    first = m.change(at(0))
    run_step(m, "b")
    second = m.change(at(2))
    assert [step.id for step in first.steps] == ["a", "b"]
    assert [step.id for step in second.steps] == ["b"]
    assert second.expected_version == first.version < second.version


def test_versions_grow_when_the_clock_is_set_back() -> None:
    """By one then; and text order is number order."""
    assert next_version(50, 40) == 51
    assert next_version(50, 70) == 70
    assert spell(1_700_000_000_000_000) == "1700000000000000"
    assert len(spell(51)) == 16


def test_the_tables_are_complete() -> None:
    """Every state has transitions and a phase; terminal phases are those of terminal states."""
    assert set(TRANSITIONS) == set(State) == set(PHASE_OF)
    assert {State.SUCCEEDED, State.FAILED, State.STOPPED} == TERMINAL


def test_a_missing_entry_is_an_error() -> None:
    """And names both."""
    with pytest.raises(IllegalTransition, match="StepStarted in state succeeded"):
        next_state(State.SUCCEEDED, e.StepStarted("a"))


def test_every_event_type_is_known_to_the_table() -> None:
    """An event that no state handles would be dead."""
    handled = {event for leads_to in TRANSITIONS.values() for event in leads_to}
    defined = {kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.StepEvent)}
    assert handled == defined - {e.StepEvent}
    assert set(get_args(e.ExecutionEvent)) == {
        e.ExecutionBegun, e.StopRequested, e.KillRequested, e.OutputRecorded, e.StepRemarked,
        e.LeftoversEnded, e.ExecutionInterrupted,
    }  # fmt: skip


def test_pending_lasts_until_the_first_step_runs() -> None:
    """The phase is the aggregate of the steps' phases."""
    m = machine("a")
    assert m.phase is Phase.PENDING
    m.handle(e.ExecutionBegun(), at(0))
    assert (m.phase, m.change(at(0)).started_at) == (Phase.PENDING, None)
    m.handle(e.StepStarted("a"), at(1))
    assert (m.phase, m.change(at(1)).started_at) == (Phase.RUNNING, at(1).wall)


def test_an_exit_in_time_is_stopped_whatever_its_code() -> None:
    """Also 0; the code is kept, and is no failure."""
    for outcome, code in ((e.StepSucceeded("a"), 0), (e.StepFailed("a", code=3), 3)):
        m = machine("a")
        m.handle(e.ExecutionBegun(), at(0))
        m.handle(e.StepStarted("a"), at(0))
        m.handle(e.StopRequested("x"), at(1))
        m.handle(outcome, at(2))
        m.handle(e.StepEmptied("a"), at(2))
        step = m.change(at(2)).steps[0]
        assert (step.phase, step.exit_code, step.failure_message) == (Phase.STOPPED, code, None)


def test_a_start_that_fails_after_the_stop_is_stopped() -> None:
    """Nothing of it runs, as was asked."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StopRequested("x"), at(1))
    assert m.handle(e.StepRefused("a", "could not start: no"), at(2)) == [i.Finish()]
    assert (m.phase, m.steps["a"].cause) == (Phase.STOPPED, None)


def test_a_kill_without_a_stop_before_it_is_both() -> None:
    """Running steps are asked and killed in one go; no more are started."""
    m = machine("a", "b")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    asked = m.handle(e.KillRequested("x"), at(1))
    assert asked[-1] == i.KillStep("a", 1, at(11).boot)
    m.handle(e.StepFailed("a", signal=9), at(1))
    assert m.handle(e.StepEmptied("a"), at(1)) == [i.Finish()]
    assert m.steps["a"].cause == "did not stop at once when that was asked for, and was killed"


def test_a_kill_while_a_step_is_being_started_kills_it_once_it_runs() -> None:
    """The impatience is not forgotten."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StopRequested("x"), at(1))
    assert m.handle(e.KillRequested(), at(1)) == [i.KillStep("a", 1, at(11).boot)]
    assert m.handle(e.StepStarted("a"), at(2)) == [i.KillStep("a", 1, at(12).boot)]


def test_a_detached_step_is_stopped_in_every_state_of_ending() -> None:
    """Its run goes on for others; it was killed for nobody."""
    sequences: list[list[e.Event]] = [
        [e.StopRequested("x")],
        [e.KillRequested("x")],
        [e.StepStarted("a"), e.StopRequested("x")],
        [e.StepStarted("a"), e.KillRequested("x")],
    ]
    for events in sequences:
        m = machine("a")
        m.handle(e.ExecutionBegun(), at(0))
        for event in events:
            m.handle(event, at(1))
        assert m.handle(e.StepDetached("a"), at(1)) == [i.Finish()]
        assert (m.phase, m.steps["a"].cause) == (Phase.STOPPED, None)


def test_what_cannot_be_ended_is_named_and_given_up_on() -> None:
    """A leader, or children, that SIGKILL does not end: the wait has an end."""
    stuck = e.StepStuck("a", 1, "could not be ended: process 7 (dd)")
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("x"), at(1))
    m.handle(e.StepLimitReached("a", 1), at(11))
    assert m.handle(stuck, at(21)) == [i.Finish()]
    assert m.steps["a"].cause == (
        "did not stop within 10 s and was killed, and could not be ended: process 7 (dd)"
    )
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("x"), at(1))
    m.handle(e.StepSucceeded("a"), at(2))
    m.handle(e.StepLimitReached("a", 1), at(11))
    assert m.handle(stuck, at(21)) == [i.Finish()]
    assert (m.phase, m.steps["a"].cause) == (Phase.FAILED, stuck.cause)


def test_a_stuck_attempt_is_not_repeated() -> None:
    """Two attempts at a time would be one too many."""
    m = machine("a", a=StepPolicy(timeout=5, retries=3))
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StepTimedOut("a", 1), at(5))
    m.handle(e.StepLimitReached("a", 1), at(15))
    m.handle(e.StepStuck("a", 1, "could not be ended: process 7"), at(25))
    assert m.steps["a"].cause == "timed out after 5 s, and could not be ended: process 7"
    assert m.phase is Phase.FAILED


def test_a_timed_out_attempt_is_repeated_once_it_is_empty() -> None:
    """Also after it had to be killed; the second attempt's phase stays RUNNING for those who watch."""
    m = machine("a", a=StepPolicy(timeout=5, retries=1, backoff=2))
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StepTimedOut("a", 1), at(5))
    m.handle(e.StepLimitReached("a", 1), at(15))
    assert m.handle(e.StepFailed("a", signal=9), at(15)) == [i.AwaitEmpty("a")]
    assert m.handle(e.StepEmptied("a"), at(16)) == [i.RemindOfRetry("a", at(18).boot)]
    assert m.handle(e.StepStuck("a", 1, "late"), at(16)) == []
    assert m.handle(e.StepDue("a"), at(18)) == [i.StartStep("a", 2)]
    step = m.change(at(18)).steps[0]
    assert (step.phase, step.exit_signal, step.failure_message) == (Phase.RUNNING, None, None)


def test_a_stop_during_the_pause_before_a_retry_ends_at_once() -> None:
    """There is nothing to end but what the attempt left behind; its reminder comes too late."""
    m = machine("a", a=StepPolicy(retries=1))
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a", e.StepFailed("a", code=1))
    assert m.handle(e.StopRequested("x"), at(3)) == [i.Finish()]
    assert m.handle(e.StepDue("a"), at(4)) == []
    assert m.phase is Phase.STOPPED


def test_a_stop_ends_what_ended_steps_left_behind_and_waits_for_it() -> None:
    """A stopped execution is empty; what could not be ended is told beside the status."""
    m = machine("a b")
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a")
    m.handle(e.StepStarted("b"), at(2))
    assert m.handle(e.StopRequested("x"), at(3))[0] == i.EndLeftovers(at(13).boot, at(23).boot)
    m.handle(e.StepFailed("b", signal=15), at(4))
    assert m.handle(e.StepEmptied("b"), at(4)) == []
    assert m.phase is Phase.RUNNING
    assert m.handle(e.KillRequested(), at(5)) == [i.EndLeftovers(at(5).boot, at(15).boot)]
    assert m.handle(e.LeftoversEnded("could not be ended: process 7"), at(15)) == [i.Finish()]
    change = m.change(at(15))
    assert (change.phase, change.failure_message) == (Phase.STOPPED, None)
    assert change.why == "stopped by x at 2023-11-14T22:13:23Z; could not be ended: process 7"


def test_an_interrupted_execution_starts_nothing_more() -> None:
    """What runs ends as it ends; what never started is the failure."""
    m = machine("a", "b", a=StepPolicy(retries=3))
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    assert m.handle(e.ExecutionInterrupted("the engine was lost"), at(1)) == []
    assert m.handle(e.StepSucceeded("a"), at(2)) == [i.Finish()]
    change = m.change(at(2))
    assert (change.phase, change.failure_message) == (Phase.FAILED, "the engine was lost")
    assert change.why == "the engine was lost; never started: b"


def test_an_interruption_with_nothing_left_to_start_changes_nothing() -> None:
    """The last step's own end is the execution's."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.ExecutionInterrupted("the engine was lost"), at(1))
    m.handle(e.StepSucceeded("a"), at(2))
    assert m.phase is Phase.SUCCEEDED


def test_outputs_are_of_the_attempt_that_counts_and_only_while_it_lives() -> None:
    """An empty value removes; an ended step takes none."""
    m = machine("a", a=StepPolicy(retries=1))
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.OutputRecorded("a", {"K": "1", "L": "2"}), at(1))
    m.handle(e.OutputRecorded("a", {"L": ""}), at(1))
    assert m.steps["a"].output == {"K": "1"}
    m.handle(e.StepFailed("a", code=1), at(2))
    m.handle(e.StepDue("a"), at(5))
    assert m.steps["a"].output == {}
    run_step(m, "a")
    with pytest.raises(IllegalTransition):
        m.handle(e.OutputRecorded("a", {"K": "3"}), at(9))


def test_it_knows_which_steps_it_will_still_need() -> None:
    """Later groups count only while nothing failed; what waits for a place counts as well."""
    m = machine("a b", "c", max_parallel=1)
    m.handle(e.ExecutionBegun(), at(0))
    assert [step for step in m.steps if m.will_need(step)] == ["b", "c"]
    run_step(m, "a", e.StepFailed("a", code=1))
    assert [step for step in m.steps if m.will_need(step)] == []
    m = machine("a b d", "c", max_parallel=1)
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a", e.StepFailed("a", code=1))
    assert [step for step in m.steps if m.will_need(step)] == ["d"]
    m.handle(e.StopRequested("x"), at(3))
    assert [step for step in m.steps if m.will_need(step)] == []


def test_a_policy_survives_being_written_down() -> None:
    """As JSON, with what an older version did not write."""
    policy = ExecutionPolicy(3, 4.5, 2.0, {"a": StepPolicy(5, 2, 1.5, frozenset({75, 3}))})
    assert ExecutionPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert ExecutionPolicy.from_dict({}) == ExecutionPolicy()


def test_causes_read_well() -> None:
    """The phrases of the semantics."""
    assert [exit_cause(3, None), exit_cause(None, 9), exit_cause(None, 63), exit_cause(None, None)] == [
        "exit code 3", "signal SIGKILL", "signal 63", "exit status unknown",
    ]  # fmt: skip
    assert [seconds(10.0), seconds(0.25), seconds(1_000_000.0)] == ["10 s", "0.25 s", "1000000 s"]


def test_a_start_that_nobody_answers_does_not_hold_up_a_stop_for_ever() -> None:
    """At the limit whatever there may be is killed, and then it is given up."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StopRequested("x"), at(1))
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == [i.KillStep("a", 1, at(21).boot)]
    assert m.handle(e.StepStuck("a", 1, "its end was not reported"), at(21)) == [i.Finish()]
    assert (m.phase, m.steps["a"].cause) == (Phase.FAILED, "its end was not reported")


def test_a_limit_that_was_set_anew_is_not_reached_early() -> None:
    """The time to end counts from when it was asked to, not from when it could not be asked yet."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StopRequested("x"), at(1))
    m.handle(e.StepStarted("a"), at(6))
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == []
    assert m.handle(e.StepLimitReached("a", 1), at(16)) == [i.KillStep("a", 1, at(26).boot)]


def test_what_went_wrong_beside_a_step_is_told_beside_the_status() -> None:
    """It changes no phase, and is no failure."""
    m = machine("a", "b")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.change(at(0))
    m.handle(e.StepRemarked("a", "output was lost"), at(1))
    assert m.changed
    status = m.change(at(1))
    assert (status.phase, status.failure_message, status.why) == (Phase.RUNNING, None, "a: output was lost")
    m.handle(e.StepFailed("a", code=1), at(2))
    assert m.status().why == "step a failed: exit code 1; a: output was lost; never started: b"
