"""Every event in every state of a service, as one table; and that no events can confuse its machine."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.service import ServicePhase as Phase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service import ServiceMachine
from phased.core.service_phases import PHASE_OF, RESTING, TRANSITIONS, next_state
from phased.core.service_phases import ServiceState as S
from phased.core.service_policy import ServicePolicy
from phased.errors import IllegalTransition
from tests.core.build import at
from tests.core.build_service import (
    FULL,
    HALTED,
    KINDS,
    NEEDY,
    PLAIN,
    PROBED,
    RESTARTED,
    SERVICE,
    brought_to,
    drive,
    occurrence,
    service,
)  # fmt: skip

ILLEGAL = "illegal"
_ENDED = {"exit 0": "emptying", "exit 1": "emptying", "lost": "emptying"}
_UP = {
    "stop": "stopping", "kill": "killing", "delete": "stopping", "force": "deleted",
    "started": ILLEGAL, "refused": ILLEGAL, "exit 0": "stopped", "exit 1": "failed", "lost": "failed",
}  # fmt: skip

SCENARIOS: dict[S, dict[str, str]] = {
    S.STOPPED: {"start": "clearing", "delete": "emptying", "force": "deleted"},
    S.FAILED: {"start": "clearing", "delete": "emptying", "force": "deleted"},
    S.DELETED: {},
    S.NEEDING: {
        "stop": "stopped", "kill": "stopped", "delete": "deleted", "force": "deleted",
        "met": "starting", "unmet": "failed",
    },
    S.CLEARING: {
        "stop": "emptying", "kill": "emptying", "delete": "emptying", "force": "deleted", "empty": "starting",
        "limit": "clearing",
    },
    S.STARTING: {
        "stop": "cancelling", "kill": "cancelling", "delete": "cancelling", "force": "deleted",
        "started": "running", "refused": "failed", "lost": "failed", "exit 0": ILLEGAL, "exit 1": ILLEGAL,
    },
    S.PROBING: {
        **_UP, "ready": "running", "unready": "pausing", "ready refused": "pausing", "expired": "stopping",
    },
    S.PAUSING: {**_UP, "ready due": "probing", "expired": "stopping"},
    S.RUNNING: _UP,
    S.BACKING_OFF: {
        "start": "clearing", "stop": "emptying", "kill": "emptying", "delete": "emptying", "force": "deleted",
        "restart due": "clearing",
    },
    S.CANCELLING: {
        "force": "deleted", "started": "stopping", "refused": "emptying", "lost": "emptying",
        "exit 0": ILLEGAL, "exit 1": ILLEGAL,
    },
    S.HALTING: {
        "kill": "killing", "force": "deleted", "started": ILLEGAL, "refused": ILLEGAL, "limit": "killing",
        "exit 0": "finishing", "exit 1": "finishing", "lost": "finishing",
        "halted": "killing", "halt failed": "killing", "halt refused": "killing",
    },
    S.FINISHING: {
        "kill": "emptying", "force": "deleted", "limit": "emptying",
        "halted": "emptying", "halt failed": "emptying", "halt refused": "emptying",
    },
    S.STOPPING: {
        **_ENDED, "kill": "killing", "force": "deleted", "limit": "killing",
        "started": ILLEGAL, "refused": ILLEGAL,
    },
    S.KILLING: {
        **_ENDED, "force": "deleted", "started": ILLEGAL, "refused": ILLEGAL, "limit": "failed",
    },
    S.EMPTYING: {"force": "deleted", "empty": "stopped", "limit": "emptying"},
}  # fmt: skip
"""What each event leads to in each state; what is not named changes no state, and is no error."""


@pytest.mark.parametrize("state", list(S), ids=lambda state: state.value)
def test_every_event_in_every_state(state: S) -> None:
    """As the table says; an illegal one changes nothing at all."""
    for kind in KINDS:
        m = brought_to(state)
        before = m.progress
        expected = SCENARIOS[state].get(kind, state.value)
        try:
            m.handle(occurrence(kind, m), at(500))
        except IllegalTransition:
            assert expected == ILLEGAL, f"{kind} in {state}"
            assert m.progress is before
        else:
            assert m.progress.state.value == expected, f"{kind} in {state}"
        m.check()


def test_the_tables_are_complete() -> None:
    """Every state has transitions, a phase and a scenario; every phase but one is some state's."""
    assert set(TRANSITIONS) == set(S) == set(PHASE_OF) == set(SCENARIOS)
    assert set(PHASE_OF.values()) == set(Phase) - {Phase.UNSPECIFIED}
    assert {state for state, leads_to in TRANSITIONS.items() if not leads_to} == {S.DELETED}


def test_every_event_type_is_known() -> None:
    """The builders know each that comes from outside; the table uses each decision."""
    machine = service()
    assert {type(occurrence(kind, machine)) for kind in KINDS} == set(get_args(e.ServiceEvent))
    used = {event for leads_to in TRANSITIONS.values() for event in leads_to}
    decisions = {kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.Decision)}
    assert used >= decisions - {e.Decision}


def test_a_missing_entry_is_an_error() -> None:
    """And names both."""
    with pytest.raises(IllegalTransition, match="BecameReady in state stopped"):
        next_state(S.STOPPED, e.BecameReady())


