"""Being told of changes, without polling."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import anyio
import pytest

from phased.errors import FileUnreadable
from phased.logs.watching import Watch, until
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record

pytestmark = pytest.mark.anyio

SECONDS = 60


async def told(watch: Watch, path: Path) -> None:
    """Wait until it tells of this path."""
    with anyio.fail_after(SECONDS):
        while path not in (await watch.next() or ()):
            pass


async def test_tells_which_file_changed(tmp_path: Path) -> None:
    """When it is made, written to, moved and deleted."""
    with Watch([tmp_path]) as watch:
        log = tmp_path / "log"
        log.touch()
        await told(watch, log)
        log.write_text("more")
        await told(watch, log)
        log.rename(tmp_path / "other")
        await told(watch, tmp_path / "other")
        (tmp_path / "other").unlink()
        await told(watch, tmp_path / "other")


async def test_waits_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    """However much of the way to it is missing; and again when it is deleted."""
    folder = tmp_path / "runs" / "execution"
    with Watch([folder]) as watch:
        for _ in range(3):
            folder.mkdir(parents=True)
            await told(watch, folder)
            (folder / "log").touch()
            with anyio.fail_after(SECONDS):
                while not {folder, folder / "log"} & (await watch.next() or frozenset()):
                    pass
            shutil.rmtree(folder.parent)
            await told(watch, folder)


async def test_watches_several_folders_at_once(tmp_path: Path) -> None:
    """Two of them through the same one above."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    folders[2].mkdir()
    with Watch(folders) as watch:
        for folder in folders:
            folder.mkdir(exist_ok=True)
            (folder / "log").touch()
            with anyio.fail_after(SECONDS):
                while not {folder, folder / "log"} & (await watch.next() or frozenset()):
                    pass


async def test_the_end_comes_first(tmp_path: Path) -> None:
    """None, once that returns; a failure of it comes as it is."""

    async def at_once() -> None:
        pass

    async def fail() -> None:
        raise FileUnreadable("cannot do it")

    with Watch([tmp_path]) as watch, anyio.fail_after(SECONDS):
        assert await watch.next(at_once) is None
        with pytest.raises(FileUnreadable, match="cannot do it"):
            await watch.next(fail)


async def test_until_asks_at_once_and_after_changes(tmp_path: Path) -> None:
    """And not in between."""
    asked = 0

    async def holds() -> bool:
        nonlocal asked
        asked += 1
        return (tmp_path / "done").exists()

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(SECONDS):
            tasks.start_soon(until, tmp_path, holds)
            await anyio.wait_all_tasks_blocked()
            assert asked == 1
            (tmp_path / "done").touch()
    assert asked == 2


async def test_until_hears_of_what_another_connection_saves(tmp_path: Path) -> None:
    """So whoever follows a log learns of its run's end without a daemon to ask."""
    store = SqliteStore.open(tmp_path / "state.db")
    reader = SqliteStore.open_readonly(tmp_path / "state.db")
    one = record()

    async def over() -> bool:
        return not await reader.is_unfinished(one.id)

    try:
        await store.create([(one, change(one, 0, 1, Phase.RUNNING))])
        with anyio.fail_after(SECONDS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until, tmp_path, over)
                await anyio.wait_all_tasks_blocked()
                await store.save([change(one, 1, 2, Phase.SUCCEEDED)])
    finally:
        await store.close()


def test_too_few_watches_is_told(tmp_path: Path) -> None:
    """With the settings of the system that limit them."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0 if os.path.exists("/proc/self/fd/0") else 2)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(FileUnreadable, match=r"^cannot follow .*fs\.inotify\.max_user_instances"):
            Watch([tmp_path]).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
