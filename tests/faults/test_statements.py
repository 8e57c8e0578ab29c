"""Every statement of the store fails, in each way that a disk has: a call is done whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from phased.core.service_phases import ServiceState
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.errors import StoreError
from phased.store.sqlite import SqliteStore
from tests.access.test_store import FORMER, OTHER, SECRET, TOKEN
from tests.faults.failing import MESSAGES, Fault, failing_store
from tests.store.build import Phase, change, record, step
from tests.store.test_definitions import a_service, environment, kept
from tests.store.test_firings import firing

pytestmark = pytest.mark.anyio

ONE, TWO = record("one"), record("two", reference="test")
DB = a_service("db")
RUNNING = replace(DB, status=ServiceChange(DB.id, 1, 2, ServiceProgress(state=ServiceState.RUNNING)))

Call = Callable[[SqliteStore], Awaitable[Any]]
CALLS: Sequence[Call] = (
    lambda s: s.definitions.save_environments([environment(), environment("other")]),
    lambda s: s.definitions.save_tasks([kept("build"), kept("test")]),
    lambda s: s.save_services([DB, a_service("web")], durable=True),
    lambda s: s.access.save_secret(SECRET),
    lambda s: s.access.save_secret(replace(SECRET, sealed=b"new"), FORMER),
    lambda s: s.access.save_secret(OTHER),
    lambda s: s.access.save_token(TOKEN),
    lambda s: s.firings.save_firing(firing("f")),
    lambda s: s.create([(ONE, change(ONE, 0, 1, Phase.PENDING)), (TWO, change(TWO, 0, 1, Phase.PENDING))]),
    lambda s: s.save([change(ONE, 1, 2, Phase.RUNNING, step("a")), change(TWO, 1, 2, Phase.RUNNING)]),
    lambda s: s.save_services([RUNNING]),
    lambda s: s.save(
        [change(ONE, 2, 3, Phase.RUNNING, step("a", Phase.SUCCEEDED), step("b")), change(ONE, 3, 4)]
    ),
    lambda s: s.save([change(ONE, 4, 5, Phase.SUCCEEDED, step("b", Phase.SUCCEEDED))]),
    lambda s: s.definitions.save_tasks([kept("build", created_at=7)], remove=[kept("test").id]),
    lambda s: s.access.remove_secrets([FORMER]),
    lambda s: s.access.drop_former_values(4),
    lambda s: s.access.remove_tokens([TOKEN.id]),
    lambda s: s.history.remove([ONE.id, TWO.id]),
    lambda s: s.remove_services([a_service("web").id]),
    lambda s: s.firings.save_firing(replace(firing("f"), creator_id="another")),
    lambda s: s.definitions.remove_environment(environment("other").id),
)
"""Each way to write, and some ways that build on others."""


async def picture(store: SqliteStore) -> list[Any]:
    """All that a store has."""
    return [
        await store.list(),
        await store.list_services(),
        await store.definitions.list_environments(),
        await store.definitions.list_tasks(),
        await store.access.list_secrets(),
        await store.access.list_former_values(),
        await store.access.list_tokens(),
        await store.firings.list_firings(),
    ]


async def without_faults() -> tuple[list[list[Any]], int]:
    """The picture before each call and at the end, and how many statements there are."""
    fault = Fault()
    store = failing_store(fault)
    try:
        pictures = [await picture(store)]
        for call in CALLS:
            await call(store)
            pictures.append(await picture(store))
    finally:
        await store.close()
    return pictures, fault.count


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until it is mended"])
async def test_each_statement_may_fail(lasting: bool) -> None:
    """The call raises and nothing of it is saved; once the disk works, it can be done again."""
    pictures, count = await without_faults()
    assert count > 60
    for nth in range(1, count + 1):
        for code in MESSAGES:
            fault = Fault(code, nth, lasting)
            await _all_calls(fault, pictures)
            assert fault.failed


async def _all_calls(fault: Fault, pictures: Sequence[list[Any]]) -> None:
    store = failing_store(fault)
    try:
        for number, call in enumerate(CALLS):
            try:
                await call(store)
            except StoreError:
                assert await picture(store) == pictures[number], (number, fault)
                fault.heal()
                await call(store)
        assert await picture(store) == pictures[-1], fault
    finally:
        await store.close()


def test_the_words_are_those_of_sqlite() -> None:
    """Of a real disk that is full, so to say."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError, match=MESSAGES[sqlite3.SQLITE_FULL]) as caught:
            connection.execute("CREATE TABLE a (b)")
        assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    finally:
        connection.close()
