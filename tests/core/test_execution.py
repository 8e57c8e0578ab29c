"""The execution machine: what it starts, how it ends, what it says; and that no events can confuse it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import events as e
from phased.core import instructions as i
from phased.core.execution import ExecutionMachine
from phased.core.phases import PHASE_OF, TERMINAL, TRANSITIONS, State, next_state
from phased.core.policy import StepPolicy
from phased.core.versions import next_version, spell
from phased.errors import IllegalTransition
from tests.core.build import at, machine


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
    assert asked == [i.AskToEnd("a", detach=True), i.RemindOfLimit("a", 1, at(11).boot)]
    assert m.handle(e.StepFailed("a", signal=15), at(2)) == [i.AwaitEmpty("a")]
    assert m.phase is Phase.RUNNING
    assert m.handle(e.StepEmptied("a"), at(3)) == [i.Finish()]
    change = m.change(at(3))
    assert (change.phase, change.failure_message) == (Phase.STOPPED, None)
    assert change.why == "stopped by somebody at 2023-11-14T22:13:21Z"
    assert m.steps["a"].state is State.STOPPED
    assert m.steps["b"].state is State.WAITING


def test_a_leader_that_ignores_the_request_is_killed_and_failed() -> None:
    """And says so."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("somebody"), at(1))
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == [i.KillStep("a")]
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
    assert m.handle(e.StepLimitReached("a", 1), at(11)) == [i.KillStep("a")]
    m.handle(e.StepEmptied("a"), at(12))
    assert m.phase is Phase.STOPPED


def test_a_stop_while_a_step_is_being_started_asks_it_once_it_runs() -> None:
    """There was nobody to signal before."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    assert m.handle(e.StopRequested("somebody"), at(1)) == []
    assert m.handle(e.StepStarted("a"), at(1))[0] == i.AskToEnd("a", detach=True)


def test_a_stop_before_the_first_step_is_stopped() -> None:
    """Nothing ran, nothing will."""
    m = machine("a")
    assert m.handle(e.StopRequested("somebody"), at(1)) == [i.Finish()]
    assert m.phase is Phase.STOPPED


def test_stopping_what_has_ended_changes_nothing() -> None:
    """It is no error either."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    run_step(m, "a")
    assert m.handle(e.StopRequested("somebody"), at(5)) == []
    assert m.phase is Phase.SUCCEEDED


def test_a_second_request_kills_at_once() -> None:
    """Somebody will not wait."""
    m = machine("a")
    m.handle(e.ExecutionBegun(), at(0))
    m.handle(e.StepStarted("a"), at(0))
    m.handle(e.StopRequested("somebody"), at(1))
    assert m.handle(e.KillRequested(), at(2)) == [i.KillStep("a")]
    m.handle(e.StepFailed("a", signal=9), at(2))
    m.handle(e.StepEmptied("a"), at(2))
    assert m.phase is Phase.FAILED


def test_a_timeout_ends_the_attempt() -> None:
    """Its cause is the timeout, not the signal that enforced it."""
    m = machine("a", a=StepPolicy(timeout=5))
    m.handle(e.ExecutionBegun(), at(0))
    assert m.handle(e.StepStarted("a"), at(0)) == [i.RemindOfTimeout("a", 1, at(5).boot)]
    assert m.handle(e.StepTimedOut("a", 1), at(5))[0] == i.AskToEnd("a", detach=False)
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


STEPS = ("a", "b", "c", "d")
MAKERS = [
    e.StepStarted, e.StepSucceeded, e.StepDue, e.StepEmptied, e.StepDetached, e.StepStopRequested,
    lambda step: e.StepFailed(step, code=1), lambda step: e.StepFailed(step, signal=9),
    lambda step: e.StepRefused(step, "no"), lambda step: e.StepLost(step, "gone"),
    lambda step: e.StepTimedOut(step, 1), lambda step: e.StepLimitReached(step, 1),
    lambda step: e.OutputRecorded(step, {"K": "v"}),
]  # fmt: skip
anything = st.one_of(
    st.just(e.ExecutionBegun()),
    st.just(e.StopRequested("x")),
    st.just(e.KillRequested()),
    st.builds(lambda make, step: make(step), st.sampled_from(MAKERS), st.sampled_from(STEPS)),
)


@settings(max_examples=300)
@given(st.lists(anything, max_size=40), st.integers(1, 3), st.booleans())
def test_no_sequence_of_events_breaks_the_invariants(
    events: list[e.Event], parallel: int, retry: bool
) -> None:
    """Only legal transitions, versions only grow, terminal is terminal, an illegal event changes nothing."""
    policies = {"a": StepPolicy(retries=1, timeout=3)} if retry else {}
    m = machine("a b", "c!", "d", max_parallel=parallel, **policies)
    version, final = 0, None
    for position, event in enumerate([e.ExecutionBegun(), *events]):
        before = {step.id: step.state for step in m.steps.values()}
        try:
            m.handle(event, at(position))
        except IllegalTransition:
            assert before == {step.id: step.state for step in m.steps.values()}
        m.check()
        for step in m.steps.values():
            reachable = set(TRANSITIONS[before[step.id]].values()) | {before[step.id], State.STARTING}
            assert step.state in reachable | {State.SUCCEEDED} or before[step.id] not in TERMINAL
            if before[step.id] in TERMINAL:
                assert step.state is before[step.id]
        change = m.change(at(position))
        assert change.version > version
        version = change.version
        if final is not None:
            assert change.phase is final
        final = change.phase if m.finished else None


def test_every_event_type_is_known_to_the_table() -> None:
    """An event that no state handles would be dead."""
    handled = {event for leads_to in TRANSITIONS.values() for event in leads_to}
    assert handled == set(e.StepEvent.__subclasses__())
    assert set(get_args(e.ExecutionEvent)) == {
        e.ExecutionBegun, e.StopRequested, e.KillRequested, e.OutputRecorded,
    }  # fmt: skip
