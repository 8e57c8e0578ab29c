"""One log as a reader follows it: where it stands, what is new, and what others did to the file.

Knows files and lines. Must not wait: whoever knows that something changed asks for news. No descriptor
stays open in between, so a thousand logs can be followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phased.errors import FileUnreadable, NotFound
from phased.logs.reading import Dropped, Transform, dropped_note, opened, pieces, tail_offset

LONGEST_LINE: Final = 1024 * 1024
"""Bytes after which a line is broken where lines of several logs are mixed: none may hold up the others."""

Notice = Callable[[str], None]
"""Is told, in a sentence for people, what somebody did to a log."""


@dataclass(frozen=True, slots=True)
class Source:
    """One log of a view: where it lies, what stands before each of its lines, and where to begin."""

    label: str
    path: Path
    transform: Transform | None = None
    start: int | None = None
    """The first byte that is shown; None: where the view's tail begins, or the whole log does."""
    margin: int = 0
    """So many bytes before `start` go through the transform, too, and are not shown."""
    begun: bool = False
    """What writes it has begun: if it is not there, that is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody did to a log, in a sentence for people."""

    text: str


class GrowingLog:
    """A log that is read again and again. With a label, `news` are whole lines that bear it."""

    def __init__(self, source: Source, *, tail: int | None = None, labelled: bool = False) -> None:
        """Nothing is read yet; the file need not exist."""
        self.path = source.path.absolute()
        self._prefix = f"{source.label} | ".encode() if labelled else None
        self._transform = source.transform
        self._tail = tail if source.start is None else None
        self._offset = max((source.start or 0) - source.margin, 0)
        self._hidden = (source.start or 0) - self._offset
        """How many of the next bytes are read for the transform alone."""
        self._held = 0
        """How many bytes the transform has got and not given."""
        self._begun = source.begun
        self._inode: int | None = None
        self._trouble = ""
        """Why it could not be read, as that was told last."""
        self._line = bytearray()
        """The beginning of a line whose end is not written yet; only with a label."""
        self._last = False

    @property
    def position(self) -> int:
        """The byte at which whoever has seen all news up to now has to go on."""
        return max(self._offset + self._hidden - self._held - len(self._line), 0)

    def finish(self) -> None:
        """Nothing more will be written: the next news are the last, and end every line."""
        self._last = True

    def news(self) -> Iterator[bytes | Told]:
        """What was written since the last time, and what somebody did to the file meanwhile.

        Raises FileUnreadable for a log alone that could not be read from the beginning.
        """
        for block in self._new_blocks():
            match block:
                case Told():
                    yield block
                case Dropped():
                    yield from self._note(block.count)
                case _:
                    yield from self._lines(self._shown(block))
        if self._last:
            if self._transform:
                rest, self._held = self._transform.end(), 0
                yield from self._lines(self._after_hidden(rest))
            if self._line:
                yield self._rest_of_line()

    def _shown(self, block: bytes) -> bytes:
        if self._transform is None:
            return self._after_hidden(block)
        out = self._transform.feed(block)
        self._held += len(block) - len(out)
        return self._after_hidden(out)

    def _after_hidden(self, out: bytes) -> bytes:
        hidden = min(self._hidden, len(out))
        self._hidden -= hidden
        return out[hidden:]

    def _new_blocks(self) -> Iterator[bytes | Dropped | Told]:
        try:
            with opened(self.path) as descriptor:
                self._trouble = ""
                end = os.fstat(descriptor).st_size  # that bound holds where writing never stops
                yield from self._place(descriptor, end)
                for block in pieces(descriptor, self._offset, end):
                    self._offset += block.count if isinstance(block, Dropped) else len(block)
                    yield block
        except NotFound:
            yield from self._miss()
        except FileUnreadable as error:
            if self._prefix is None and self._inode is None:
                raise
            yield from self._tell_once(str(error))

    def _place(self, descriptor: int, end: int) -> Iterator[Told]:
        """Find out where to read on."""
        before, self._inode = self._inode, os.fstat(descriptor).st_ino
        if self._tail is not None:
            self._offset = max(self._offset, tail_offset(descriptor, self._tail, end))
            self._tail = None
        if before not in {None, self._inode}:
            yield from self._begin_again("was replaced by another file; that is shown from its beginning")
        elif end < self._offset:
            yield from self._begin_again("was cut short; it is shown from its beginning again")

    def _miss(self) -> Iterator[Told]:
        """It is not there."""
        self._tail = None  # what is written later is new, all of it
        if self._inode is not None:
            self._inode, self._trouble = None, "deleted"
            yield from self._begin_again("was deleted; what it held that was not shown yet is lost")
        elif self._begun:
            yield from self._tell_once(f"its log is gone: {self.path} was deleted or moved")

    def _begin_again(self, what: str) -> Iterator[Told]:
        self._offset = self._hidden = 0
        yield Told(f"the log {self.path} {what}")

    def _tell_once(self, trouble: str) -> Iterator[Told]:
        if not self._trouble:
            self._trouble = trouble
            yield Told(trouble)

    def _lines(self, block: bytes) -> Iterator[bytes]:
        if self._prefix is None:
            if block:
                yield block
            return
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            lines = (bytes(self._line) + whole).split(b"\n")
            self._line = bytearray(rest)  # before they are given: `position` is asked for then
            yield b"".join(self._prefix + line + b"\n" for line in lines)
        else:
            self._line += rest
        if len(self._line) >= LONGEST_LINE:
            yield self._rest_of_line()

    def _note(self, count: int) -> Iterator[bytes]:
        """In a line of its own, where lines bear a label."""
        hidden = min(self._hidden, count)
        self._hidden -= hidden
        if self._line:
            yield self._rest_of_line()
        if count > hidden:
            yield (self._prefix or b"") + dropped_note(count - hidden)

    def _rest_of_line(self) -> bytes:
        line = (self._prefix or b"") + bytes(self._line) + b"\n"
        self._line.clear()
        return line
