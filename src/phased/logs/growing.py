"""One log as a reader follows it: where it stands, what is new, and what others did to the file.

Knows files and lines. Must not wait: whoever knows that something changed asks for news. No descriptor
stays open in between, so a thousand logs can be followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from phased.errors import NotFound
from phased.logs.reading import Dropped, Transform, dropped_note, opened, pieces, tail_offset

LONGEST_LINE: Final = 1024 * 1024
"""Bytes after which a line is broken where lines of several logs are mixed: none may hold up the others."""

Notice = Callable[[str], None]
"""Is told, in a sentence for people, what somebody did to a log."""


class GrowingLog:
    """A log that is read again and again. With a label, `news` are whole lines that bear it."""

    def __init__(
        self,
        path: Path,
        label: str | None,
        *,
        transform: Transform | None = None,
        tail: int | None = None,
        start: int = 0,
        notice: Notice | None = None,
    ) -> None:
        """Nothing is read yet; the file need not exist."""
        self.path = path.absolute()
        self._prefix = None if label is None else f"{label} | ".encode()
        self._transform = transform
        self._tail = tail
        self._notice = notice
        self._offset = start
        self._inode: int | None = None
        self._line = bytearray()
        """The beginning of a line whose end is not written yet; only with a label."""
        self._last = False

    def finish(self) -> None:
        """Nothing more will be written: the next news are the last, and end every line."""
        self._last = True

    def news(self) -> Iterator[bytes]:
        """What was written since the last time. Raises FileUnreadable."""
        for block in self._new_blocks():
            if isinstance(block, Dropped):
                yield from self._note(block.count)
                continue
            out = self._transform.feed(block) if self._transform else block
            yield from self._lines(out)
        if self._last:
            if self._transform:
                yield from self._lines(self._transform.end())
            if self._line:
                yield self._rest_of_line()

    def _new_blocks(self) -> Iterator[bytes | Dropped]:
        try:
            with opened(self.path) as descriptor:
                end = self._place(descriptor)
                for block in pieces(descriptor, self._offset, end):
                    self._offset += block.count if isinstance(block, Dropped) else len(block)
                    yield block
        except NotFound:
            self._tail = None  # what is written later is new, all of it
            if self._inode is not None:
                self._tell("was deleted; what it held that was not shown yet is lost")
                self._inode, self._offset = None, 0

    def _place(self, descriptor: int) -> int:
        """Find out where to read on; where the file ends now. That bound holds where writing never stops."""
        facts = os.fstat(descriptor)
        if self._inode is None:
            if self._tail is not None:
                self._offset = max(self._offset, tail_offset(descriptor, self._tail, facts.st_size))
                self._tail = None
        elif facts.st_ino != self._inode:
            self._tell("was replaced by another file; that is shown from its beginning")
            self._offset = 0
        elif facts.st_size < self._offset:
            self._tell("was cut short; it is shown from its beginning again")
            self._offset = 0
        self._inode = facts.st_ino
        return facts.st_size

    def _lines(self, block: bytes) -> Iterator[bytes]:
        if self._prefix is None:
            if block:
                yield block
            return
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            lines = (bytes(self._line) + whole).split(b"\n")
            self._line.clear()
            yield b"".join(self._prefix + line + b"\n" for line in lines)
        self._line += rest
        if len(self._line) >= LONGEST_LINE:
            yield self._rest_of_line()

    def _note(self, count: int) -> Iterator[bytes]:
        """In a line of its own, where lines bear a label."""
        if self._line:
            yield self._rest_of_line()
        yield (self._prefix or b"") + dropped_note(count)

    def _rest_of_line(self) -> bytes:
        line = (self._prefix or b"") + bytes(self._line) + b"\n"
        self._line.clear()
        return line

    def _tell(self, what: str) -> None:
        if self._notice is not None:
            self._notice(f"the log {self.path} {what}")
