"""Logs as a reader wants them: one as it grows, or several as one, whose lines say where they come from.

Knows labels, lines and how files may change under a reader. Must not know what ends a run: it is told.
A log that is cut short, replaced or deleted by somebody else is no error; `notice` is told so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from phased.logs.growing import GrowingLog, Notice
from phased.logs.reading import Transform

Ended = Callable[[], Awaitable[None]]
"""Returns once nothing more will be written. Awaited again and again, and cancelled in between."""


@dataclass(frozen=True, slots=True)
class Source:
    """One log of a view: where it lies, and what stands before each of its lines."""

    label: str
    path: Path
    transform: Transform | None = None


def follow(
    path: Path,
    ended: Ended,
    *,
    tail: int | None = None,
    start: int = 0,
    transform: Transform | None = None,
    notice: Notice | None = None,
) -> AsyncGenerator[bytes, None]:
    """A log as it is written, from `start` or its last `tail` lines on, until `ended()` and all is read.

    The file need not exist yet. Raises FileUnreadable. Close it (`aclosing`) where it is not read to its end.
    """
    log = GrowingLog(path, None, transform=transform, tail=tail, start=start, notice=notice)
    return _grow([log], ended)


def view(
    sources: Sequence[Source],
    ended: Ended | None = None,
    *,
    tail: int | None = None,
    notice: Notice | None = None,
) -> AsyncGenerator[bytes, None]:
    """Several logs as one, each line with `label | ` before it; the last `tail` lines of each.

    Without `ended`: one after another, as they are now; of those that are missing, nothing. With it: also
    what comes until `ended()`, whole lines, as they come. Raises FileUnreadable.
    """
    logs = [
        GrowingLog(source.path, source.label, transform=source.transform, tail=tail, notice=notice)
        for source in sources
    ]
    return _grow(logs, ended)


async def _grow(logs: Sequence[GrowingLog], ended: Ended | None) -> AsyncGenerator[bytes, None]:
    from anyio.lowlevel import checkpoint  # noqa: PLC0415 - heavy, and whoever reads one log whole needs it not

    if ended is not None:
        from phased.logs.watching import Watch  # noqa: PLC0415 - inotify, for who follows

        with Watch(log.path.parent for log in logs) as watch:
            touched: Sequence[GrowingLog] = logs
            while True:
                for block in _blocks(touched):
                    yield block
                    await checkpoint()
                changed = await watch.next(ended)
                if changed is None:
                    break
                touched = [log for log in logs if log.path in changed or log.path.parent in changed]
    for log in logs:
        log.finish()
        for block in log.news():
            yield block
            await checkpoint()


def _blocks(logs: Sequence[GrowingLog]) -> Iterator[bytes]:
    for log in logs:
        yield from log.news()
