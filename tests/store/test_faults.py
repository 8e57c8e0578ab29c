"""What becomes of the store when its file, its disk or its neighbours are not as they should be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from phased.errors import StoreError, StoreFull, StoreTooNew, StoreUnreadable
from phased.ports import ExecutionRecord
from phased.store import failures
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record, step

pytestmark = pytest.mark.anyio

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


async def filled(path: Path, count: int = 30) -> None:
    """A closed state file with something in it."""
    store = SqliteStore.open(path)
    made = [record(str(number), created_at=number) for number in range(count)]
    await store.create([(one, change(one, 0, 1, Phase.RUNNING, step("a"))) for one in made])
    await store.close()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and what it holds; directories hold nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def alter(path: Path, statement: str) -> None:
    """Change a state file as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def refused(path: Path, error: type[StoreError], match: str) -> None:
    """Both ways to open refuse it with this error, and nothing in its folder changes."""
    before = tree(path.parent)
    with pytest.raises(error, match=match):
        SqliteStore.open(path)
    with pytest.raises(error, match=match):
        await SqliteStore.open_readonly(path).list()
    assert tree(path.parent) == before


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "it is empty"), (b"tasks: {}\n", "no database"), (os.urandom(5000), "no database")],
)
async def test_what_is_no_database_is_refused_and_left(tmp_path: Path, content: bytes, match: str) -> None:
    """An empty file too: it may be what a loss of power left of a full one."""
    path = tmp_path / "state.db"
    path.write_bytes(content)
    await refused(path, StoreUnreadable, f"^cannot open the state .*{match}")


async def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """And stays."""
    path = tmp_path / "state.db"
    path.mkdir()
    await refused(path, StoreUnreadable, "^cannot open the state")


async def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    """Nothing is made at its other end."""
    path = tmp_path / "state.db"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"^cannot open the state"):
        SqliteStore.open(path)
    assert path.is_symlink()


async def test_another_programs_database_is_refused_and_left(tmp_path: Path) -> None:
    """Told by the application's id in the header."""
    path = tmp_path / "state.db"
    alter(path, "CREATE TABLE theirs (a)")
    await refused(path, StoreUnreadable, "another program's database")


async def test_a_newer_schema_is_refused_and_left(tmp_path: Path) -> None:
    """Before SQLite has touched the file."""
    path = tmp_path / "state.db"
    await filled(path)
    alter(path, "PRAGMA user_version = 999")
    await refused(path, StoreTooNew, "a newer version wrote it .schema 999")


@pytest.mark.parametrize("kept", [50, 4096, 0.5, -4096])
async def test_a_truncated_file_is_refused_and_left(tmp_path: Path, kept: float) -> None:
    """Cut within the header, after a page, in the middle, by one page."""
    path = tmp_path / "state.db"
    await filled(path)
    whole = path.stat().st_size
    size = int(whole * kept) if isinstance(kept, float) else kept if kept > 0 else whole + kept
    os.truncate(path, size)
    await refused(path, StoreUnreadable, "it is damaged|it is no database")


async def test_a_damaged_page_is_told_when_it_is_read(tmp_path: Path) -> None:
    """Opening does not read everything."""
    path = tmp_path / "state.db"
    await SqliteStore.open(path).close()
    empty = path.stat().st_size  # the schema lies in these pages
    await filled(path, 200)
    content = bytearray(path.read_bytes())
    for page in range(empty, len(content), 4096):
        content[page : page + 64] = b"\xff" * 64
    path.write_bytes(content)
    store = SqliteStore.open(path)
    try:
        with pytest.raises(StoreUnreadable, match=r"^cannot read the state .*it is damaged"):
            await store.list()
    finally:
        await store.close()


