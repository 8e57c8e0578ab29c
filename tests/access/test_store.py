"""The port of secrets and tokens, over every store that implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from phased.core.access import FormerValue, MountKind, ScopeKind, SecretRecord, TokenRecord
from phased.errors import StoreError
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

SECRET = SecretRecord(
    "one",
    "KEY",
    ScopeKind.PROJECT,
    "owner",
    MountKind.FILE_PATH,
    "/x/y",
    b"\x00\xffsealed",
    1,
    2,
    "creator",
    "P",
)
OTHER = replace(SECRET, id="two", scope=ScopeKind.USER, mount=MountKind.API_ONLY, place="")
FORMER = FormerValue("one", ScopeKind.PROJECT, "owner", b"old", 3)
TOKEN = TokenRecord("t", b"\x00digest", ("A", "B"), "environment", 1, 9, "creator", "P", 1000, "words")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MemoryStore | SqliteStore]:
    """Each of them."""
    made = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


async def test_secrets_come_back_as_they_were(store: MemoryStore | SqliteStore) -> None:
    """New, replaced with what it was before, removed."""
    await store.access.save_secret(SECRET)
    await store.access.save_secret(OTHER)
    assert await store.access.list_secrets() == [SECRET, OTHER]
    newer = replace(SECRET, sealed=b"new", updated_at=5)
    await store.access.save_secret(newer, FORMER)
    assert await store.access.list_secrets() == [newer, OTHER]
    assert await store.access.list_former_values() == [FORMER]
    await store.access.remove_secrets(
        [replace(FORMER, until=7), replace(FORMER, secret_id="nobody", until=8)]
    )
    assert await store.access.list_secrets() == [OTHER]
    assert [one.until for one in await store.access.list_former_values()] == [3, 7, 8]
    await store.access.drop_former_values(7)
    assert [one.until for one in await store.access.list_former_values()] == [7, 8]


async def test_tokens_come_back_as_they_were(store: MemoryStore | SqliteStore) -> None:
    """With everything, and with nothing."""
    bare = TokenRecord("u", b"x", (), None, 2, None, "creator", "P")
    await store.access.save_token(TOKEN)
    await store.access.save_token(bare)
    assert await store.access.list_tokens() == [TOKEN, bare]
    await store.access.remove_tokens(["t", "nobody"])
    assert await store.access.list_tokens() == [bare]


async def test_what_is_there_already_is_refused(store: MemoryStore | SqliteStore) -> None:
    """And changes nothing."""
    await store.access.save_secret(SECRET)
    with pytest.raises(StoreError):
        await store.access.save_secret(replace(SECRET, id="three"), FORMER)
    await store.access.save_token(TOKEN)
    with pytest.raises(StoreError):
        await store.access.save_token(replace(TOKEN, id="v"))
    assert await store.access.list_secrets() == [SECRET]
    assert await store.access.list_former_values() == []
    assert await store.access.list_tokens() == [TOKEN]


async def test_a_closed_store_is_no_store(store: MemoryStore | SqliteStore) -> None:
    """Each call says so."""
    access = store.access
    await store.close()
    for call in (access.save_secret(SECRET), access.remove_secrets([FORMER]), access.save_token(TOKEN)):
        with pytest.raises(StoreError):
            await call
    with pytest.raises(StoreError):
        await access.list_secrets()


def test_no_record_shows_what_it_keeps() -> None:
    """Neither sealed values nor digests."""
    assert "sealed" not in repr(SECRET)
    assert "old" not in repr(FORMER)
    assert "digest" not in repr(TOKEN)
