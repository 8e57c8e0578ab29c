"""One supervisor that lives, on the event loop: what it tells, and what is asked of it.

Knows channels and asyncio. Must not know the engine's reports. A plain reader of a socket, since streams
of asyncio cost as much as the steps themselves (`architecture: A step outlives the daemon`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import anyio

from phased.observability import logger
from phased.supervisor import client
from phased.supervisor.channel import Channel
from phased.supervisor.generation import Generation

Event = list[Any]

_LATER = 0.05
"""Seconds that what nobody waits for may wait for a message to go with."""


class LinkLost(Exception):
    """The connection is gone; whether its supervisor lives is another question."""


class Listener(Protocol):
    """Who is told what comes over a link."""

    def told(self, link: Link, events: Sequence[Event]) -> None:
        """Events came; after a welcome, perhaps some that came before."""

    def welcomed(self, link: Link) -> None:
        """All that the supervisor keeps has been told."""

    def lost(self, link: Link) -> None:
        """The connection has ended; called once, not after `close`."""


class Link:
    """A connection to one generation."""

    def __init__(self, generation: Generation, channel: Channel, pid: int, listener: Listener) -> None:
        """`pid`: of the supervisor, if it is our child, else 0."""
        self.generation = generation
        self.pid = pid
        self.copies: dict[str, int] = {}
        """A copy of each reading end, so that no output is lost should the supervisor die (rule 11)."""
        self.carried: dict[str, str] = {}
        """The logs of dead supervisors' runs whose output it carries: two would overwrite each other's."""
        self.started = 0
        """How many runs it was asked for."""
        self.supervisor = 0
        """The supervisor's pid, once it has answered."""
        self.faults = 0
        """How often something came over it, or its like before, that could not be understood."""
        self.replaces = False
        """Whether it goes on where a link to the same supervisor broke."""
        self.welcomed_at_all = anyio.Event()
        """Set once it has answered, or never will."""
        self._channel = channel
        self._listener = listener
        self._questions = count(1)
        self._answers: dict[int, tuple[anyio.Event, dict[str, Any]]] = {}
        self._loop = asyncio.get_running_loop()
        self._descriptor = channel.fileno()
        self._writing = False
        self._done: list[str] = []
        self._later: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._descriptor, self._read)

    def replace(self, broken: Link) -> None:
        """Go on where a link to the same supervisor broke."""
        self.replaces = True
        self.started = broken.started
        self.faults = broken.faults
        self.copies, broken.copies = broken.copies, self.copies
        self.carried.update(broken.carried)
        self.acknowledge(broken._done)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._channel.closed

    def greet(self, epoch: int, base: Mapping[str, Any]) -> None:
        """Say who we are, and what every step is started with."""
        client.greet(self._channel, epoch)
        self.send({"do": "base", **base})

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send now, or as soon as it takes more."""
        if self._done and message["do"] != "acknowledge":
            self._channel.post(self._acknowledgement())
        self._channel.send(message, descriptors)
        self._after_sending()

    def acknowledge(self, run_ids: Sequence[str]) -> None:
        """These results are kept elsewhere now: told with the next message, or a little later by itself."""
        self._done += run_ids
        if self._later is None and not self.closed:
            self._later = self._loop.call_later(_LATER, self._acknowledge)

    def _acknowledgement(self) -> dict[str, Any]:
        done, self._done = self._done, []
        return {"do": "acknowledge", "runs": done}

    def _acknowledge(self) -> None:
        self._later = None
        if self._done and not self.closed:
            self.send(self._acknowledgement())

    async def ask(self, what: str, **facts: object) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises LinkLost."""
        number = next(self._questions)
        answered = anyio.Event()
        answer: dict[str, Any] = {}
        self._answers[number] = (answered, answer)
        try:
            self.send({"do": what, "ask": number, **facts})
            if not self.closed:
                await answered.wait()
        finally:
            self._answers.pop(number, None)
        if not answer:
            raise LinkLost
        return answer

    def notify(self, what: str) -> None:
        """As `ask`, but nobody waits for the answer."""
        self.send({"do": what, "ask": 0})

    def _after_sending(self) -> None:
        if self._channel.closed:
            # Not from within the caller: it may be in the midst of what the loss would change.
            self._loop.call_soon(self._end)
        elif self._channel.backlog and not self._writing:
            self._writing = True
            self._loop.add_writer(self._descriptor, self._flush)

    def _flush(self) -> None:
        self._channel.flush()
        if self._channel.closed:
            self._end()
        elif not self._channel.backlog:
            self._writing = False
            self._loop.remove_writer(self._descriptor)

    def _read(self) -> None:
        """Hear all that came; what cannot be understood ends the connection, so that nobody waits for it."""
        try:
            for message in self._channel.receive():
                self._hear(message)
        except Exception as error:  # noqa: BLE001 - the loop would only log it, and its runs would never end
            logger("phased.runners").error(
                "supervisor_not_understood", directory=self.generation.directory, reason=repr(error)
            )
            self.faults += 1
            self._channel.closed = True
        if self._channel.closed:
            self._end()

    def _hear(self, message: dict[str, Any]) -> None:
        match message["is"]:
            case "events":
                self._events(message["events"])
            case "answer":
                waiting = self._answers.get(message["to"])
                if waiting is not None:
                    waiting[1].update(message)
                    waiting[0].set()
            case "welcome":
                self._welcome(message)
            case _:
                self._channel.closed = True

    def _welcome(self, message: dict[str, Any]) -> None:
        self.supervisor = message["pid"]
        self.carried.update(message.get("carried", {}))
        self._listener.told(self, [event for history in message["runs"].values() for event in history])
        self._listener.welcomed(self)
        self.welcomed_at_all.set()

    def _events(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case ["output", run_id]:
                    copy = self._channel.take_descriptor()
                    if copy is not None:
                        self.drop_copy(run_id)
                        self.copies[run_id] = copy
                case ["exited", run_id, _, _, _, 0] | ["closed", run_id] | ["refused", run_id, *_]:
                    self.drop_copy(run_id)
                    self.carried.pop(run_id, None)
        self._listener.told(self, events)

    def copy_of(self, run_id: str) -> int | None:
        """The copy of a run's reading end, made where there is none; None where there is no room for it."""
        if run_id not in self.copies:
            try:
                self.copies[run_id] = client.new_pipe()
            except OSError:
                return None
        return self.copies[run_id]

    def drop_copy(self, run_id: str) -> None:
        """This output has ended, or is in other hands."""
        copy = self.copies.pop(run_id, None)
        if copy is not None:
            os.close(copy)

    def _end(self) -> None:
        if self._descriptor < 0:
            return
        self._release()
        self._listener.lost(self)

    def _release(self) -> None:
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        if self._later is not None:
            self._later.cancel()
        self._descriptor = -1
        self._channel.close()
        for answered, _ in self._answers.values():
            answered.set()
        self.welcomed_at_all.set()

    def close(self) -> None:
        """Let go; `lost` is not called any more."""
        if self._descriptor >= 0:
            self._release()
        for run_id in list(self.copies):
            self.drop_copy(run_id)
        self.reap()

    def reap(self) -> bool:
        """Take the status of a supervisor that was our child; whether it is gone."""
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                    return False
            self.pid = 0
        return True
