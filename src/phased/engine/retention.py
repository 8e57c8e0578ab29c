"""Forgets the oldest of the history, and its logs: by number, by age, and by what the logs take.

Knows what runs, the history and the shelf of logs. Must not know SQLite or files. What runs, and what its
firing needs, is never touched. Many deletions make new files slow for a while on some file systems, so they
are done while nothing runs, a few at a time; what the logs take may not wait for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.lowlevel

from phased.engine.engine import Engine
from phased.engine.services.performer import stems
from phased.errors import PhasedError
from phased.observability import logger
from phased.ports import Clock, HistoryStore, LogShelf, PastExecution

AT_ONCE: Final = 20
"""Executions that are forgotten between two pauses."""
_LOOKED_AT: Final = 500
"""Executions among which those are looked for that may go, or whose logs make room."""
_PAUSE: Final = 0.2
_BETWEEN: Final = 30.0
"""Seconds between two looks; a silent daemon does nothing else."""
_WHILE_WRITING: Final = 5.0
"""The same while steps write and what logs take is limited."""
_PATIENCE: Final = 600.0
"""Seconds without a quiet moment after which the surplus is forgotten nevertheless."""
_GRACE: Final = 3_600_000_000
"""Microseconds that a folder must lie still that belongs to nothing."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept; None: no limit."""

    count: int | None = None
    age: float | None = None
    """Seconds since its end."""
    size: int | None = None
    """Bytes on disk of all logs."""


@dataclass(slots=True)
class _Seen:
    """What is remembered of the shelf, so that not every folder is looked at each time."""

    sizes: dict[str, int] = field(default_factory=dict)
    hot: set[str] = field(default_factory=set)
    """Those that something may have written to since they were measured."""
    executions: set[str] = field(default_factory=set)
    """Those that belong to an execution."""


