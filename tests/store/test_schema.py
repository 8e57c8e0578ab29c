"""How a state file is made and brought up to date: with a backup, whole migrations, or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from phased.errors import StoreError, StoreTooNew
from phased.store import schema
from phased.store.migrations import MIGRATIONS
from phased.store.sqlite import SqliteStore
from tests.store.build import change, record
from tests.store.test_faults import tree

pytestmark = pytest.mark.anyio

FIRST = ("CREATE TABLE things (a)", "INSERT INTO things VALUES ('kept')")
SECOND = ("ALTER TABLE things ADD COLUMN b", "UPDATE things SET b = 'new'")
THIRD = ("CREATE TABLE more (a)",)
FAILING = ("CREATE TABLE half (a)", "INSERT INTO nowhere VALUES (1)")


def migrate(path: Path, *migrations: Sequence[str]) -> None:
    """As a program does that knows these."""
    with closing(schema.connect_to(path, "mode=rw")) as connection:
        schema.migrate(connection, path, migrations)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query answers."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_new_file_is_whole_and_ours(tmp_path: Path) -> None:
    """Nothing of its making is left beside it."""
    path = tmp_path / "state.db"
    schema.create(path)
    assert os.listdir(tmp_path) == ["state.db"]
    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert rows(path, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_migrates_after_a_backup(tmp_path: Path) -> None:
    """The backup is the state as it was, for its user alone."""
    path = tmp_path / "state.db"
    schema.create(path, [FIRST])
    migrate(path, FIRST, SECOND, THIRD)
    assert rows(path, "SELECT a, b FROM things") == [("kept", "new")]
    assert rows(path, "SELECT count(*) FROM more") == [(0,)]
    assert rows(path, "PRAGMA user_version") == [(3,)]
    backup = tmp_path / "state.db.v1.backup"
    assert rows(backup, "SELECT * FROM things") == [("kept",)]
    assert rows(backup, "PRAGMA user_version") == [(1,)]
    assert backup.stat().st_mode & 0o777 == 0o600
    schema.inspect(backup)


def test_what_is_up_to_date_gets_no_backup(tmp_path: Path) -> None:
    """Opening twice leaves one file."""
    path = tmp_path / "state.db"
    schema.create(path, [FIRST])
    migrate(path, FIRST)
    assert os.listdir(tmp_path) == ["state.db"]


def test_a_failing_migration_changes_nothing_and_names_the_backup(tmp_path: Path) -> None:
    """Those before it stay; it can be tried again, and the first backup is not overwritten."""
    path = tmp_path / "state.db"
    schema.create(path, [FIRST])
    with pytest.raises(
        StoreError, match=r"^cannot bring up to date the state .*nowhere.*state\.db\.v1\.backup"
    ):
        migrate(path, FIRST, SECOND, FAILING)
    assert rows(path, "PRAGMA user_version") == [(2,)]
    assert rows(path, "SELECT name FROM sqlite_master") == [("things",)]
    with pytest.raises(StoreError, match=r"state\.db\.v2\.backup"):
        migrate(path, FIRST, SECOND, FAILING)
    with pytest.raises(StoreError, match=r"state\.db\.v2\.backup\.1"):
        migrate(path, FIRST, SECOND, FAILING)
    migrate(path, FIRST, SECOND, THIRD)
    assert rows(path, "SELECT a, b FROM things") == [("kept", "new")]


def test_a_version_from_the_future_is_refused_while_migrating(tmp_path: Path) -> None:
    """And nothing is backed up."""
    path = tmp_path / "state.db"
    schema.create(path, [FIRST, SECOND])
    with pytest.raises(StoreTooNew):
        migrate(path, FIRST)
    assert os.listdir(tmp_path) == ["state.db"]


async def test_the_store_brings_an_older_state_up_to_date(tmp_path: Path) -> None:
    """One from before the first migration stands for all of them."""
    path = tmp_path / "state.db"
    schema.create(path, [])
    store = SqliteStore.open(path)
    try:
        one = record()
        await store.create([(one, change(one, 0, 1))])
        assert await store.get(one.id) is not None
    finally:
        await store.close()
    assert sorted(os.listdir(tmp_path)) == ["state.db", "state.db.v0.backup"]


async def test_an_older_state_can_be_read_without_changing_it(tmp_path: Path) -> None:
    """It is brought up to date in memory."""
    path = tmp_path / "state.db"
    schema.create(path, [])
    before = tree(tmp_path)
    assert await SqliteStore.open_readonly(path).list() == []
    assert tree(tmp_path) == before
