"""Hides secrets in what is shown: each byte of a value becomes `*`, so nothing moves and ranges hold.

Knows bytes. Must not know whose values these are, nor logs. What a step printed stays in its file as it was
printed; every view goes through here.

What is masked: every occurrence of a value, also where two overlap, and of each line of a value that has
several. Values and lines of fewer than SHORTEST characters are not: to hide `a` would hide nothing, and
spoil every log. What a step encodes (base64, say) is not known to be the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 4
"""Characters that a value, or a line of it, must have to be masked."""


@dataclass(frozen=True, slots=True)
class _Needle:
    """What is looked for, and by how many bytes it can be shifted at least to fit onto itself."""

    value: bytes
    period: int


class Masker:
    """What is to be hidden; `reading` begins to hide it in one stream of bytes."""

    def __init__(self, values: Iterable[str]) -> None:
        """Empty values and short ones are left out."""
        needles = {part.encode("utf-8", "surrogateescape") for value in values for part in _parts(value)}
        self._needles = tuple(_Needle(needle, _period(needle)) for needle in sorted(needles))
        self.margin = max(map(len, needles), default=1) - 1
        """Bytes before and after a range that have to be read with it, to see what it is part of."""

    def __repr__(self) -> str:
        """How many, not which."""
        return f"Masker({len(self._needles)} values)"

    def __bool__(self) -> bool:
        """Whether anything is hidden at all."""
        return bool(self._needles)

    def reading(self, *, skip: int = 0, length: int | None = None) -> Masked:
        """For one stream: a `logs.reading.Transform`, which gives `length` bytes after the first `skip`.

        A range [start, stop) of a file is read from `before = max(0, start - margin)` to `stop + margin`,
        with `skip=start - before, length=stop - start`.
        """
        return Masked(self._needles, skip, length)

    def bytes(self, text: bytes) -> bytes:
        """The same number of bytes, without any value."""
        out = bytearray(text)
        for start, end in _occurrences(text, self._needles):
            out[start:end] = b"*" * (end - start)
        return bytes(out)

    def text(self, text: str) -> str:
        """The same for text: a character that takes several bytes becomes as many stars."""
        if not self._needles:
            return text
        raw = text.encode("utf-8", "surrogateescape")
        return self.bytes(raw).decode("utf-8", "surrogateescape")


class Masked:
    """One reading. It holds back what could be the beginning of a value, until that is known."""

    def __init__(self, needles: Sequence[_Needle], skip: int, length: int | None) -> None:
        """Use `Masker.reading`."""
        self._needles = needles
        self._skip = skip
        self._left = length
        self._held = b""
        self._covered = 0
        """How many of the bytes that are held belong to a value that began before them."""

    def feed(self, block: bytes) -> bytes:
        """What may be shown after this block."""
        buffer = self._held + block
        keep = min((_beginning(buffer, one.value) for one in self._needles), default=len(buffer))
        return self._cut(self._emit(buffer, keep))

    def end(self) -> bytes:
        """What was held back: nothing more will come."""
        return self._cut(self._emit(self._held, len(self._held)))

    def _emit(self, buffer: bytes, keep: int) -> bytes:
        """Mask all before `keep`, and hold the rest back."""
        spans = [(0, self._covered)] if self._covered else []
        spans += _occurrences(buffer, self._needles)
        out = bytearray(buffer[:keep])
        covered = 0
        for start, end in spans:
            stop = min(end, keep)
            if start < stop:
                out[start:stop] = b"*" * (stop - start)
            if start <= keep < end:
                covered = max(covered, end - keep)
        self._held, self._covered = buffer[keep:], covered
        return bytes(out)

    def _cut(self, out: bytes) -> bytes:
        dropped = min(self._skip, len(out))
        self._skip -= dropped
        out = out[dropped:]
        if self._left is not None:
            out = out[: self._left]
            self._left -= len(out)
        return out


def _parts(value: str) -> list[str]:
    """A value as it may be printed: whole, and line by line, without the blanks around a line."""
    lines = [line.strip() for line in value.splitlines()]
    return list(dict.fromkeys(part for part in (value, value.strip("\r\n"), *lines) if len(part) >= SHORTEST))


def _occurrences(text: bytes, needles: Sequence[_Needle]) -> list[tuple[int, int]]:
    """Every occurrence of each, also those that overlap; what overlaps of one value is one span."""
    found: list[tuple[int, int]] = []
    for needle in needles:
        value, period = needle.value, needle.period
        tail = value[-period:]
        at = text.find(value)
        while at >= 0:
            start, end = at, at + len(value)
            while text.startswith(tail, end):  # the next occurrence, so many bytes further on
                end += period
            found.append((start, end))
            # Two occurrences can only overlap by a period; others than the shortest are found from here.
            at = text.find(value, end if period == len(value) else end - len(value) + 1)
    return found


def _beginning(buffer: bytes, needle: bytes) -> int:
    """Where the longest end of `buffer` begins that is a beginning of `needle`, shorter than it."""
    at = buffer.find(needle[:1], max(len(buffer) - len(needle) + 1, 0))
    while at >= 0 and not needle.startswith(buffer[at:]):
        at = buffer.find(needle[:1], at + 1)
    return len(buffer) if at < 0 else at


def _period(value: bytes) -> int:
    """The shortest period: 2 of `ababa`, the whole length of what has none (Knuth, Morris and Pratt)."""
    border, borders = 0, [0] * len(value)
    for at in range(1, len(value)):
        while border and value[at] != value[border]:
            border = borders[border - 1]
        border += value[at] == value[border]
        borders[at] = border
    return len(value) - (borders[-1] if borders else 0)
