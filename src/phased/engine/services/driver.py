"""The loop of all services: receive, handle, save, perform; a bunch at a time.

Saving comes before performing, so a crash can never lose a start. Knows machines, the store, the feed
and the performer. Must not know how a command runs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import count

import anyio

from phased.contract.service import ServicePhase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.events import Instant
from phased.engine.services.feed import ServiceFeed
from phased.engine.services.live import LiveService
from phased.engine.services.performer import Arrival, ServicePerformer
from phased.errors import IllegalTransition, StaleVersion, StoreError
from phased.observability import logger
from phased.ports import Clock, Store

_REPEAT_SAVE = 1.0
"""Seconds between two tries to save what a full disk refused."""
_LOOK_AT_CLOCK = 5.0
"""While reminders wait, the boot clock is looked at this often (seconds): timers stand still in suspend."""


class ServiceDriver:
    """Owns every machine. `post` is how anything reaches one."""

    def __init__(self, store: Store, feed: ServiceFeed, performer: ServicePerformer, clock: Clock) -> None:
        """Drives nothing yet; `run` is the loop."""
        self._store = store
        self._feed = feed
        self._performer = performer
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._inbox: deque[Arrival] = deque()
        self._arrived = anyio.Event()
        self._reminders: list[tuple[float, int, LiveService, e.Reminder]] = []
        self._order = count()
        self._unsaved: dict[LiveService, None] = {}
        self._waiting: list[anyio.Event] = []
        self._log = logger("phased.engine.services")
        self.store_error: StoreError | None = None
        """Why the newest statuses could not be saved; None as soon as they could."""

    def now(self) -> Instant:
        """This moment on both clocks."""
        return Instant(self._clock.wall(), self._clock.boot())

    def post(self, arrivals: Sequence[Arrival]) -> None:
        """Hand over events; they are handled in this order."""
        if arrivals:
            self._inbox.extend(arrivals)
            self._arrived.set()

    async def settled(self) -> None:
        """Wait until everything that was posted has been handled and saved.

        Raises StoreError where it could not be saved.
        """
        done = anyio.Event()
        self._waiting.append(done)
        self._arrived.set()
        await done.wait()
        if self.store_error is not None:
            raise self.store_error

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
        waits = [self._reminders[0][0] - self._clock.boot(), _LOOK_AT_CLOCK] if self._reminders else []
        if self._unsaved:
            waits.append(_REPEAT_SAVE)
        return min(waits, default=None)

    async def _bunch(self) -> None:
        now = self.now()
        waiting, self._waiting = self._waiting, []
        touched: dict[LiveService, None] = {}
        todo: list[tuple[LiveService, i.ServiceInstruction]] = []
        while self._inbox:
            live, event = self._inbox.popleft()
            touched[live] = None
            if event is None:
                continue
            todo += [(live, instruction) for instruction in self._handle(live, event, now)]
        touched = {**self._unsaved, **touched}
        saved = await self._save(list(touched), now)
        for live, instruction in todo:
            if isinstance(instruction, i.RunInstruction):
                self.post(self._performer.prepare(live, instruction))
            else:
                self._perform(live, instruction)
        reason = str(self.store_error)
        self.post(await self._performer.start() if saved else self._performer.refuse(reason))
        if saved:
            await self._performer.forget()
        for live in touched:
            if saved or live.phase is ServicePhase.FAILED:
                live.tell()
        for done in waiting:
            done.set()

    def _handle(self, live: LiveService, event: e.ServiceEvent, now: Instant) -> list[i.ServiceInstruction]:
        try:
            return live.machine.handle(event, now)
        except IllegalTransition as error:
            self._log.error("event_refused", service_id=live.id, state=error.state, event_type=error.event)
            return []

    async def _save(self, touched: Sequence[LiveService], now: Instant) -> bool:
        """Save what changed; tell the feed only of what is saved."""
        changed = [live for live in touched if live.is_changed()]
        if not changed:
            return True
        defined = any(live.definition is not live.record.definition for live in changed)
        records = [live.next_record(now.wall, self._boot_id, live.machine.change(now)) for live in changed]
        try:
            await self._store.save_services(records, durable=defined)
        except StaleVersion as error:
            return await self._give_up(error, changed, now)
        except StoreError as error:
            if self.store_error is None:
                self._log.error("status_not_saved", reason=str(error))
            self._unsaved, self.store_error = dict.fromkeys(changed), error
            return False
        self._unsaved, self.store_error = {}, None
        for live, record in zip(changed, records, strict=True):
            live.record = record
        self._feed.publish(records)
        return True

    async def _give_up(self, error: StaleVersion, changed: Sequence[LiveService], now: Instant) -> bool:
        """Somebody else has changed one of them, or it was removed: that one is left, the others go on."""
        self._log.error("status_stale", service_id=error.execution_id, reason=str(error))
        for live in [live for live in changed if live.id == error.execution_id]:
            live.take_as_saved()
            self._unsaved.pop(live, None)
        return await self._save([live for live in changed if live.id != error.execution_id], now)

    def _perform(self, live: LiveService, instruction: i.ServiceInstruction) -> None:
        match instruction:
            case i.RemindOfReady():
                self._remind(live, e.ReadyDue(instruction.at))
            case i.RemindOfRestart():
                self._remind(live, e.RestartDue(instruction.at))
            case i.RemindOfReadiness():
                self._remind(live, e.ReadinessTimedOut(instruction.at))
            case i.RemindOfLimit():
                self._remind(live, e.LimitReached(instruction.at))
            case _:
                self._performer.perform(live, instruction)

    def _remind(self, live: LiveService, event: e.Reminder) -> None:
        heapq.heappush(self._reminders, (event.at, next(self._order), live, event))

    def resume(self, live: LiveService) -> None:
        """Perform anew what a restored machine waits for."""
        for instruction in live.machine.resume():
            self._perform(live, instruction)
        self._arrived.set()