class Retention:
    """One engine's history within its limits. `run` keeps it so, `tidy` does so once."""

    def __init__(
        self,
        engine: Engine,
        history: HistoryStore,
        shelf: LogShelf,
        clock: Clock,
        keep: Keep,
        forget: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`forget` is told the time of the oldest log: what is older belongs to none (former secrets)."""
        self._engine = engine
        self._history = history
        self._shelf = shelf
        self._clock = clock
        self._keep = keep
        self._forget = forget
        self._seen = _Seen()
        self._told: int | None = 0
        self._quiet_at = clock.boot()
        self._log = logger("phased.retention")

    async def run(self) -> None:
        """Keep the history within its limits until cancelled."""
        while True:
            await self._pause()
            try:
                await self.tidy()
            except (PhasedError, OSError) as error:
                self._log.warning("history_not_trimmed", reason=str(error))

    async def _pause(self) -> None:
        """Until the next look: soon where logs may take no more than so much, and something has begun."""
        if self._keep.size is None:
            await anyio.sleep(_BETWEEN)
            return
        if not self._engine.lives:
            with anyio.move_on_after(_BETWEEN), self._engine.feed.subscribe() as news:
                await news.get()
        if self._engine.lives:
            await anyio.sleep(_WHILE_WRITING)

    async def tidy(self) -> int:
        """Forget what there is too much of, as far as now may be; how many executions. Raises StoreError."""
        count = 0
        if self._is_quiet():
            count += await self._forget_surplus()
            await self._remove_strays()
        if self._keep.size is not None:
            count += await self._make_room(self._keep.size)
        if count:
            self._log.info("history_trimmed", executions=count)
        await self._tell_oldest()
        return count

    async def _tell_oldest(self) -> None:
        """Only where there is another: what is done with it may be a write that waits for the disk."""
        if self._forget is None:
            return
        oldest = await self._history.oldest()
        if oldest != self._told:
            await self._forget(self._clock.wall() if oldest is None else oldest)
            self._told = oldest

    def _is_quiet(self) -> bool:
        """Whether nothing runs, or something has for too long."""
        now = self._clock.boot()
        if not self._engine.lives:
            self._quiet_at = now
            return True
        return now - self._quiet_at > _PATIENCE

    # ---- by number and age -----------------------------------------------------------------------

    async def _forget_surplus(self) -> int:
        count = 0
        before = self._before()
        while self._is_quiet():
            some = await self._history.surplus(keep=self._keep.count, before=before, limit=_LOOKED_AT)
            removed = await self._remove(some)
            count += removed
            if removed < AT_ONCE:
                break
            await anyio.sleep(_PAUSE)
        if before is not None:
            await self._remove_sessions(before)
        return count

    def _before(self) -> int | None:
        return None if self._keep.age is None else self._clock.wall() - round(self._keep.age * 1_000_000)

    async def _remove(self, some: Sequence[PastExecution]) -> int:
        """First from the store: a folder that stays is found later, a row without its logs is not."""
        left = {run_id.partition(".")[0] for run_id in await self._engine.leftovers()} if some else set()
        live = {one.record.id for one in self._engine.lives}
        ids = [one.id for one in some if one.id not in live and not one.step_ids & left][:AT_ONCE]
        if ids:
            await self._history.remove(ids)
            await self._shelf.remove(ids)
            for name in ids:
                self._seen.sizes.pop(name, None)
                self._seen.executions.discard(name)
        return len(ids)

    async def _remove_sessions(self, before: int | None) -> None:
        """Logs of what each service wrote in earlier sessions: all, or the older ones."""
        for live in self._engine.services.all():
            sessions = (live.progress.session, live.progress.emptying)
            kept = frozenset(name for session in sessions if session for name in stems(session))
            await self._shelf.remove_sessions(live.id, kept, before)

    # ---- what belongs to nothing -----------------------------------------------------------------

    async def _remove_strays(self) -> None:
        """Folders of deleted services, and of executions whose removal was cut short."""
        services = {live.id for live in self._engine.services.all()}
        unknown = [
            name
            for name in await self._shelf.names()
            if name not in self._seen.executions and name not in services
        ]
        self._seen.executions |= await self._history.known(unknown)
        before = self._clock.wall() - _GRACE
        strays = [
            name
            for name in unknown
            if name not in self._seen.executions and await self._shelf.touched(name) < before
        ]
        await self._shelf.remove(strays[:AT_ONCE])

    # ---- by size ---------------------------------------------------------------------------------

    async def _make_room(self, limit: int) -> int:
        """Ended executions go first, oldest first; then former sessions; then what is written now."""
        count = 0
        while await self._size() > limit:
            some = await self._history.surplus(keep=0, before=None, limit=_LOOKED_AT)
            removed = await self._remove(await self._enough(some, limit))
            count += removed
            if not removed:
                await self._shorten(limit)
                break
            await anyio.lowlevel.checkpoint()
        return count

    async def _enough(self, some: Sequence[PastExecution], limit: int) -> list[PastExecution]:
        """As many of them that have logs, from the first on, as it takes; a few at a time."""
        over = await self._size() - limit
        chosen: list[PastExecution] = []
        for one in some:
            size = self._seen.sizes.get(one.id, 0)
            if over <= 0 or len(chosen) == AT_ONCE:
                break
            if size:
                chosen.append(one)
                over -= size
        return chosen

    async def _size(self) -> int:
        """Of all folders; those that may have grown are measured anew."""
        seen = self._seen
        names = await self._shelf.names()
        hot = {one.record.id for one in self._engine.lives}
        hot |= {live.id for live in self._engine.services.all()}
        stale = [name for name in names if name not in seen.sizes or name in seen.hot or name in hot]
        there = set(names)
        seen.sizes = {name: size for name, size in seen.sizes.items() if name in there}
        seen.sizes |= await self._shelf.measure(stale)
        seen.hot = hot
        return sum(seen.sizes.values())

    async def _shorten(self, limit: int) -> None:
        await self._remove_sessions(None)
        while (over := await self._size() - limit) > 0:
            largest = max(self._seen.sizes, key=lambda name: self._seen.sizes[name])
            if not await self._shelf.shorten(largest, over):
                self._log.warning("logs_exceed_limit", bytes=over + limit, limit=limit)
                return
            self._seen.hot.add(largest)
