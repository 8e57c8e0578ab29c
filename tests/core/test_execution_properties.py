"""The execution machine under any events: invariants hold, and a restored machine goes on as the original."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import events as e
from phased.core.execution import ExecutionMachine
from phased.core.phases import TERMINAL, TERMINAL_PHASES, TRANSITIONS, State
from phased.core.policy import ExecutionPolicy, StepPolicy
from phased.core.status import StepStatus
from phased.errors import IllegalTransition
from tests.core.build import EXECUTION, at, spec

STEPS = ("a", "b", "c", "d")
MAKERS = [
    e.StepStarted, e.StepSucceeded, e.StepDue, e.StepEmptied, e.StepDetached, e.StepStopRequested,
    lambda step: e.StepFailed(step, code=1), lambda step: e.StepFailed(step, signal=9),
    lambda step: e.StepFailed(step, None, None), lambda step: e.StepRefused(step, "no"),
    lambda step: e.StepLost(step, "gone"), lambda step: e.StepTimedOut(step, 1),
    lambda step: e.StepLimitReached(step, 1), lambda step: e.StepLimitReached(step, 2),
    lambda step: e.StepStuck(step, 1, "stuck"), lambda step: e.OutputRecorded(step, {"K": "v"}),
    lambda step: e.StepRemarked(step, "output was lost"),
]  # fmt: skip
LIKELY = [e.StepStarted, e.StepSucceeded, e.StepDue, e.StepEmptied, lambda step: e.StepFailed(step, code=1)]
step_events = st.builds(
    lambda make, step: make(step), st.sampled_from([*MAKERS, *LIKELY, *LIKELY]), st.sampled_from(STEPS)
)
execution_events = st.sampled_from(
    [e.ExecutionBegun(), e.StopRequested("x"), e.KillRequested("x"), e.LeftoversEnded()]
)
policies = st.builds(
    lambda parallel, retry: ExecutionPolicy(
        parallel, steps={"a": StepPolicy(retries=1, timeout=3), "d": StepPolicy(retries=2)} if retry else {}
    ),
    st.integers(1, 3),
    st.booleans(),
)
events = st.lists(
    st.one_of(step_events, step_events, step_events, step_events, execution_events), max_size=40
)
PLAN = spec("a b", "c!", "d")


def likely(m: ExecutionMachine) -> list[e.Event]:
    """Events that its steps have an entry for, of every kind."""
    found: list[e.Event] = []
    for step in m.steps.values():
        named = {
            e.StepFailed: e.StepFailed(step.id, 1),
            e.StepRefused: e.StepRefused(step.id, "no"),
            e.StepLost: e.StepLost(step.id, "gone"),
            e.StepTimedOut: e.StepTimedOut(step.id, step.attempt),
            e.StepLimitReached: e.StepLimitReached(step.id, step.attempt),
            e.StepStuck: e.StepStuck(step.id, step.attempt, "stuck"),
        }
        plain = [e.StepDue, e.StepStarted, e.StepSucceeded, e.StepEmptied, e.StepDetached]
        named.update((kind, kind(step.id)) for kind in plain)
        found += [named[kind] for kind in TRANSITIONS[step.state] if kind in named]
    return found


def draw_event(data: st.DataObject, m: ExecutionMachine) -> e.Event:
    """Mostly one that can happen, sometimes a request, sometimes nonsense."""
    kind = data.draw(st.integers(0, 11))
    possible = likely(m)
    if kind < 10 and possible:
        event: e.Event = data.draw(st.sampled_from(possible))
    else:
        event = data.draw(execution_events if kind == 10 else step_events)
    return event


def reachable(state: State) -> set[State]:
    """What the table leads to in at most two events: a kill without a stop is both."""
    once = {state, *TRANSITIONS[state].values()}
    return once | {after for between in once for after in TRANSITIONS[between].values()}


def try_to_handle(m: ExecutionMachine, event: e.Event, second: int) -> object:
    """What comes of an event: its instructions, or that it was illegal."""
    try:
        return m.handle(event, at(second))
    except IllegalTransition as error:
        return str(error)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(events, policies, st.booleans())
def test_no_sequence_of_events_breaks_the_invariants(
    sequence: list[e.Event], policy: ExecutionPolicy, interrupted: bool
) -> None:
    """Only legal transitions, versions only grow, terminal is terminal, an illegal event changes nothing."""
    m = ExecutionMachine(EXECUTION, PLAN, policy)
    last: list[e.Event] = [e.ExecutionInterrupted("gone")] if interrupted else []
    version, final = 0, None
    for second, event in enumerate([e.ExecutionBegun(), *sequence, *last]):
        m.change(at(second))
        before, status = {step.id: step.state for step in m.steps.values()}, m.status()
        outcome = try_to_handle(m, event, second)
        if isinstance(outcome, str):
            assert (m.status(), m.changed) == (status, False)
        m.check()
        for step in m.steps.values():
            assert step.state in reachable(before[step.id])
            assert step.state is before[step.id] or before[step.id] not in TERMINAL
        change = m.change(at(second))
        assert change.version > version
        version = change.version
        assert final is None or change.phase is final
        final = change.phase if m.finished else None
        assert m.finished == (change.phase in TERMINAL_PHASES)
        assert change.phase is not Phase.FAILED or change.failure_message


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 12), st.integers(0, 12), policies)
def test_a_restored_machine_goes_on_as_the_original(
    data: st.DataObject, before: int, after: int, policy: ExecutionPolicy
) -> None:
    """Wherever the daemon died: from what was stored on, same events, same instructions, same statuses."""
    original = ExecutionMachine(EXECUTION, PLAN, policy)
    for second in range(before):
        begun = second > 0 or data.draw(st.integers(0, 5)) == 0
        try_to_handle(original, draw_event(data, original) if begun else e.ExecutionBegun(), 20 * second)
    now = 20 * before
    original.change(at(now))
    restored = ExecutionMachine.restore(PLAN, policy, original.status())
    restored.check()
    restored.resume(at(now))
    assert restored.status() == original.status()
    # Only whether leftovers are still being ended is not stored: they are ended again, and soon gone.
    for machine in (original, restored):
        machine.handle(e.LeftoversEnded(), at(now))
        machine.change(at(now))
    for second in range(before, before + after):
        event = draw_event(data, original)
        outcomes = [try_to_handle(m, event, 20 * second) for m in (original, restored)]
        assert outcomes[0] == outcomes[1]
        restored.check()
        assert original.status() == restored.status()
        assert original.change(at(20 * second)) == restored.change(at(20 * second))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(events, policies)
def test_the_changes_of_a_machine_add_up_to_its_status(
    sequence: list[e.Event], policy: ExecutionPolicy
) -> None:
    """A store that keeps the newest of each step has the whole."""
    m = ExecutionMachine(EXECUTION, PLAN, policy)
    kept: dict[str, StepStatus] = {}
    for second, event in enumerate([e.ExecutionBegun(), *sequence]):
        try_to_handle(m, event, second)
        kept.update((step.id, step) for step in m.change(at(second)).steps)
    assert kept == {step.id: step for step in m.status().steps}
