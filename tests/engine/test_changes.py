"""Who is told of which change: coalesced, bounded, and no kind of change lost."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.engine.changes import ChangeFeed
from phased.errors import FellBehind

pytestmark = pytest.mark.anyio

CREATE, UPDATE, STATUS, DELETE = Operation.CREATE, Operation.UPDATE, Operation.UPDATE_STATUS, Operation.DELETE


def publish(feed: ChangeFeed, *operations: Operation, resource: str = "one") -> None:
    """These happen to a task."""
    for operation in operations:
        feed.publish(operation, ResourceType.TASK, resource, "environment")


@pytest.mark.parametrize(
    ("happened", "told"),
    [
        ([CREATE], [CREATE]),
        ([STATUS, STATUS, STATUS], [STATUS]),
        ([CREATE, STATUS, UPDATE, STATUS], [CREATE, UPDATE, STATUS]),
        ([UPDATE, STATUS, DELETE], [DELETE]),
        ([CREATE, UPDATE, DELETE], [CREATE, DELETE]),
        ([DELETE, CREATE], [DELETE, CREATE]),
        ([DELETE, CREATE, UPDATE, DELETE], [CREATE, DELETE]),
    ],
)
def test_what_waits_is_told_once(happened: list[Operation], told: list[Operation]) -> None:
    """Each kind of operation stands where it happened last; a resource that is gone has no updates."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription:
        publish(feed, *happened)
        assert [change.operation for change in subscription.take()] == told
        assert subscription.take() == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([CREATE, UPDATE, STATUS, DELETE])), max_size=30
    )
)
def test_the_last_of_every_resource_is_always_told(happened: list[tuple[str, Operation]]) -> None:
    """In order, with growing sequences, at most four words a resource."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription:
        for resource, operation in happened:
            publish(feed, operation, resource=resource)
        told = subscription.take()
    assert [change.sequence for change in told] == sorted(change.sequence for change in told)
    for resource in {name for name, _ in happened}:
        mine = [change for change in told if change.resource_id == resource]
        assert mine[-1].operation is [operation for name, operation in happened if name == resource][-1]
        assert len({change.operation for change in mine}) == len(mine) <= 4


async def test_a_subscription_is_live_before_it_is_read() -> None:
    """What changes between subscribing and reading is told; what nobody wants is not."""
    feed = ChangeFeed()
    publish(feed, CREATE, resource="before")
    with feed.subscribe(lambda change: change.resource_id != "other") as subscription:
        publish(feed, CREATE, resource="other")
        publish(feed, CREATE)
        with anyio.fail_after(30):
            (change,) = await subscription.get()
    assert (change.resource_id, change.environment_id, change.sequence) == ("one", "environment", 3)
    assert feed.subscribers == 0


async def test_a_reader_that_waits_is_woken() -> None:
    """By a change, and by hand."""
    feed = ChangeFeed()
    with feed.subscribe() as subscription, anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subscription.get)
            await anyio.wait_all_tasks_blocked()
            publish(feed, UPDATE)
        subscription.wake()
        assert await subscription.get() == []


async def test_a_reader_that_does_not_read_is_told_that_it_fell_behind() -> None:
    """Its memory is bounded, others lose nothing, and it stays behind until it subscribes anew."""
    feed = ChangeFeed(most_waiting=10)
    with feed.subscribe() as slow, feed.subscribe() as quick:
        for number in range(100):
            publish(feed, CREATE, resource=str(number))
            assert len(quick.take()) == 1
        with pytest.raises(FellBehind):
            await slow.get()
        publish(feed, CREATE)
        with pytest.raises(FellBehind):
            slow.take()
