"""A state is checked, copied, restored and repaired, and nothing of it is lost on the way."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from phased.core.environment import ExecutionQuery
from phased.errors import StoreError, StoreTooNew, StoreUnreadable
from phased.ports import StoredExecution
from phased.store import mending, schema, upkeep
from phased.store.migrations import MIGRATIONS
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record, step
from tests.store.test_faults import alter, filled, tree

pytestmark = pytest.mark.anyio

PAGE = 4096


async def executions(path: Path) -> dict[str, StoredExecution]:
    """All that a state file has, by id."""
    store = SqliteStore.open(path)
    try:
        return {one.record.id: one for one in await store.list(limit=100_000)}
    finally:
        await store.close()


def leaf_pages(path: Path, table: str) -> list[int]:
    """The pages of a table that hold its rows, by number, in their order in the file."""
    with closing(sqlite3.connect(path)) as connection:
        root, pages = connection.execute(
            "SELECT rootpage, (SELECT page_count FROM pragma_page_count) FROM sqlite_master WHERE name = ?",
            (table,),
        ).fetchone()
    content = path.read_bytes()
    kind = content[(root - 1) * PAGE]
    if kind == 13:
        return [root]
    assert kind == 5, "a table's inner page, https://www.sqlite.org/fileformat.html"
    start = (root - 1) * PAGE
    cells = int.from_bytes(content[start + 3 : start + 5], "big")
    offsets = [start + 12 + 2 * n for n in range(cells)]
    found = [int.from_bytes(content[o : o + 2], "big") + start for o in offsets]
    children = [int.from_bytes(content[o : o + 4], "big") for o in found]
    children.append(int.from_bytes(content[start + 8 : start + 12], "big"))
    assert all(page <= pages for page in children)
    return children


def destroy(path: Path, *pages: int) -> None:
    """Overwrite these pages, as a bad disk does."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(b"\xa5" * PAGE)


async def test_a_state_in_use_is_checked_and_copied(tmp_path: Path) -> None:
    """What was committed before is in the copy, what comes later is not; only its user may read it."""
    path, copy = tmp_path / "state.db", tmp_path / "copy.db"
    store = SqliteStore.open(path)
    try:
        one, two = record("one"), record("two")
        await store.create([(one, change(one, 0, 1, Phase.RUNNING, step("a")))])
        assert upkeep.check(path) == []
        upkeep.backup(path, copy)
        await store.create([(two, change(two, 0, 1))])
    finally:
        await store.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert upkeep.check(copy) == []
    assert (await executions(copy)).keys() == {one.id}


async def test_checking_and_copying_change_nothing(tmp_path: Path) -> None:
    """No file is made beside a state that nobody uses."""
    path = tmp_path / "s" / "state.db"
    path.parent.mkdir()
    await filled(path)
    before = tree(path.parent)
    assert upkeep.check(path) == []
    upkeep.backup(path, tmp_path / "copy.db")
    assert tree(path.parent) == before


