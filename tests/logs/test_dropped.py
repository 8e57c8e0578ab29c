"""A log whose oldest bytes were dropped: people are told, ranges stay true, and no half of a secret shows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phased.access.masking import Masker
from phased.logs.reading import read
from phased.logs.shelf import Shelf
from phased.logs.viewing import Source, follow, see, view
from phased.supervisor.system import punch

pytestmark = pytest.mark.anyio

LINE = 100
LINES = 1000


async def joined(blocks: AsyncIterator[bytes]) -> bytes:
    """Everything that a reader gives."""
    return b"".join([block async for block in blocks])


def text(first: int = 0, last: int = LINES) -> bytes:
    """Numbered lines of LINE bytes each."""
    return b"".join(b"%06d %s\n" % (n, b"x" * (LINE - 8)) for n in range(first, last))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One whose first two blocks are dropped, where the file system can do that."""
    path = tmp_path / "log"
    path.write_bytes(text())
    drop(path, 8192)
    return path


def drop(path: Path, count: int) -> None:
    """As the supervisor does."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        punch(descriptor, 0, count)
    except OSError as error:
        pytest.skip(f"this file system has no holes: {error.strerror}")
    finally:
        os.close(descriptor)


NOTE = "… 8200 bytes were dropped here …\n".encode()
"""Up to the end of the line that was cut, which begins at 8100."""


async def test_a_note_stands_where_bytes_were_dropped(log: Path) -> None:
    """Before the first whole line that is left."""
    assert await joined(read(log)) == NOTE + text(82)
    assert await joined(read(log, tail=3)) == text(LINES - 3)
    assert await joined(read(log, tail=5000)) in {NOTE + text(82), text(82)}
    assert await joined(view([Source("a", log)], tail=None)) == b"".join(
        b"a | " + line for line in (NOTE + text(82)).splitlines(keepends=True)
    )


async def test_ranges_stay_true(log: Path) -> None:
    """What is dropped reads as NUL bytes, so every offset is that of the whole log."""
    whole = await joined(read(log, exact=True))
    assert whole == bytes(8200) + text()[8200:]
    for start, stop in ((0, 10), (8190, 8210), (8195, 8199), (8200, 8300), (90_000, None)):
        assert await joined(read(log, start=start, stop=stop, exact=True)) == whole[start:stop]


class _Keep:
    """A transform that changes nothing."""

    def feed(self, block: bytes) -> bytes:
        return block

    def end(self) -> bytes:
        return b""


async def test_what_is_dropped_while_it_is_followed_is_told(tmp_path: Path) -> None:
    """A reader that comes too late is told how much it missed, and goes on with what is left."""
    path = tmp_path / "log"
    path.write_bytes(text(0, 50))
    wanted: list[bytes] = [text(0, 50)]

    async def ended() -> None:
        """At the first look: what came meanwhile is read at the end."""
        with path.open("ab") as file:
            file.write(text(50))
        drop(path, 8192)

    found: AsyncIterator[bytes] = follow(path, ended, transform=_Keep())
    wanted += ["… 3200 bytes were dropped here …\n".encode(), text(82)]
    assert await joined(found) == b"".join(wanted)


async def test_nothing_is_left(tmp_path: Path) -> None:
    """Nor is anything where the line has no end yet: it may be half of something secret."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * 8192)
    drop(path, 8192)
    assert await joined(read(path)) == "… 8192 bytes were dropped here …\n".encode()
    with path.open("ab") as file:
        file.write(b"half")
    assert await joined(read(path)) == "… 8196 bytes were dropped here …\n".encode()
    with path.open("ab") as file:
        file.write(b" a line\nnext")
    assert await joined(read(path)) == "… 8204 bytes were dropped here …\nnext".encode()


async def test_the_shelf_shortens_the_longest_log(tmp_path: Path) -> None:
    """In the same way, and says what it won."""
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.log").write_bytes(text())
    (folder / "b.log").write_bytes(b"short")
    shelf = Shelf(tmp_path)
    before = await shelf.measure(["one"])
    won = await shelf.shorten("one", 8192)
    if not won:
        pytest.skip("this file system has no holes")
    assert won == 8192
    assert await shelf.measure(["one"]) == {"one": before["one"] - won}
    assert await shelf.shorten("one", 8192) == 8192
    assert (folder / "a.log").stat().st_size == LINE * LINES
    assert await joined(read(folder / "b.log")) == b"short"
    assert await shelf.shorten("none", 1) == 0
    assert await shelf.measure(["none"]) == {"none": 0}


@pytest.mark.parametrize(("start", "missing"), [(0, 8200), (4000, 4200), (8199, 1), (8200, 0), (8250, 0)])
@pytest.mark.parametrize("margin", [0, 20, 9000])
async def test_who_goes_on_is_told_what_was_dropped_since(
    log: Path, start: int, missing: int, margin: int
) -> None:
    """Of what it has not seen; not of what is read with it to know secrets."""
    source = Source("", log, Masker(["never there"]).reading(), start, margin)
    note = f"… {missing} bytes were dropped here …\n".encode() if missing else b""
    shown = [piece async for piece in see([source])]
    assert b"".join(piece.text for piece in shown) == note + text()[max(start, 8200) :]
    assert shown[-1].position == LINE * LINES
