"""State files of every earlier schema still open, and all that was in them is there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from phased.store import mending, upkeep
from phased.store.migrations import MIGRATIONS
from phased.store.sqlite import SqliteStore
from tests.access.test_store import FORMER, OTHER, SECRET, TOKEN
from tests.store.build import Phase, change, record, step
from tests.store.freeze import CLEARING, frozen, thaw
from tests.store.test_definitions import a_service, environment, kept
from tests.store.test_faults import tree
from tests.store.test_firings import firing

pytestmark = pytest.mark.anyio

NEWEST = len(MIGRATIONS)
VERSIONS = [version for version in range(1, NEWEST + 1) if frozen(version).exists()]


def test_every_schema_is_frozen() -> None:
    """The newest may still change, until it is released; the ones before it never do."""
    assert set(VERSIONS) >= set(range(1, NEWEST)), "run: python -m tests.store.freeze VERSION"


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_older_state_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    """With a backup of it; nothing is lost, and it is as usable as a new one."""
    path = tmp_path / "state.db"
    thaw(version, path)
    store = SqliteStore.open(path)
    try:
        running, ended = await store.list()
        assert (ended.record, running.record.reference) == (record("ended"), "test")
        assert ended.status.steps == (step("compile", Phase.SUCCEEDED), step("link"))
        assert running.status.steps == (step("compile", output={"A": "ü"}),)
        assert [one.record.id for one in await store.list(unfinished=True)] == [running.record.id]
        assert await store.list_services() == ([] if version < 2 else [a_service("db")])
        if version >= 3:
            assert await store.definitions.list_environments() == [environment()]
            assert await store.definitions.list_tasks() == [kept("build")]
        if version >= 4:
            assert {one.id: one for one in await store.access.list_secrets()} == {"one": SECRET, "two": OTHER}
            assert await store.access.list_former_values() == [FORMER]
            assert await store.access.list_tokens() == [TOKEN]
        if version >= 5:
            assert await store.firings.list_firings() == [firing("f")]
        assert len(await store.of_firings([record("ended").firing_id])) == 2
        assert [one.status.clearing for one in await store.clearing()] == ([CLEARING] if version >= 7 else [])
        await store.save([replace(change(running.record, 2, 3, Phase.FAILED), failure_message="lost")])
        await store.create([(record("new"), change(record("new"), 0, 1))])
        assert len(await store.list()) == 3
    finally:
        await store.close()
    assert upkeep.check(path) == []
    backups = [] if version == NEWEST else [f"state.db.v{version}.backup"]
    assert sorted(os.listdir(tmp_path)) == ["state.db", *backups]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_older_state_is_read_checked_and_copied_as_it_is(tmp_path: Path, version: int) -> None:
    """Without a backup, since nothing of it changes."""
    path = tmp_path / "s" / "state.db"
    path.parent.mkdir()
    thaw(version, path)
    before = tree(path.parent)
    assert len(await SqliteStore.open_readonly(path).list()) == 2
    assert upkeep.check(path) == []
    assert mending.repair(path).former is None
    upkeep.backup(path, tmp_path / "copy.db")
    assert tree(path.parent) == before
