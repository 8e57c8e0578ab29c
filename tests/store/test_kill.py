"""A writer that is killed at any moment: what it was told is saved is there, and all of a call or nothing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from phased.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

ROUNDS = 30


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program in `writer.py`, working on state.db."""
    command = [sys.executable, "-m", "tests.store.writer", str(tmp_path / "state.db")]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_one(writer: subprocess.Popen[str], turn: int, lines: int) -> dict[str, int]:
    """Let a child write until it has told that many lines, and kill it; the versions that it told."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    writer.stdin.write(f"{turn}\n")
    writer.stdin.flush()
    word, pid = writer.stdout.readline().split()
    assert word == "pid"
    told: dict[str, int] = {}
    try:
        for _ in range(lines):
            execution, version = writer.stdout.readline().split()
            told[execution] = int(version)
    finally:
        os.kill(int(pid), signal.SIGKILL)
    while (line := writer.stdout.readline()) != "killed\n":
        execution, version = line.split()
        told[execution] = int(version)
    return told


async def test_no_saved_status_is_lost(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    """Over and over on one state file, which also has what all the killed ones before left."""
    chance = random.Random(7)
    told: dict[str, int] = {}
    for turn in range(ROUNDS):
        told |= kill_one(writer, turn, chance.choice([0, 1, 3, chance.randrange(100)]))
        store = SqliteStore.open(tmp_path / "state.db")
        try:
            stored = {one.record.id: one.status for one in await store.list(limit=1_000_000)}
        finally:
            await store.close()
        assert {execution for execution in told if execution not in stored} == set()
        for execution, status in stored.items():
            # It may have been killed after it had saved and before it told.
            assert status.version in {told.get(execution, 0), told.get(execution, 0) + 1}
            assert {step.attempt for step in status.steps} <= {status.version}
            assert len(status.steps) == status.version - 1
            told[execution] = status.version
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
