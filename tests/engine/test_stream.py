"""The ring of statuses: resumed without a gap, or the gap is told."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.event import ResourceOperation as Operation
from phased.contract.execution import TaskExecutionPhase
from phased.contract.resource import ResourceType
from phased.core.status import StatusChange, StepStatus
from phased.engine.stream import StatusStream

pytestmark = pytest.mark.anyio
BEGIN = 1_700_000_000_000_000


def append(stream: StatusStream, resource: str = "one", change: StatusChange | None = None) -> None:
    """An execution has a new status."""
    stream.append(Operation.UPDATE_STATUS, ResourceType.TASK_EXECUTION, resource, "environment", change)


def test_numbers_grow_from_the_clock() -> None:
    """So that a daemon's are larger than those of the one before."""
    stream = StatusStream(BEGIN)
    assert stream.sequence == BEGIN
    append(stream)
    assert stream.sequence == BEGIN + 1


def test_a_reader_goes_on_where_it_was() -> None:
    """In parts, too."""
    stream = StatusStream(BEGIN)
    for number in range(5):
        append(stream, str(number))
    first = stream.read(BEGIN, limit=3)
    assert [event.resource_id for event in first.events] == ["0", "1", "2"]
    rest = stream.read(first.next)
    assert [event.resource_id for event in rest.events] == ["3", "4"]
    assert stream.read(rest.next).events == ()
    assert [bunch.gap for bunch in (first, rest, stream.read(rest.next))] == [False] * 3


@pytest.mark.parametrize("since", [0, BEGIN - 1, BEGIN + 1_000, -5])
def test_a_number_of_another_life_is_a_gap(since: int) -> None:
    """What is left follows all the same."""
    stream = StatusStream(BEGIN)
    append(stream)
    bunch = stream.read(since)
    assert bunch.gap
    assert [event.sequence for event in bunch.events] == [BEGIN + 1]
    assert not stream.read(bunch.next).gap


def test_before_the_first_event_nothing_is_missing() -> None:
    """A reader that begins now has no gap."""
    stream = StatusStream(BEGIN)
    assert not stream.read(stream.sequence).gap
    assert stream.read(BEGIN - 1).gap


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=60), st.integers(1, 20))
def test_the_ring_forgets_the_oldest_and_says_so(weights: list[int], most: int) -> None:
    """Whatever it kept is told whole, in order; a gap is told if, and only if, something is missing."""
    stream = StatusStream(BEGIN, most_kept=most)
    for weight in weights:
        steps = tuple(StepStatus(str(number), TaskExecutionPhase.RUNNING) for number in range(weight))
        append(stream, change=StatusChange("one", 1, 2, TaskExecutionPhase.RUNNING, steps=steps))
    for since in range(BEGIN, stream.sequence + 1):
        bunch = stream.read(since)
        sequences = [event.sequence for event in bunch.events]
        whole = list(range(since + 1, stream.sequence + 1))
        assert sequences == whole[len(whole) - len(sequences) :]
        assert bunch.gap == (sequences != whole)
    kept = stream.read(0).events
    assert sum(event.weight for event in kept) <= max(most, kept[-1].weight if kept else 0)


async def test_waiting_ends_with_the_next_event() -> None:
    """Several readers at once; who has a gap does not wait."""
    stream = StatusStream(BEGIN)
    seen: list[int] = []

    async def read() -> None:
        seen.append((await stream.wait(stream.sequence)).events[0].sequence)

    with anyio.fail_after(30):
        assert (await stream.wait(0)).gap
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            append(stream)
    assert seen == [BEGIN + 1] * 3
