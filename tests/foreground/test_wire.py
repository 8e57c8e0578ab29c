"""What two runs say to each other arrives as it was said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased import errors
from phased.contract.definitions import Definitions, TaskDefinition
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.specs import Catalog, environment_id
from phased.core.status import StatusChange, StepStatus
from phased.foreground import wire
from phased.foreground.work import Changed, Noted, Told, Waiting
from phased.ports import ExecutionRecord, StoredExecution

ID = "6d1c3f52-2f0b-4b0e-9a57-0f6f1f0c5f0d"
DEFINITIONS = Definitions(
    tasks=(
        TaskDefinition(reference="a", name="A", command="echo 'é\n'"),
        TaskDefinition(reference="b", name="b", depends_on=("a",)),
    )
)

steps = st.builds(
    StepStatus,
    id=st.text(),
    phase=st.sampled_from(Phase),
    failure_message=st.none() | st.text(),
    run_id=st.none() | st.text(),
    attempt=st.integers(1, 9),
    started_at=st.none() | st.integers(0, 2**62),
    exit_code=st.none() | st.integers(0, 255),
    output=st.dictionaries(st.text(min_size=1), st.text()),
)
changes = st.builds(
    StatusChange,
    execution_id=st.just(ID),
    expected_version=st.integers(0, 2**62),
    version=st.integers(0, 2**62),
    phase=st.sampled_from(Phase),
    failure_message=st.none() | st.text(),
    stop_requested=st.booleans(),
    why=st.none() | st.text(),
    steps=st.lists(steps, max_size=3).map(tuple),
)


@given(st.one_of(st.builds(Changed, changes), st.builds(Noted, st.text()), st.builds(Waiting, st.text())))
@settings(max_examples=80, deadline=None)
def test_what_is_told_arrives(told: Told) -> None:
    """What is told arrives."""
    line = wire.encode(wire.encode_told(told))
    assert line.count(b"\n") == 1
    assert wire.decode_told(wire.decode(line)) == told


def test_a_request_arrives() -> None:
    """A request arrives."""
    request = wire.Request("/w", environment_id("/w"), DEFINITIONS, ("a", "b"), "manual", 3, keep=True)
    assert wire.decode_request(wire.decode(wire.encode(wire.encode_request(request)))) == request


def test_an_execution_arrives() -> None:
    """An execution arrives."""
    planned = Catalog(environment_id("/w"), DEFINITIONS).plan("b", ID)
    record = ExecutionRecord(
        ID, environment_id("/w"), planned.task_id, "b", "f", "manual", "", "PRINCIPAL_USER", 7, planned.spec
    )
    stored = StoredExecution(record, StatusChange(ID, 0, 1, Phase.PENDING))
    assert wire.decode_stored(wire.decode(wire.encode(wire.encode_stored(stored)))) == stored


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownReference("a", near=["b"]),
        errors.CycleFound(["a", "b", "a"]),
        errors.StateDirectoryHeld("/s", 7),
        errors.Unsupported("cannot run a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_arrives_as_the_same_error(error: errors.PhasedError) -> None:
    """A refusal arrives as the same error."""
    found = wire.decode_refusal(wire.encode_refusal(error)["refused"])
    assert (type(found), str(found)) == (type(error), str(error))


def test_an_unknown_refusal_is_an_error_all_the_same() -> None:
    """An unknown refusal is an error all the same."""
    for kind in ("Sequence", "nosuch", "annotations"):
        found = wire.decode_refusal({"kind": kind, "message": "cannot"})
        assert (type(found), str(found)) == (errors.PhasedError, "cannot")


@pytest.mark.parametrize(
    "line", [b"[]\n", b"nothing\n", b"{}\n", b'{"run": 3}\n', b'{"run": {"workspace": "/"}}\n']
)
def test_nonsense_is_no_request(line: bytes) -> None:
    """Nonsense is no request."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        wire.decode_request(wire.decode(line))
