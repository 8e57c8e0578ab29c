"""What retention may take of the store: what has ended, and what nobody may look for any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from phased.ports import ExecutionRecord
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record
from tests.store.test_definitions import a_service
from tests.store.test_firings import firing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """One that is empty."""
    made = SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


async def an_execution(store: SqliteStore, name: str, firing_id: str, phase: Phase) -> ExecutionRecord:
    """In this phase, of this firing."""
    one = replace(record(name), firing_id=firing_id)
    await store.create([(one, change(one, 0, 1, phase))])
    return one


async def test_what_is_still_looked_for_is_no_surplus(store: SqliteStore) -> None:
    """What runs, what ran for a firing that goes on, and what ran for a service."""
    open_one = replace(firing("open"), completed_at=None)
    await store.firings.save_firing(open_one)
    service = replace(a_service("db"), firing_id="of a service")
    await store.save_services([service])
    await an_execution(store, "a", "runs", Phase.RUNNING)
    await an_execution(store, "b", "runs", Phase.SUCCEEDED)
    await an_execution(store, "c", open_one.id, Phase.SUCCEEDED)
    await an_execution(store, "d", "of a service", Phase.SUCCEEDED)
    gone = await an_execution(store, "e", "over", Phase.SUCCEEDED)
    found = await store.history.surplus(keep=0, before=None, limit=10)
    assert [one.id for one in found] == [gone.id]


async def test_what_has_not_ended_is_never_removed(store: SqliteStore) -> None:
    """Whoever asks for it."""
    running = await an_execution(store, "a", "one", Phase.RUNNING)
    ended = await an_execution(store, "b", "two", Phase.STOPPED)
    await store.history.remove([running.id, ended.id])
    assert [one.record.id for one in await store.list()] == [running.id]
