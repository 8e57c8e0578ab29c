"""The loop of all services: receive, handle, save, perform; a bunch at a time.

Saving comes before performing, so a crash can never lose a start. Knows machines, the store, the feed
and the performer. Must not know how a command runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from phased.contract.service import ServicePhase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.events import Instant
from phased.engine.loop import Loop
from phased.engine.services.feed import ServiceFeed
from phased.engine.services.live import LiveService
from phased.engine.services.performer import ServicePerformer
from phased.errors import IllegalTransition, StaleVersion, StoreError
from phased.observability import logger
from phased.ports import Clock, Store


class ServiceDriver(Loop[LiveService, e.ServiceEvent | None]):
    """Owns every machine. `post` is how anything reaches one."""

    def __init__(self, store: Store, feed: ServiceFeed, performer: ServicePerformer, clock: Clock) -> None:
        """Drives nothing yet; `run` is the loop."""
        super().__init__(clock)
        self._store = store
        self._feed = feed
        self._performer = performer
        self._boot_id = clock.boot_id()
        self._unsaved: dict[LiveService, None] = {}
        self._log = logger("phased.engine.services")

    async def run(self) -> None:
        """Drive until cancelled."""
        while True:
            await self._receive()
            await self._bunch()

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
        if isinstance(event, e.LimitReached) and event.left is None and live.progress.killed:
            self._performer.look_what_is_left(live, event)
            return []
        try:
            return live.machine.handle(event, now)
        except IllegalTransition as error:
            self._log.error("event_refused", service_id=live.id, state=error.state, event_type=error.event)
            return []

    async def _save(self, touched: Sequence[LiveService], now: Instant) -> bool:
        """Save what changed; tell the feed only of what is saved."""
        changed = [live for live in touched if live.is_changed()]
        if not changed:
            self._unsaved, self.store_error = {}, None
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
                self._remind(instruction.at, live, e.ReadyDue(instruction.at))
            case i.RemindOfRestart():
                self._remind(instruction.at, live, e.RestartDue(instruction.at))
            case i.RemindOfReadiness():
                self._remind(instruction.at, live, e.ReadinessTimedOut(instruction.at))
            case i.RemindOfLimit():
                self._remind(instruction.at, live, e.LimitReached(instruction.at))
            case _:
                self._performer.perform(live, instruction)

    def resume(self, live: LiveService) -> None:
        """Perform anew what a restored machine waits for."""
        for instruction in live.machine.resume():
            self._perform(live, instruction)
        self._arrived.set()
