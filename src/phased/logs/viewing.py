"""Logs as a reader wants them: one as it grows, or several as one, whose lines say where they come from.

Knows labels, lines and how files may change under a reader. Must not know what ends a run: it is told.
A log that is cut short, replaced or deleted by somebody else is no error; `notice` is told so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from phased.logs.growing import GrowingLog, Notice, Source, Told
from phased.logs.reading import Transform

__all__ = ["Ended", "Notice", "Piece", "Source", "follow", "see", "show", "view"]

Ended = Callable[[], Awaitable[None]]
"""Returns once nothing more will be written. Awaited again and again, and cancelled in between.

What it raises ends a view before its time: beginnings of lines and of secrets are not shown then.
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of what a view shows. Of each log there is one at first, which may be empty."""

    part: int
    """The index of the log that it is of."""
    text: bytes
    position: int
    """The byte of the log at which whoever has seen all pieces up to this one has to go on."""
    told: str | None = None
    """In the place of text: what somebody did to the log, in a sentence for people."""


def follow(
    path: Path,
    ended: Ended,
    *,
    tail: int | None = None,
    start: int | None = None,
    transform: Transform | None = None,
    notice: Notice | None = None,
) -> AsyncGenerator[bytes, None]:
    """A log as it is written, from `start` or its last `tail` lines on, until `ended()` and all is read.

    The file need not exist yet. Raises FileUnreadable. Close it (`aclosing`) where it is not read to its end.
    """
    return show([Source("", path, transform, start)], ended, tail=tail, notice=notice)


def view(
    sources: Sequence[Source],
    ended: Ended | None = None,
    *,
    tail: int | None = None,
    notice: Notice | None = None,
) -> AsyncGenerator[bytes, None]:
    """Several logs as one, each line with `label | ` before it; the last `tail` lines of each.

    Without `ended`: one after another, as they are now; of those that are missing, nothing. With it: also
    what comes until `ended()`, whole lines, as they come.
    """
    return show(sources, ended, tail=tail, labelled=True, notice=notice)


def see(
    sources: Sequence[Source], ended: Ended | None = None, *, tail: int | None = None, labelled: bool = False
) -> AsyncGenerator[Piece, None]:
    """The same, or one log as it is, piece by piece: for a reader that goes on elsewhere where it broke off.

    Raises FileUnreadable where a log without a label cannot be read.
    """
    return _grow([GrowingLog(source, tail=tail, labelled=labelled) for source in sources], ended)


async def show(
    sources: Sequence[Source],
    ended: Ended | None = None,
    *,
    tail: int | None = None,
    labelled: bool = False,
    notice: Notice | None = None,
) -> AsyncGenerator[bytes, None]:
    """Several logs as one, or one as it is: `view` or `follow`. Raises FileUnreadable as `see`."""
    async with aclosing(see(sources, ended, tail=tail, labelled=labelled)) as pieces:
        async for piece in pieces:
            if piece.told is not None and notice is not None:
                notice(piece.told)
            elif piece.text:
                yield piece.text


async def _grow(logs: Sequence[GrowingLog], ended: Ended | None) -> AsyncGenerator[Piece, None]:
    from anyio.lowlevel import checkpoint  # noqa: PLC0415 - heavy, and whoever reads one log whole needs it not

    numbered = list(enumerate(logs))
    if ended is not None:
        from phased.logs.watching import Watch  # noqa: PLC0415 - inotify, for who follows

        with Watch(log.path.parent for log in logs) as watch:
            touched, first = numbered, True
            while True:
                for piece in _pieces(touched, also_empty=first):
                    yield piece
                    await checkpoint()
                first = False
                changed = await watch.next(ended)
                if changed is None:
                    break
                touched = [
                    one for one in numbered if not changed.isdisjoint({one[1].path, one[1].path.parent})
                ]
    for log in logs:
        log.finish()
    for piece in _pieces(numbered):
        yield piece
        await checkpoint()


def _pieces(logs: Iterable[tuple[int, GrowingLog]], *, also_empty: bool = False) -> Iterator[Piece]:
    for part, log in logs:
        for new in log.news():
            if isinstance(new, Told):
                yield Piece(part, b"", log.position, new.text)
            else:
                yield Piece(part, new, log.position)
        if also_empty:
            yield Piece(part, b"", log.position)
