"""A log that is followed: what a daemon sends of it, and where to go on after its daemon went away. Pure.

Knows the frames of `?framed=1`. Must not know connections. A log is asked for with the position that the
newest whole frame told, so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from phased.client.following import Patience
from phased.errors import PhasedError, Unreachable

FRAMED: Final = "application/x-phased-log"
_LONGEST_HEADER: Final = 100


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Some of what steps wrote; or a note: what somebody did to a log, in a sentence for people."""

    text: bytes
    is_note: bool = False


class FollowedLog:
    """What was asked for, and what has come of it."""

    def __init__(self, query: Mapping[str, str], tries: int) -> None:
        """`query` says which log, and how much of it; `tries` in a row may fail."""
        self._query = dict(query)
        self._patience = Patience(tries)
        self._positions: dict[int, int] = {}
        self._buffer = bytearray()
        self._framed = False
        self._notes: set[bytes] = set()
        self.ended = False
        """Whether nothing more will come."""

    @property
    def query(self) -> Mapping[str, str]:
        """How to ask for what has not come yet."""
        if not self._positions:
            return self._query
        parts = range(max(self._positions) + 1)
        return self._query | {"from": ",".join(str(self._positions.get(part, "")) for part in parts)}

    def answered(self, headers: Mapping[str, str]) -> None:
        """A daemon is there, and begins to answer. One of an earlier version does not know frames."""
        self._patience.heard()
        self._buffer.clear()
        self._framed = headers.get("content-type", "").partition(";")[0] == FRAMED
        if session := headers.get("phased-session"):
            self._query["session"] = session

    def feed(self, block: bytes) -> Iterator[LogPiece]:
        """What this block completes."""
        if not self._framed:
            yield LogPiece(block)
            return
        self._buffer += block
        while (end := self._buffer.find(b"\n", 0, _LONGEST_HEADER)) >= 0:
            kind, part, position, length = _header(bytes(self._buffer[:end]))
            after = end + 1 + length
            if len(self._buffer) < after:
                return
            text = bytes(self._buffer[end + 1 : after])
            del self._buffer[:after]
            yield from self._take(kind, part, position, text)

    def closed(self) -> None:
        """The answer ended. Of what has no frames nobody can tell whether that is all, nor go on."""
        self.ended = self.ended or not self._framed

    def endure(self, error: PhasedError) -> None:
        """Take it as a pause. Raises the error where that makes no sense, or lasts too long."""
        if not self._framed:
            raise error
        self._patience.endure(error)

    def _take(self, kind: bytes, part: int, position: int, text: bytes) -> Iterator[LogPiece]:
        if kind == b"end":
            self.ended = True
            return
        self._positions[part] = position
        if kind == b"log" and text:
            self._notes.clear()
            yield LogPiece(text)
        elif kind == b"note" and text not in self._notes:  # told again by each connection
            self._notes.add(text)
            yield LogPiece(text, is_note=True)


def _header(line: bytes) -> tuple[bytes, int, int, int]:
    """Kind, part, position and length. Raises Unreachable."""
    try:
        kind, part, position, length = line.split(b" ")
        return kind, int(part), int(position), int(length)
    except ValueError as error:
        raise Unreachable("cannot read the daemon's log; is it phased, and of this version?") from error
