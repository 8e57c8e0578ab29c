"""Text on its way to a terminal: streams that may vanish, output without its escapes, the end of a log.

Knows streams and bytes. Must not know executions.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

_TAIL_BYTES = 64 * 1024
_LONGEST_SHOWN = 500
"""Characters of a line at the end of the output of what failed; its log has all."""
_LINE_BYTES = 4 * 1024

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
"""ECMA-48: control sequences, strings (window titles, links) and the two-character escapes."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What could still move a cursor or turn the direction of writing; a tab may stay."""


class Outlet(io.TextIOBase):
    """A stream that may vanish: once its reader is gone, what is written is dropped.

    A run goes on without a reader, as its history and logs do not depend on one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """Write to `stream` as long as that works; None (a closed descriptor): never."""
        self._stream = stream
        self._lost = stream is None
        self._wait_for_reader()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return not self._lost and self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    def writable(self) -> bool:
        """It takes everything, and drops it where it must."""
        return True

    def write(self, text: str) -> int:
        """Write, or drop."""
        stream = self._stream
        if stream is not None and not self._lost:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                self._attempt(
                    lambda: stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
                )
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Pass on what was written, or drop it."""
        if self._stream is not None and not self._lost:
            self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):
            self._lose()

    def _wait_for_reader(self) -> None:
        """A descriptor that somebody made non-blocking would lose lines whenever its reader is slow."""
        try:
            descriptor = self.fileno()
            if not os.get_blocking(descriptor):
                os.set_blocking(descriptor, True)
        except (OSError, ValueError, AttributeError):
            return

    def _lose(self) -> None:
        """Point the descriptor at nothing, else Python fails when it flushes the stream at exit.

        Source: the note on SIGPIPE in the documentation of Python's `signal`.
        """
        self._lost = True
        try:
            descriptor = self.fileno()
        except (OSError, ValueError):
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)


def clean(text: str) -> str:
    """Without escapes, and with a replacement character for other control characters."""
    return _CONTROL.sub("\ufffd", _ESCAPES.sub("", text))


class Hides(Protocol):
    """Hides secrets in what is shown, byte for byte; `margin` bytes around a part say what it is part of."""

    margin: int

    def bytes(self, text: bytes) -> bytes:
        """As many bytes, without any secret."""

    def text(self, text: str) -> str:
        """The same for text."""


def last_lines(path: Path, count: int, hides: Hides | None = None) -> list[str]:
    """The last lines of a log, clean and cut to what a person reads; [] where there is no log."""
    lines = _end(path, _TAIL_BYTES, hides).rstrip("\n").split("\n")[-count:]
    return [_cut(_overwritten(line)) for line in lines] if any(lines) else []


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."


def last_line(path: Path, hides: Hides | None = None) -> str:
    """The last line of a log that shows something, clean; "" where there is none."""
    for line in reversed(_end(path, _LINE_BYTES, hides).split("\n")):
        if shown := _overwritten(line).strip():
            return shown
    return ""


def _overwritten(line: str) -> str:
    """What a terminal would show of a line that was written over (a progress bar): its last text."""
    parts = [part for part in line.split("\r") if part]
    return clean(parts[-1]) if parts else ""


def _end(path: Path, size: int, hides: Hides | None) -> str:
    margin = hides.margin if hides else 0
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(0, end - size - margin))
            found = log.read(size + margin)
    except OSError:
        return ""
    shown = hides.bytes(found)[-size:] if hides else found
    return shown.decode("utf-8", "replace")