async def test_a_state_whose_file_was_lost_is_not_begun_anew_under_its_log(tmp_path: Path) -> None:
    """SQLite would apply the old log to the new file."""
    (tmp_path / "state.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"\0" * 5000)
    with pytest.raises(StoreUnreadable, match=r"the file is missing, but state.db-wal is there"):
        SqliteStore.open(tmp_path / "state.db")
    assert os.listdir(tmp_path) == ["state.db-wal"]


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """It is not the store that makes it."""
    with pytest.raises(StoreError, match=r"^cannot create the state .*No such file"):
        SqliteStore.open(tmp_path / "none" / "state.db")


async def test_what_a_killed_first_start_left_is_no_hindrance(tmp_path: Path) -> None:
    """A half-made file has another name."""
    (tmp_path / "state.db.new").write_bytes(b"half")
    (tmp_path / "state.db.new-journal").write_bytes(b"half")
    await filled(tmp_path / "state.db")
    assert os.listdir(tmp_path) == ["state.db"]


async def test_a_strange_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """Also where it looks like a part of a URI."""
    folder = tmp_path / "a?mode=memory#%41 b'ü"
    folder.mkdir()
    await filled(folder / "state.db", 1)
    assert os.listdir(folder) == ["state.db"]
    assert len(await SqliteStore.open_readonly(folder / "state.db").list()) == 1


async def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    """Whatever the umask is; the files beside it too."""
    store = SqliteStore.open(tmp_path / "state.db")
    try:
        one = record()
        await store.create([(one, change(one, 0, 1))])
        modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    finally:
        await store.close()
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


@contextmanager
def locked(path: Path, mode: str) -> Iterator[None]:
    """Another process holds a write lock."""
    command = [sys.executable, "-c", LOCKER, str(path), f"PRAGMA locking_mode = {mode}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield
        finally:
            process.communicate("")


async def test_waits_shortly_for_another_writer_and_then_says_so(tmp_path: Path) -> None:
    """Reading goes on; writing works again afterwards."""
    path = tmp_path / "state.db"
    store = SqliteStore.open(path)
    try:
        one = record()
        await store.create([(one, change(one, 0, 1))])
        with locked(path, "NORMAL"):
            with pytest.raises(StoreError, match=r"^cannot write the state .*another program has locked it"):
                await store.save([change(one, 1, 2)])
            assert await store.get(one.id) is not None
        await store.save([change(one, 1, 2)])
    finally:
        await store.close()


async def test_a_file_that_another_has_for_itself_is_refused(tmp_path: Path) -> None:
    """Until it is let go."""
    path = tmp_path / "state.db"
    await filled(path)
    with locked(path, "EXCLUSIVE"), pytest.raises(StoreError, match=r"another program has locked it"):
        SqliteStore.open(path)
    store = SqliteStore.open(path)
    await store.close()


async def test_text_that_utf8_cannot_hold_is_saved_as_well_as_it_can_be(tmp_path: Path) -> None:
    """Names of files may be any bytes."""
    store = SqliteStore.open(tmp_path / "state.db")
    try:
        one = record()
        strange = step("a", output={"K": "a\udcff"})
        first = replace(change(one, 0, 1), failure_message="no such directory: /\udcff", why="ü\ud800")
        await store.create([(one, first)])
        await store.save([change(one, 1, 2, Phase.RUNNING, strange)])
        stored = await store.get(one.id)
    finally:
        await store.close()
    assert stored is not None
    assert list(stored.status.steps) == [strange]
    assert stored.status.failure_message is None


async def test_a_number_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """SQLite's integers have 64 bits."""
    store = SqliteStore.open(tmp_path / "state.db")
    try:
        one = record()
        with pytest.raises(StoreError, match=r"^cannot write the state"):
            await store.create([(one, change(one, 0, 2**63))])
        assert await store.list() == []
    finally:
        await store.close()


def fill(folder: Path) -> Path:
    """Leave no room at all."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


async def attempt(store: SqliteStore, made: list[ExecutionRecord], version: int) -> StoreError | None:
    """Save the next status of each, with one more step; why that did not work."""
    more = step(str(version))
    try:
        await store.save([change(one, version, version + 1, Phase.RUNNING, more) for one in made])
    except StoreError as error:
        return error
    return None


async def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(small_disk: Path) -> None:
    """Each call was saved whole or not at all."""
    store = SqliteStore.open(small_disk / "state.db")
    try:
        made = [record(str(number)) for number in range(20)]
        await store.create([(one, change(one, 0, 1)) for one in made])
        filler = fill(small_disk)
        version = 1
        while (refusal := await attempt(store, made, version)) is None:
            version += 1
        assert isinstance(refusal, StoreFull)
        assert "the disk is full" in str(refusal)
        assert {one.status.version for one in await store.list()} == {version}
        filler.unlink()
        await store.save([change(one, version, version + 1) for one in made])
    finally:
        await store.close()
    reopened = SqliteStore.open(small_disk / "state.db")
    try:
        assert {one.status.version for one in await reopened.list()} == {version + 1}
    finally:
        await reopened.close()


async def test_a_full_disk_has_no_room_for_a_new_state(small_disk: Path) -> None:
    """A half-made one is no hindrance later."""
    filler = fill(small_disk)
    with pytest.raises(StoreFull, match=r"the disk is full"):
        SqliteStore.open(small_disk / "state.db")
    filler.unlink()
    store = SqliteStore.open(small_disk / "state.db")
    await store.close()


def foreign() -> list[BaseException]:
    """One of every exception that SQLite's module has, plain and with every code it names."""
    kinds = [
        kind
        for kind in vars(sqlite3).values()
        if isinstance(kind, type) and issubclass(kind, sqlite3.Error | sqlite3.Warning)
    ]
    found: list[BaseException] = [kind("something") for kind in kinds]
    codes = {
        value
        for name, value in vars(sqlite3).items()
        if name.startswith("SQLITE_") and isinstance(value, int)
    }
    for code in sorted(codes):
        error = sqlite3.OperationalError("something")
        error.sqlite_errorcode = code
        found.append(error)
    found += [OSError(number, os.strerror(number)) for number in (1, 2, 5, 13, 21, 28, 30, 122)]
    return [*found, OSError("no number"), OverflowError("too large"), ValueError("no JSON")]


@pytest.mark.parametrize("error", foreign(), ids=repr)
def test_every_foreign_exception_is_translated_and_kept(tmp_path: Path, error: BaseException) -> None:
    """As the cause of the one that is raised."""
    with (
        pytest.raises(StoreError, match=r"^cannot read the state ") as raised,
        failures.translated(tmp_path / "state.db", "read"),
    ):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreUnreadable),
        (sqlite3.SQLITE_NOTADB, StoreUnreadable),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, StoreUnreadable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreError),
        (sqlite3.SQLITE_IOERR_READ, StoreError),
    ],
)
def test_the_kind_follows_the_primary_code(tmp_path: Path, code: int, kind: type[StoreError]) -> None:
    """Extended codes have the primary one in their last byte."""
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    assert type(failures.store_error(error, tmp_path / "state.db", "read")) is kind


