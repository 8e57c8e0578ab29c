"""What every store of firings does, on disk or in memory: one suite over both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from phased.core.firing import FiringPart, FiringRecord, Result
from phased.errors import StoreError
from phased.store import firings as on_disk
from phased.store import memory_firings as in_memory
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from tests.store.build import identifier

pytestmark = pytest.mark.anyio
Store = MemoryStore | SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """One that is empty."""
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


def firing(name: str, environment: str = "one") -> FiringRecord:
    """A record that has something in every field."""
    parts = (
        FiringPart("build", False, "prebuild", True, identifier("x"), True, Result.FAILED, "exit code 3"),
        FiringPart("db", True, "beforeSnapshot", False, "", False, Result.SUCCEEDED),
    )
    return FiringRecord(
        identifier(name), identifier(environment), ("prebuild", "beforeSnapshot"), 5, identifier("somebody"),
        "PRINCIPAL_USER", parts, True, identifier("before"), Result.FAILED, "ünlucky", 9,
    )  # fmt: skip


async def test_firings_come_back_as_they_were_saved(store: Store) -> None:
    """By id, and newest first; saving again replaces."""
    one, other = firing("one"), firing("other", "two")
    running = replace(one, result=Result.RUNNING, completed_at=None)
    await store.firings.save_firing(running)
    await store.firings.save_firing(other)
    assert await store.firings.list_firings(unfinished=True) == [running]
    await store.firings.save_firing(one)
    assert await store.firings.get_firing(one.id) == one
    assert await store.firings.get_firing(identifier("nobody")) is None
    assert await store.firings.list_firings() == [other, one]
    assert await store.firings.list_firings(one.environment_id) == [one]
    assert await store.firings.list_firings(one.environment_id, unfinished=True) == []


async def test_they_go_with_their_environment(store: Store) -> None:
    """Others stay."""
    one, other = firing("one"), firing("other", "two")
    await store.firings.save_firing(one)
    await store.firings.save_firing(other)
    await store.definitions.remove_environment(one.environment_id)
    assert await store.firings.list_firings() == [other]


async def test_the_newest_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each environment so many, and what is not completed."""
    monkeypatch.setattr(on_disk, "KEPT", 3)
    monkeypatch.setattr(in_memory, "_KEPT", 3)
    running = replace(firing("running"), completed_at=None)
    await store.firings.save_firing(running)
    await store.firings.save_firing(firing("other", "two"))
    for number in range(6):
        await store.firings.save_firing(firing(f"number {number}"))
    kept = [one.id for one in await store.firings.list_firings(running.environment_id)]
    assert kept == [identifier(f"number {number}") for number in (5, 4, 3)] + [running.id]
    assert len(await store.firings.list_firings()) == 5


async def test_a_closed_store_refuses(store: Store) -> None:
    """As every part of it."""
    await store.close()
    with pytest.raises(StoreError):
        await store.firings.list_firings()
    with pytest.raises(StoreError):
        await store.firings.save_firing(firing("one"))
