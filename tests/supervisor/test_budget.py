"""A log stays within its budget while it is written; where a file system has no holes, it stays whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phased.supervisor.actions import Actions
from phased.supervisor.output import Output, new_pipe, steps_end

KIB = 1024
BUDGET = 256 * KIB


class NoHoles(Actions):
    """A file system that cannot punch."""

    def punch(self, log: int, count: int) -> None:  # noqa: ARG002 - the real one's shape
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@contextmanager
def output(path: Path, actions: Actions, budget: int = BUDGET) -> Iterator[tuple[Output, int]]:
    """The way of a step's output into this log, and the step's end of it."""
    log, position = actions.open_log(str(path))
    made = Output(new_pipe(), log, position, actions, budget)
    end = steps_end(made.pipe)
    try:
        yield made, end
    finally:
        os.close(end)
        made.close()


def write(made: Output, end: int, count: int, byte: bytes) -> None:
    """As a step does, in pieces of 32 KiB, each of which is moved at once."""
    for _ in range(count // (32 * KIB)):
        os.write(end, byte * (32 * KIB))
        made.pump()


def on_disk(path: Path) -> int:
    """Bytes."""
    return path.stat().st_blocks * 512


def test_the_oldest_bytes_are_dropped_while_it_is_written(tmp_path: Path) -> None:
    """At no moment there is more than the budget; of the newest at least seven eighths of it are kept."""
    path = tmp_path / "log"
    with output(path, Actions()) as (made, end):
        for round_ in range(100):
            write(made, end, 32 * KIB, bytes([round_ + 1]))
            if made.note:
                pytest.skip(made.note)
            assert on_disk(path) <= BUDGET
        assert path.stat().st_size == 100 * 32 * KIB
        content = path.read_bytes()
    kept = content.lstrip(b"\0")
    assert BUDGET * 7 // 8 - 4 * KIB <= len(kept) <= BUDGET
    assert kept == b"".join(bytes([n + 1]) * (32 * KIB) for n in range(100))[-len(kept) :]


def test_a_log_that_is_continued_keeps_to_its_budget(tmp_path: Path) -> None:
    """After a restart of its supervisor, or in a second attempt."""
    path = tmp_path / "log"
    for byte in (b"a", b"b", b"c"):
        with output(path, Actions()) as (made, end):
            write(made, end, 192 * KIB, byte)
            if made.note:
                pytest.skip(made.note)
    assert path.stat().st_size == 3 * 192 * KIB
    assert on_disk(path) <= BUDGET
    assert path.read_bytes().endswith(b"c" * (192 * KIB))


def test_a_log_that_somebody_truncates_goes_on(tmp_path: Path) -> None:
    """It is within its budget again from there on."""
    path = tmp_path / "log"
    with output(path, Actions()) as (made, end):
        write(made, end, 512 * KIB, b"a")
        os.truncate(path, 0)
        write(made, end, 128 * KIB, b"b")
        assert path.read_bytes() == b"b" * (128 * KIB)
        write(made, end, 512 * KIB, b"c")
        if made.note:
            pytest.skip(made.note)
        assert on_disk(path) <= BUDGET


def test_without_holes_nothing_is_lost_and_that_is_said(tmp_path: Path) -> None:
    """The step goes on in any case."""
    path = tmp_path / "log"
    with output(path, NoHoles()) as (made, end):
        write(made, end, 512 * KIB, b"a")
        assert made.note == "its log is kept whole: no part of it can be dropped: Operation not supported"
    assert path.read_bytes() == b"a" * (512 * KIB)


def test_without_a_budget_all_is_kept(tmp_path: Path) -> None:
    """0 is no limit."""
    path = tmp_path / "log"
    with output(path, NoHoles(), 0) as (made, end):
        write(made, end, 512 * KIB, b"a")
        assert made.note is None
    assert path.read_bytes() == b"a" * (512 * KIB)