policies = st.builds(
    ServicePolicy,
    has_ready=st.booleans(),
    has_stop=st.booleans(),
    has_needs=st.booleans(),
    readiness_timeout=st.sampled_from([None, 3.0]),
    restart=st.sampled_from(["never", "on-failure", "always"]),
    restart_limit=st.sampled_from([None, 0, 2]),
)
happenings = st.lists(st.sampled_from(KINDS), max_size=40)


def happen(m: ServiceMachine, kind: str, moment: int) -> list[i.ServiceInstruction] | None:
    """Let it happen; None where it cannot. Sessions are new each time."""
    event = occurrence(kind, m)
    if isinstance(event, e.StartRequested):
        event = replace(event, session=f"{SERVICE[:-4]}{moment:04x}")
    try:
        return m.handle(event, at(moment))
    except IllegalTransition:
        return None


@settings(max_examples=100, deadline=None)
@given(policies, happenings)
def test_no_sequence_of_events_breaks_the_invariants(policy: ServicePolicy, kinds: list[str]) -> None:
    """Versions only grow, DELETED is the end, no run is ever started twice, and what waits has a reminder."""
    m = service(policy)
    version = 0
    runs: set[str] = set()
    for moment, kind in enumerate(["start", *kinds]):
        before = m.progress
        done = happen(m, kind, moment)
        m.check()
        if done is None:
            assert m.progress is before
        if before.state is S.DELETED:
            assert m.progress is before
        for instruction in done or []:
            if isinstance(instruction, i.StartCommand | i.StartReady | i.StartStop):
                assert instruction.run_id not in runs
                runs.add(instruction.run_id)
        change = m.change(at(moment))
        assert change.version > version
        version = change.version


@settings(max_examples=100, deadline=None)
@given(policies, happenings, st.integers(0, 40))
def test_a_restored_machine_goes_on_like_the_original(
    policy: ServicePolicy, kinds: list[str], cut: int
) -> None:
    """From any point: the same instructions, the same record."""
    m = service(policy)
    for moment, kind in enumerate(["start", *kinds[:cut]]):
        happen(m, kind, moment)
    twin = ServiceMachine.restore(SERVICE, m.policy, m.newest, m.change(at(41)))
    for moment, kind in enumerate(kinds[cut:], 42):
        assert happen(m, kind, moment) == happen(twin, kind, moment)
        assert m.progress == twin.progress
    assert m.change(at(99)) == twin.change(at(99))
    assert (m.policy, m.newest) == (twin.policy, twin.newest)


@settings(max_examples=100, deadline=None)
@given(policies, happenings)
def test_what_a_restored_machine_resumes_leads_on(policy: ServicePolicy, kinds: list[str]) -> None:
    """Each state but rest is left by a reminder, a wait, or the report of a run: nothing hangs."""
    m = service(policy)
    for moment, kind in enumerate(["start", *kinds]):
        happen(m, kind, moment)
    waits = {type(one) for one in m.resume()}
    runs = {S.STARTING, S.PROBING, S.RUNNING}
    assert waits or m.progress.state in RESTING | runs


@settings(max_examples=100, deadline=None)
@given(policies, happenings)
def test_a_stop_always_comes_to_an_end(policy: ServicePolicy, kinds: list[str]) -> None:
    """Whatever happened before: with every process as stubborn as can be, its deadlines end it."""
    m = service(policy)
    for moment, kind in enumerate(["start", *kinds]):
        happen(m, kind, moment)
    happen(m, "stop", 50)
    for moment in range(51, 60):
        if m.progress.state in RESTING:
            break
        happen(m, "limit", moment)
    assert m.progress.state in RESTING


def shape(m: ServiceMachine) -> object:
    """What a machine's future depends on, without names, numbers and moments that only grow."""
    p = m.progress
    deadlines = tuple(at is not None for at in (p.due_at, p.expires_at, p.limit_at))
    flags = (p.again, p.needs_met, p.killed, p.outdated, bool(p.emptying), bool(p.session), p.cause is None)
    return p.state, p.desired, flags, deadlines, min(p.restarts, 3), min(p.attempt, 1), min(p.tries, 1)


@pytest.mark.parametrize("policy", [PLAIN, PROBED, HALTED, RESTARTED, NEEDY, FULL])
def test_every_interleaving_is_sound(policy: ServicePolicy) -> None:
    """All that is reachable, by every event in every order, keeps the invariants and can be stopped."""
    seen: set[object] = set()
    waiting = [service(policy)]
    while waiting:
        m = waiting.pop()
        for kind in KINDS:
            next_one = ServiceMachine.restore(SERVICE, m.policy, m.newest, m.change(at(0)))
            happen(next_one, kind, len(seen))
            next_one.check()
            if shape(next_one) not in seen:
                seen.add(shape(next_one))
                waiting.append(next_one)
    assert 20 < len(seen) < 5000


def test_every_state_can_be_reached_and_left_by_deletion() -> None:
    """Nothing is stuck."""
    for state in set(S) - {S.DELETED}:
        m = brought_to(state)
        drive(m, "force", begin=900)
        assert m.phase is Phase.DELETED