async def test_what_must_survive_a_loss_of_power_is_synchronised(tmp_path: Path) -> None:
    """For that transaction alone; an error in it changes nothing of that."""
    store = SqliteStore.open(tmp_path / "state.db")
    try:
        level = store._connection.execute
        with store._transaction(durable=True):
            assert level("PRAGMA synchronous").fetchone() == (2,)
        with pytest.raises(StoreError), store._transaction(durable=True):
            level("SELECT * FROM nowhere")
        assert level("PRAGMA synchronous").fetchone() == (1,)
    finally:
        await store.close()
    full = SqliteStore.open(tmp_path / "state.db", synchronous="full")
    try:
        assert full._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    finally:
        await full.close()


async def test_no_room_is_told_where_no_disk_can_be_filled(tmp_path: Path) -> None:
    """SQLite's own limit of pages raises what a full disk does; so this runs where nothing can be mounted."""
    store = SqliteStore.open(tmp_path / "state.db")
    try:
        made = [record(str(number)) for number in range(200)]
        await store.create([(made[0], change(made[0], 0, 1))])
        store._connection.execute("PRAGMA max_page_count = 20")
        with pytest.raises(StoreFull, match=r"^cannot write the state .*the disk is full"):
            await store.create([(one, change(one, 0, 1)) for one in made[1:]])
        assert [one.record.id for one in await store.list()] == [made[0].id]
        store._connection.execute("PRAGMA max_page_count = 1000000")
        await store.create([(one, change(one, 0, 1)) for one in made[1:]])
        assert len(await store.list(limit=1000)) == 200
    finally:
        await store.close()
