"""The loop of all executions: receive, handle, save, perform; a bunch at a time.

Saving comes before performing, so a crash can never lose a start. Knows machines, the store, the feed
and the performer. Must not know how a step runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import anyio

from phased.core import events as e
from phased.core import instructions as i
from phased.core.status import StatusChange
from phased.engine.feed import Feed
from phased.engine.loop import Loop
from phased.engine.performer import Performer
from phased.engine.registry import LiveExecution, Registry
from phased.engine.view import merge
from phased.errors import IllegalTransition, StaleVersion, StoreError
from phased.observability import logger
from phased.ports import Clock, Store

Arrival = tuple[LiveExecution, e.Event]

_FEW = 64
"""Fewer reminders than this are not worth tidying."""


class Driver(Loop[LiveExecution, e.Event]):
    """Owns every machine. `post` is how anything reaches one."""

    def __init__(
        self, store: Store, feed: Feed, performer: Performer, registry: Registry, clock: Clock
    ) -> None:
        """Drives nothing yet; `run` is the loop."""
        super().__init__(clock)
        self._store = store
        self._feed = feed
        self._performer = performer
        self._registry = registry
        self._busy = anyio.Lock(fast_acquire=True)
        self._unsaved: dict[str, StatusChange] = {}
        self._ended: list[LiveExecution] = []
        self._log = logger("phased.engine")

    def resume(self, live: LiveExecution) -> None:
        """Perform anew what a restored machine still wants."""
        for instruction in live.machine.resume(self.now()):
            self._perform(live, instruction)
        self._arrived.set()

    async def run(self) -> None:
        """Drive until cancelled."""
        while True:
            await self._receive()
            async with self._busy:
                await self._bunch()

    async def hear(self, arrivals: Iterable[Arrival]) -> None:
        """As `post`, but handled before this returns where nothing else is: steps in a chain wait for it."""
        self._inbox.extend(arrivals)
        if self._busy.locked():
            self._arrived.set()
        elif self._inbox:
            async with self._busy:
                await self._bunch()
            if self._wait_at_most() is not None:
                self._arrived.set()  # `run` waits, and knows nothing of a new reminder or an unsaved status

    async def _bunch(self) -> None:
        now = self.now()
        waiting, self._waiting = self._waiting, []
        touched, todo = self._handle_all(now)
        results = self._performer.results()
        error = await self._save([live.machine.change(now) for live in touched if live.machine.changed])
        self.post(await self._performer.start() if error is None else self._performer.refuse(str(error)))
        for live, instruction in todo:
            self._perform(live, instruction)
        await self._performer.forget(results, saved=self.store_error is None)
        if self.store_error is None:
            for live in self._ended:
                self._registry.remove(live)
            self._ended.clear()
        for done in waiting:
            done.set()

    def _handle_all(
        self, now: e.Instant
    ) -> tuple[Iterable[LiveExecution], list[tuple[LiveExecution, i.Instruction]]]:
        """Empty the inbox; which executions it touched, and what is to be done once they are saved.

        Which run a step is, and whether it is shared, is decided in between: it belongs to the status.
        """
        touched: dict[LiveExecution, None] = {}
        todo: list[tuple[LiveExecution, i.Instruction]] = []
        while self._inbox:
            live, event = self._inbox.popleft()
            touched[live] = None
            for instruction in self._handle(live, event, now):
                match instruction:
                    case i.StartStep():
                        self._inbox.extendleft(reversed(self._performer.prepare(live, instruction)))
                    case i.DetachStep():
                        self._inbox.extendleft(reversed(self._performer.detach(live, instruction.step_id)))
                    case _:
                        todo.append((live, instruction))
        return touched, todo

    def _handle(self, live: LiveExecution, event: e.Event, now: e.Instant) -> list[i.Instruction]:
        try:
            if isinstance(event, e.OutputRecorded):
                event = self._performer.accept(live, event)
            return live.machine.handle(event, now)
        except IllegalTransition as error:
            self._log.error(
                "event_refused", execution_id=live.record.id, state=error.state, event_type=error.event
            )
            return []

    async def _save(self, changes: Sequence[StatusChange]) -> StoreError | None:
        """Save, with what could not be saved before; tell the feed only of what is saved.

        The error, if they could not be saved. What a full disk refused is tried again; a status that
        somebody else has changed, or removed, is given up with what it was to start, and holds up no other.
        """
        if self._unsaved:
            for change in changes:
                earlier = self._unsaved.get(change.execution_id)
                self._unsaved[change.execution_id] = merge(earlier, change) if earlier else change
            changes = list(self._unsaved.values())
        while True:
            try:
                if changes:
                    await self._store.save(changes)
                break
            except StaleVersion as error:
                self._log.error("status_stale", execution_id=error.execution_id, reason=str(error))
                changes = [change for change in changes if change.execution_id != error.execution_id]
                self.post(self._performer.refuse(str(error), of=error.execution_id))
            except StoreError as error:
                return self._keep(changes, error)
        self._unsaved, self.store_error = {}, None
        self._feed.publish(changes)
        return None

    def _keep(self, changes: Sequence[StatusChange], error: StoreError) -> StoreError:
        if self.store_error is None:
            self._log.error("status_not_saved", reason=str(error))
        self._unsaved = {change.execution_id: change for change in changes}
        self.store_error = error
        self._feed.wake()
        return error

    def _perform(self, live: LiveExecution, instruction: i.Instruction) -> None:
        match instruction:
            case i.RemindOfTimeout():
                self._remind(instruction.at, live, e.StepTimedOut(instruction.step_id, instruction.attempt))
            case i.RemindOfLimit():
                self._remind(
                    instruction.at, live, e.StepLimitReached(instruction.step_id, instruction.attempt)
                )
            case i.RemindOfRetry():
                self._remind(instruction.at, live, e.StepDue(instruction.step_id))
            case i.Finish():
                self._finish(live)
            case _:
                self.post(self._performer.perform(live, instruction))

    def _remind(self, at: float, live: LiveExecution, event: e.Event) -> None:
        if not live.machine.finished:
            super()._remind(at, live, event)

    def _finish(self, live: LiveExecution) -> None:
        live.done.set()
        record = live.record
        self._log.info(
            "execution_ended",
            execution_id=record.id,
            reference=record.reference,
            phase=live.machine.phase.name,
        )
        self._ended.append(live)
        self._performer.sweep(live.firing)
        if len(self._reminders) > max(_FEW, 4 * len(self._registry.executions)):
            self._reminders = [entry for entry in self._reminders if not entry[2].machine.finished]
            heapq.heapify(self._reminders)
