"""The feed: everybody who listens gets the newest of each execution; who is slow costs nobody anything."""

from __future__ import annotations

import anyio
import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.status import StatusChange, StepStatus
from phased.engine.feed import Feed

pytestmark = pytest.mark.anyio


def change(execution: str, version: int, **steps: Phase) -> StatusChange:
    """A change to `version` from the one before it."""
    return StatusChange(
        execution, version - 1, version, Phase.RUNNING,
        steps=tuple(StepStatus(step_id, phase) for step_id, phase in steps.items()),
    )  # fmt: skip


async def test_changes_of_one_execution_are_coalesced() -> None:
    """The newest of each step, from where the reader stood."""
    feed = Feed()
    with feed.subscribe() as reader:
        feed.publish([change("x", 1, a=Phase.PENDING), change("y", 1)])
        feed.publish([change("x", 2, a=Phase.RUNNING, b=Phase.PENDING)])
        x, y = await reader.get()
        assert (x.expected_version, x.version, y.version) == (0, 2, 1)
        assert {step.id: step.phase for step in x.steps} == {"a": Phase.RUNNING, "b": Phase.PENDING}
        feed.publish([change("x", 3, b=Phase.RUNNING)])
        (x,) = await reader.get()
        assert (x.expected_version, [step.id for step in x.steps]) == (2, ["b"])
        assert reader.take() == []


async def test_a_reader_that_waits_is_woken() -> None:
    """By a change, or by trouble, when there is nothing to tell."""
    feed = Feed()
    got: list[list[StatusChange]] = []
    with feed.subscribe() as reader:

        async def read() -> None:
            got.append(await reader.get())

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.lowlevel.checkpoint()
                feed.publish([change("x", 1)])
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.lowlevel.checkpoint()
                feed.wake()
    assert [len(changes) for changes in got] == [1, 0]


async def test_who_left_is_told_nothing() -> None:
    """And holds nothing."""
    feed = Feed()
    with feed.subscribe() as reader:
        pass
    feed.publish([change("x", 1)])
    assert reader.take() == []
