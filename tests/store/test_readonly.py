"""Reading history beside a writer, after one, and after one that was killed; leaving no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from phased.errors import StoreError
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, identifier, record, step
from tests.store.test_faults import filled, tree

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from phased.store.sqlite import SqliteStore
from tests.store.build import change, record
store = SqliteStore.open(Path(sys.argv[1]))
one = record()
asyncio.run(store.create([(one, change(one, 0, 1))]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def write_and_die(path: Path) -> None:
    """A process saves one execution and is killed."""
    command = [sys.executable, "-c", WRITER, str(path)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL


async def test_where_there_is_no_state_there_is_no_history(tmp_path: Path) -> None:
    """And none is made."""
    reader = SqliteStore.open_readonly(tmp_path / "none" / "state.db")
    assert await reader.list() == []
    assert await reader.get(identifier("one")) is None
    assert await reader.find("a") == []
    assert not await reader.is_unfinished(identifier("one"))
    assert os.listdir(tmp_path) == []


async def test_reads_a_closed_state_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    """SQLite alone would make two files beside it."""
    await filled(tmp_path / "state.db", 3)
    before = tree(tmp_path)
    reader = SqliteStore.open_readonly(tmp_path / "state.db")
    assert [one.record.created_at for one in await reader.list()] == [2, 1, 0]
    assert tree(tmp_path) == before


async def test_sees_each_new_status_of_a_writer(tmp_path: Path) -> None:
    """A reader that was there before the writer, too."""
    path = tmp_path / "state.db"
    await filled(path, 1)
    reader = SqliteStore.open_readonly(path)
    assert len(await reader.list()) == 1
    store = SqliteStore.open(path)
    try:
        one = record("new", created_at=9)
        await store.create([(one, change(one, 0, 1, Phase.PENDING))])
        assert await reader.is_unfinished(one.id)
        assert await reader.get(one.id) == await store.get(one.id)
        await store.save([change(one, 1, 2, Phase.SUCCEEDED, step("a"))])
        assert not await reader.is_unfinished(one.id)
        assert await reader.list() == await store.list()
        assert await reader.find(one.id[:8]) == await store.find(one.id[:8])
    finally:
        await store.close()
    assert len(await reader.list(limit=1)) == 1
    assert os.listdir(tmp_path) == ["state.db"]


async def test_reads_what_a_killed_writer_left_in_the_log(tmp_path: Path) -> None:
    """The state and its log stay as they are."""
    path = tmp_path / "state.db"
    write_and_die(path)
    before = tree(tmp_path)
    assert before["state.db-wal"]
    reader = SqliteStore.open_readonly(path)
    assert [one.record.id for one in await reader.list()] == [record().id]
    after = tree(tmp_path)
    assert set(after) == set(before)
    assert {name: after[name] == before[name] for name in ("state.db", "state.db-wal")} == {
        "state.db": True,
        "state.db-wal": True,
    }


async def test_writes_nothing(tmp_path: Path) -> None:
    """Not even where the caller asks for it."""
    await filled(tmp_path / "state.db", 1)
    reader = SqliteStore.open_readonly(tmp_path / "state.db")
    one = record("new")
    with pytest.raises(StoreError, match=r"^cannot save .*for reading only"):
        await reader.create([(one, change(one, 0, 1))])
    with pytest.raises(StoreError, match=r"^cannot save .*for reading only"):
        await reader.save([change(one, 1, 2)])


async def test_after_closing_it_answers_no_more(tmp_path: Path) -> None:
    """As every store."""
    reader = SqliteStore.open_readonly(tmp_path / "state.db")
    await reader.close()
    with pytest.raises(StoreError, match=r"^cannot read .*closed"):
        await reader.list()
