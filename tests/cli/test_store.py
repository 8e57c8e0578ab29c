"""`phased store`: with a daemon or a run on the directory, and without."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.cli.program import Program, program


@pytest.fixture(scope="module")
def phased() -> Iterator[Program]:
    """A workspace in which something has run."""
    with program() as made:
        made.write("tasks: {a: {command: echo hi}}\n")
        done = made.run("run", "a")
        assert done.returncode == 0, done.stderr
        yield made


def test_a_state_is_checked_copied_and_restored(phased: Program) -> None:
    """What is answered names the files."""
    copy = phased.home / "copy.db"
    assert phased.call("store", "check").stdout == f"{phased.state}/state.db: nothing is wrong\n"
    answer = json.loads(phased.call("store", "backup", str(copy), "-o", "json").stdout)
    assert answer == {"file": str(copy), "bytes": copy.stat().st_size}
    refused = phased.call("store", "backup", str(copy))
    assert refused.returncode == 1
    assert "something is there" in refused.stderr
    assert json.loads(phased.call("store", "check", str(copy), "-o", "json").stdout)["valid"] is True
    answer = json.loads(phased.call("store", "restore", str(copy), "-o", "json").stdout)
    assert answer == {"file": f"{phased.state}/state.db", "former": f"{phased.state}/state.db.replaced-1"}
    assert len(json.loads(phased.call("executions", "-o", "json").stdout)["taskExecutions"]) == 1
    assert phased.call("store", "repair").stdout.endswith("nothing is wrong\n")


def test_damage_is_told_and_repaired(phased: Program) -> None:
    """The exit code says that something is wrong, and so what to do."""
    state = phased.state / "state.db"
    with closing(sqlite3.connect(state)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'executions_by_creation'"
        (page,) = connection.execute(sql).fetchone()
    with state.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    checked = phased.call("store", "check")
    assert checked.returncode == 1
    assert "phased store repair" in checked.stderr
    repaired = phased.call("store", "repair")
    assert repaired.returncode == 0, repaired.stderr
    assert f"{state}.damaged-1: the state as it was\n" in repaired.stdout
    assert phased.call("store", "check").returncode == 0


def test_what_is_no_state_is_refused(phased: Program) -> None:
    """With the way out."""
    other = phased.home / "other"
    other.write_text("tasks: {}")
    refused = phased.call("store", "restore", str(other))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"phased: cannot open the state {other}: it is no database; ")
    assert phased.call("store", "check", str(phased.home / "none")).returncode == 1


def test_runs_in_the_foreground_forget_too(phased: Program) -> None:
    """Those beyond the number that is kept, with their logs."""
    done = phased.run("run", "a", env={"PHASED_HISTORY_KEEP_COUNT": "1"})
    assert done.returncode == 0, done.stderr
    (left,) = json.loads(phased.call("executions", "-o", "json").stdout)["taskExecutions"]
    assert [path.name for path in (phased.state / "runs").iterdir()] == [left["id"]]
