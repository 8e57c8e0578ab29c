"""One log file, or a part of it, in blocks: memory stays the same however large it is.

Knows bytes, lines and files. Must not know what a log belongs to. What is opened is a regular file or
nothing: a FIFO or device that somebody put in a log's place is refused, and cannot make a reader hang.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from phased.errors import FileUnreadable, NotFound

BLOCK: Final = 64 * 1024
"""Bytes of the largest piece that a reader gives."""
_NOT_REGULAR: Final = "it is no regular file; remove what is in its place"


def dropped_note(count: int) -> bytes:
    """What a person reads in the place of bytes that are not there any more."""
    return note(f"{count} bytes were dropped here")


def gone(label: str, path: Path) -> NotFound:
    """The error of who wants to see a log that was there once."""
    return NotFound(f"cannot show what {label} wrote: its log is gone, {path} was deleted or moved")


def note(text: str) -> bytes:
    """What a person reads of a log within it; a line of its own."""
    return f"… {text} …\n".encode("utf-8", "surrogateescape")


class Transform(Protocol):
    """Changes bytes on their way out, for example to mask a secret. One object serves one reading."""

    def feed(self, block: bytes) -> bytes:
        """What may go out after this block; it may hold back what could be the beginning of something."""

    def end(self) -> bytes:
        """What was held back: nothing more will come."""


async def read(
    path: Path,
    *,
    tail: int | None = None,
    start: int = 0,
    stop: int | None = None,
    transform: Transform | None = None,
    exact: bool = False,
) -> AsyncGenerator[bytes, None]:
    """The bytes of a log from `start` to before `stop`, of these the last `tail` lines; in blocks.

    It ends where the file ended when reading began. Where its oldest bytes were dropped, a note for people
    stands in their place; `exact`: NUL bytes do, as many, so that every offset is true.
    Raises NotFound where there is no such file, FileUnreadable where it cannot be read.
    """
    from anyio.lowlevel import checkpoint  # noqa: PLC0415 - heavy, and the other functions need it not

    for block in read_blocks(path, tail=tail, start=start, stop=stop, exact=exact):
        if isinstance(block, Dropped):
            yield dropped_note(block.count)
            continue
        out = transform.feed(block) if transform else block
        if out:
            yield out
        await checkpoint()
    if transform and (rest := transform.end()):
        yield rest


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many bytes of a log are not there any more."""

    count: int


def read_blocks(
    path: Path, *, tail: int | None = None, start: int = 0, stop: int | None = None, exact: bool = False
) -> Iterator[bytes | Dropped]:
    """The same without an event loop; what was dropped is told as such, unless `exact`."""
    with opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        end = size if stop is None else min(stop, size)
        begin = max(start, 0)
        if tail is not None:
            begin = max(begin, tail_offset(descriptor, tail, end))
        for block in pieces(descriptor, begin, end):
            yield from _zeros(block.count) if exact and isinstance(block, Dropped) else (block,)


def pieces(descriptor: int, begin: int, end: int) -> Iterator[bytes | Dropped]:
    """What there is from `begin` to before `end`, in blocks; it may be dropped while it is read."""
    while begin < end:
        block = os.pread(descriptor, min(BLOCK, end - begin), begin)
        left = min(first_left(descriptor), end)
        if left > begin:  # asked after reading: what is still there now was there then
            yield Dropped(left - begin)
            begin = left
        elif not block:
            return
        else:
            begin += len(block)
            yield block


def first_left(descriptor: int) -> int:
    """Where what is left of a log begins: at its first whole line, if its oldest blocks were dropped, else 0.

    Those blocks are a hole at its beginning (lseek(2), SEEK_DATA). The rest of the line that they were cut
    from counts as dropped too: it could be a part of a secret, which no masking would know.
    """
    try:
        first = os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError:
        return os.fstat(descriptor).st_size  # a hole from beginning to end, or empty
    if first == 0:
        return 0
    block = os.pread(descriptor, BLOCK, first)
    return first + (block.find(b"\n") + 1 or len(block))


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of a log: all its bytes, and how many of the first were dropped."""

    size: int
    first: int


def extent(path: Path) -> Extent:
    """Of a log as it is now; nothing, where it was never written. Raises FileUnreadable."""
    try:
        with opened(path) as descriptor:
            return Extent(os.fstat(descriptor).st_size, first_left(descriptor))
    except NotFound:
        return Extent(0, 0)


def _zeros(count: int) -> Iterator[bytes]:
    for begin in range(0, count, BLOCK):
        yield bytes(min(BLOCK, count - begin))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a log. Raises NotFound, FileUnreadable (also for what the reading raises)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"cannot find the log {path}: it was never written, or it was deleted") from error
    except OSError as error:
        reason = _NOT_REGULAR if error.errno == errno.ELOOP else error.strerror or str(error)
        raise _unreadable(path, reason) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, _NOT_REGULAR)
        yield descriptor
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def tail_offset(descriptor: int, lines: int, end: int) -> int:
    """Where the last `lines` lines before `end` begin. What follows the last newline is a line too.

    Read from the end, in blocks.
    """
    if lines <= 0:
        return end
    missing = lines
    position = end
    least = first_left(descriptor)
    while position > least:
        first = max(position - BLOCK, least)
        block = os.pread(descriptor, position - first, first)
        if position == end and block.endswith(b"\n"):
            missing += 1  # the newline that ends the last line begins none
        found = block.count(b"\n")
        if found >= missing:
            return first + _nth_from_end(block, missing) + 1
        missing -= found
        position = first
    return 0


def _nth_from_end(block: bytes, count: int) -> int:
    """The index of the newline that has `count - 1` behind it."""
    index = len(block)
    for _ in range(count):
        index = block.rindex(b"\n", 0, index)
    return index


def _unreadable(path: Path, reason: str) -> FileUnreadable:
    return FileUnreadable(f"cannot read the log {path}: {reason}")
