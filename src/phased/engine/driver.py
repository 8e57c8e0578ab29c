"""The loop of all executions: receive, handle, save, perform; a bunch at a time.

Saving comes before performing, so a crash can never lose a start. Knows machines, the store, the feed
and the performer. Must not know how a step runs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import count

import anyio


from phased.core import events as e
from phased.core import instructions as i
from phased.core.status import StatusChange
from phased.engine.feed import Feed
from phased.engine.performer import Performer
from phased.engine.registry import LiveExecution
from phased.errors import IllegalTransition, StoreError
from phased.observability import logger
from phased.ports import Clock, Store

Arrival = tuple[LiveExecution, e.Event]

_REPEAT_SAVE = 1.0
"""Seconds between two tries to save what a full disk refused."""


class Driver:
    """Owns every machine. `post` is how anything reaches one."""

    def __init__(self, store: Store, feed: Feed, performer: Performer, clock: Clock) -> None:
        """Drives nothing yet; `run` is the loop."""
        self._store = store
        self._feed = feed
        self._performer = performer
        self._clock = clock
        self._inbox: deque[Arrival] = deque()
        self._arrived = anyio.Event()
        self._reminders: list[tuple[float, int, LiveExecution, e.Event]] = []
        self._order = count()
        self._unsaved: list[StatusChange] = []
        self._log = logger("phased.engine")
        self.store_error: StoreError | None = None
        """Why the newest statuses could not be saved; None as soon as they could."""

    def now(self) -> e.Instant:
        """This moment on both clocks."""
        return e.Instant(self._clock.wall(), self._clock.boot())

    def post(self, arrivals: Sequence[Arrival]) -> None:
        """Hand over events; they are handled in this order."""
        if arrivals:
            self._inbox.extend(arrivals)
            self._arrived.set()

    async def run(self) -> None:
        """Drive until cancelled."""
        while True:
            await self._receive()
            await self._bunch()

    async def _receive(self) -> None:
        """Wait for events, the next reminder, or the next try to save."""
        if not self._inbox:
            wait = self._wait_at_most()
            if wait is None:
                await self._arrived.wait()
            elif wait > 0:
                with anyio.move_on_after(wait):
                    await self._arrived.wait()
        self._arrived = anyio.Event()
        now = self._clock.boot()
        while self._reminders and self._reminders[0][0] <= now:
            _, _, live, event = heapq.heappop(self._reminders)
            self._inbox.append((live, event))

    def _wait_at_most(self) -> float | None:
        wait = self._reminders[0][0] - self._clock.boot() if self._reminders else None
        if self._unsaved:
            return _REPEAT_SAVE if wait is None else min(wait, _REPEAT_SAVE)
        return wait

    async def _bunch(self) -> None:
        now = self.now()
        touched: dict[LiveExecution, None] = {}
        todo: list[tuple[LiveExecution, i.Instruction]] = []
        while self._inbox:
            live, event = self._inbox.popleft()
            for instruction in self._handle(live, event, now):
                if isinstance(instruction, i.StartStep):
                    self._inbox.extend(self._performer.prepare(live, instruction))
                else:
                    todo.append((live, instruction))
            touched[live] = None
        changes = [live.machine.change(now) for live in touched]
        saved = await self._save(changes)
        self.post(await self._performer.start() if saved else self._performer.refuse(str(self.store_error)))
        for live, instruction in todo:
            self._perform(live, instruction)
        await self._performer.settle(saved=saved)

    def _handle(self, live: LiveExecution, event: e.Event, now: e.Instant) -> list[i.Instruction]:
        try:
            return live.machine.handle(event, now)
        except IllegalTransition as error:
            self._log.error(
                "event_refused", execution_id=live.record.id, state=error.state, event_type=error.event
            )
            return []

    async def _save(self, changes: list[StatusChange]) -> bool:
        """Save, with what could not be saved before; tell the feed only of what is saved."""
        changes = [*self._unsaved, *changes]
        if not changes:
            return True
        try:
            await self._store.save(changes)
        except StoreError as error:
            if self.store_error is None:
                self._log.error("status_not_saved", reason=str(error))
            self._unsaved, self.store_error = changes, error
            return False
        self._unsaved, self.store_error = [], None
        self._feed.publish(changes)
        return True

    def _perform(self, live: LiveExecution, instruction: i.Instruction) -> None:
        match instruction:
            case i.RemindOfTimeout():
                self._remind(instruction.at, live, e.StepTimedOut(instruction.step_id, instruction.attempt))
            case i.RemindOfLimit():
                self._remind(instruction.at, live, e.StepLimitReached(instruction.step_id, instruction.attempt))
            case i.RemindOfRetry():
                self._remind(instruction.at, live, e.StepDue(instruction.step_id))
            case i.Finish():
                live.done.set()
            case _:
                self.post(self._performer.perform(live, instruction))

    def _remind(self, at: float, live: LiveExecution, event: e.Event) -> None:
        heapq.heappush(self._reminders, (at, next(self._order), live, event))
