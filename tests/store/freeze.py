"""Makes the frozen state files of tests/fixtures: `python -m tests.store.freeze VERSION`, once a schema.

A frozen file stays as it is for ever: it stands for what users have. It holds something in every table.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio

from phased.store import schema
from phased.store.migrations import MIGRATIONS
from phased.store.sqlite import SqliteStore
from tests.access.test_store import FORMER, OTHER, SECRET, TOKEN
from tests.store.build import Phase, change, record, step
from tests.store.test_definitions import a_service, environment, kept
from tests.store.test_firings import firing

CLEARING = (12.5, 22.25)
"""Of the execution that has ended; from schema 7 on."""
FIXTURES = Path(__file__).parents[1] / "fixtures"


def frozen(version: int) -> Path:
    """Where the state file of a schema is."""
    return FIXTURES / f"state-{version}.db.gz"


def thaw(version: int, path: Path) -> None:
    """A copy to work on."""
    with gzip.open(frozen(version)) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


async def _fill(path: Path) -> None:
    store = SqliteStore.open(path)
    ended, running = record("ended"), record("running", reference="test", created_at=2000)
    await store.create([(one, change(one, 0, 1, Phase.PENDING)) for one in (ended, running)])
    await store.save([change(ended, 1, 2, Phase.SUCCEEDED, step("compile", Phase.SUCCEEDED), step("link"))])
    ended_at_last = change(ended, 2, 3, Phase.SUCCEEDED)
    await store.save([replace(ended_at_last, clearing=CLEARING)])
    await store.save([change(running, 1, 2, Phase.RUNNING, step("compile", output={"A": "ü"}))])
    await store.save_services([a_service("db")])
    await store.definitions.save_environments([environment()])
    await store.definitions.save_tasks([kept("build")])
    await store.access.save_secret(OTHER)
    await store.access.save_secret(SECRET, FORMER)
    await store.access.save_token(TOKEN)
    await store.firings.save_firing(firing("f"))
    await store.close()


def _freeze(version: int) -> None:
    """What is known today, as far as the tables of that version have a place for it."""
    with tempfile.TemporaryDirectory() as folder:
        today, old = Path(folder, "today.db"), Path(folder, "old.db")
        anyio.run(_fill, today)
        schema.create(old, MIGRATIONS[:version])
        with closing(sqlite3.connect(old, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS today", (str(today),))
            names = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({name})"))
                connection.execute(f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM today.{name}")
            connection.execute("DETACH today")
            connection.execute("VACUUM")
        FIXTURES.mkdir(exist_ok=True)
        frozen(version).write_bytes(gzip.compress(old.read_bytes(), mtime=0))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        _freeze(int(argument))