async def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    """Nor is one made where it cannot be."""
    path = tmp_path / "state.db"
    await filled(path)
    (tmp_path / "there").write_text("precious")
    with pytest.raises(StoreError, match=r"^cannot back up the state to .*something is there"):
        upkeep.backup(path, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    with pytest.raises(StoreError, match=r"^cannot back up the state to .*there is no such folder; make it"):
        upkeep.backup(path, tmp_path / "none" / "copy.db")


async def test_restoring_keeps_the_former_state(tmp_path: Path) -> None:
    """Also what of it was only in its log: a daemon that was killed leaves one."""
    path, copy = tmp_path / "state.db", tmp_path / "copy.db"
    await filled(path, 2)
    upkeep.backup(path, copy)
    old = await executions(path)
    store = SqliteStore.open(path)
    late = record("late")
    await store.create([(late, change(late, 0, 1))])
    log = path.with_name("state.db-wal").read_bytes()
    content = path.read_bytes()
    await store.close()
    path.write_bytes(content)
    path.with_name("state.db-wal").write_bytes(log)
    former = upkeep.restore(path, copy)
    assert former == tmp_path / "state.db.replaced-1"
    assert await executions(path) == old
    assert (await executions(former)).keys() == old.keys() | {late.id}
    assert upkeep.restore(path, former) == tmp_path / "state.db.replaced-2"
    assert late.id in await executions(path)


async def test_restoring_where_nothing_is_or_something_else(tmp_path: Path) -> None:
    """A state that no program could open is kept as well, with its log."""
    await filled(tmp_path / "copy.db", 3)
    path = tmp_path / "state.db"
    assert upkeep.restore(path, tmp_path / "copy.db") is None
    path.write_bytes(b"garbage")
    path.with_name("state.db-wal").write_bytes(b"its log")
    former = upkeep.restore(path, tmp_path / "copy.db")
    assert former is not None
    assert former.read_bytes() == b"garbage"
    assert former.with_name(f"{former.name}-wal").read_bytes() == b"its log"
    assert len(await executions(path)) == 3


async def test_what_is_no_good_backup_is_not_restored(tmp_path: Path) -> None:
    """And the state stays as it was."""
    path, bad = tmp_path / "state.db", tmp_path / "bad.db"
    await filled(path)
    before = path.read_bytes()
    bad.write_bytes(b"tasks: {}")
    with pytest.raises(StoreUnreadable, match="no database"):
        upkeep.restore(path, bad)
    await filled(tmp_path / "new.db")
    alter(tmp_path / "new.db", "PRAGMA user_version = 999")
    with pytest.raises(StoreTooNew):
        upkeep.restore(path, tmp_path / "new.db")
    await filled(tmp_path / "torn.db", 150)
    destroy(tmp_path / "torn.db", leaf_pages(tmp_path / "torn.db", "executions")[3])
    with pytest.raises(StoreUnreadable, match=r"^cannot restore the state from .*torn.db: "):
        upkeep.restore(path, tmp_path / "torn.db")
    assert path.read_bytes() == before


async def test_damage_is_found_and_what_is_left_is_saved(tmp_path: Path) -> None:
    """What lay on a page that is lost is gone, all else is as it was; of no execution a part is kept."""
    path = tmp_path / "state.db"
    await filled(path, 300)
    whole = await executions(path)
    leaves = leaf_pages(path, "executions")
    assert len(leaves) > 15
    assert len(leaf_pages(path, "statuses")) > 1
    destroy(path, leaves[2], leaves[9], leaves[10], leaf_pages(path, "statuses")[0])
    damaged = path.read_bytes()
    assert upkeep.check(path)
    with pytest.raises(StoreError):
        upkeep.backup(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    done = mending.repair(path)
    assert done.former is not None
    assert done.former.read_bytes() == damaged
    assert upkeep.check(path) == []
    left = await executions(path)
    assert 0 < len(left) == done.saved["executions"] < len(whole)
    assert done.torn > 0
    assert all(whole[execution_id] == one for execution_id, one in left.items())
    store = SqliteStore.open(path)
    try:
        more = record("more")
        await store.create([(more, change(more, 0, 1))])
        assert len(await store.definitions.select(ExecutionQuery(), 1000)) == len(left) + 1
    finally:
        await store.close()
    assert mending.repair(path).former is None
    assert sorted(os.listdir(tmp_path)) == ["state.db", done.former.name]


async def test_an_index_that_is_damaged_costs_nothing(tmp_path: Path) -> None:
    """It is made anew."""
    path = tmp_path / "state.db"
    await filled(path, 150)
    whole = await executions(path)
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'executions_by_creation'"
        (root,) = connection.execute(sql).fetchone()
    destroy(path, root)
    assert mending.repair(path).torn == 0
    assert await executions(path) == whole


async def test_what_has_lost_its_list_of_tables_names_the_backups(tmp_path: Path) -> None:
    """Nothing is done to it."""
    path = tmp_path / "state.db"
    await filled(path)
    upkeep.backup(path, tmp_path / "state.db.v5.backup")
    content = bytearray(path.read_bytes())
    content[100:PAGE] = b"\xa5" * (PAGE - 100)
    path.write_bytes(content)
    with pytest.raises(StoreUnreadable, match=r"^cannot repair the state .*restore FILE.*state.db.v5.backup"):
        mending.repair(path)
    assert path.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["state.db", "state.db.v5.backup"]


async def test_an_older_state_is_repaired_as_what_it_is(tmp_path: Path) -> None:
    """The next start brings it up to date."""
    path = tmp_path / "state.db"
    schema.create(path, MIGRATIONS[:2])
    alter(path, "INSERT INTO statuses VALUES (7, 1, 2, NULL, 1, 1, 0, NULL)")
    assert upkeep.check(path) == ["statuses 7 belongs to nothing in executions"]
    assert mending.repair(path).saved["statuses"] == 0
    assert await executions(path) == {}


async def test_what_is_unfinished_is_found_by_its_own_index(tmp_path: Path) -> None:
    """So a recovery takes as long as what was unfinished, however long the history is."""
    store = SqliteStore.open(tmp_path / "state.db")
    asked: list[str] = []
    try:
        store._connection.set_trace_callback(asked.append)
        await store.list(unfinished=True, limit=1_000_000)
        await store.clearing()
        await store.of_firings([record().firing_id])
        await store.firings.list_firings(unfinished=True)
        store._connection.set_trace_callback(None)
        for statement in asked:
            plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            scans = [row[3] for row in plan if row[3].startswith("SCAN")]
            assert all("unfinished" in scan or "clearing" in scan for scan in scans), (statement, plan)
    finally:
        await store.close()
