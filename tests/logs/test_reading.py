"""One log or a part of it, in blocks."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.errors import FileUnreadable, NotFound
from phased.logs import reading
from phased.logs.reading import Dropped, read, read_blocks

pytestmark = pytest.mark.anyio

contents = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\xff\x00", b"\r\n"]), max_size=40).map(b"".join)


def last_lines(content: bytes, count: int) -> bytes:
    """What `tail` means, the simple way."""
    return b"".join(content.splitlines(keepends=True)[-count:]) if count > 0 else b""


class Masking:
    """Hides a secret, also where it lies across blocks."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._held = b""

    def feed(self, block: bytes) -> bytes:
        text = (self._held + block).replace(self._secret, b"***")
        keep = min(len(self._secret) - 1, len(text))
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> bytes:
        return self._held


def there(blocks: Iterator[bytes | Dropped]) -> Iterator[bytes]:
    """Blocks of a log of which nothing was dropped."""
    for block in blocks:
        assert isinstance(block, bytes)
        yield block


@settings(max_examples=100, deadline=None)
@given(content=contents, tail=st.integers(0, 8), block=st.integers(1, 9))
def test_tail_is_the_last_lines_whatever_the_blocks_are(content: bytes, tail: int, block: int) -> None:
    """What follows the last newline is a line, too."""
    content = content.replace(b"\r", b"")  # splitlines takes it for the end of a line
    with tempfile.NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", block)
        file.write(content)
        file.flush()
        pieces = list(there(read_blocks(Path(file.name), tail=tail)))
    assert b"".join(pieces) == last_lines(content, tail)
    assert all(0 < len(piece) <= block for piece in pieces)


@settings(max_examples=100, deadline=None)
@given(content=contents, start=st.integers(-3, 50), stop=st.none() | st.integers(-3, 50))
def test_a_range_is_a_slice(content: bytes, start: int, stop: int | None) -> None:
    """Beyond the file there is nothing."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        found = b"".join(there(read_blocks(Path(file.name), start=start, stop=stop)))
    assert found == content[max(start, 0) : len(content) if stop is None else max(stop, 0)]


async def test_bytes_come_out_as_they_were_written(tmp_path: Path) -> None:
    """More than one block of them."""
    content = os.urandom(3 * reading.BLOCK + 17)
    (tmp_path / "log").write_bytes(content)
    assert b"".join([block async for block in read(tmp_path / "log")]) == content
    assert (
        b"".join([block async for block in read(tmp_path / "log", start=70_000, stop=70_005)])
        == content[70_000:70_005]
    )


async def test_tail_and_range_together(tmp_path: Path) -> None:
    """The last lines of the range."""
    (tmp_path / "log").write_bytes(b"one\ntwo\nthree\nfour\n")
    found = [block async for block in read(tmp_path / "log", tail=2, start=5, stop=14)]
    assert b"".join(found) == b"wo\nthree\n"


async def test_a_transform_sees_everything_and_has_the_last_word(tmp_path: Path) -> None:
    """A secret across two blocks is masked too."""
    secret = b"correct horse battery staple"
    around = b"x" * (reading.BLOCK - 10)
    (tmp_path / "log").write_bytes(around + secret + b"\nand " + secret)
    found = b"".join([block async for block in read(tmp_path / "log", transform=Masking(secret))])
    assert found == around + b"***\nand ***"


async def test_ends_where_the_file_ended_when_it_began(tmp_path: Path) -> None:
    """A log that grows faster than it is read has an end."""
    log = tmp_path / "log"
    log.write_bytes(b"a" * 2 * reading.BLOCK)
    size = 0
    async for block in read(log):
        size += len(block)
        with open(log, "ab") as file:  # noqa: ASYNC230 - short, and the point of the test
            file.write(b"b" * reading.BLOCK * 2)
    assert size == 2 * reading.BLOCK


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Neither for a whole file, nor for the end of one that has no newline."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * 1024 * 1024)
    tracemalloc.start()
    try:
        assert sum(len(block) for block in there(read_blocks(log))) == 64 * 1024 * 1024
        assert sum(len(block) for block in there(read_blocks(log, tail=3))) == 64 * 1024 * 1024
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * reading.BLOCK


def test_what_is_missing_is_not_found(tmp_path: Path) -> None:
    """Also where its folder is missing, or is none."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "log", tmp_path / "none" / "log", tmp_path / "file" / "log"):
        with pytest.raises(NotFound, match=r"^cannot find the log "):
            list(read_blocks(path))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A FIFO would hang the reader, a link could lead anywhere."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "real").write_text("secret")
    (tmp_path / "link").symlink_to("real")
    for name in ("fifo", "folder", "link"):
        with pytest.raises(FileUnreadable, match=r"^cannot read the log "):
            list(read_blocks(tmp_path / name))
