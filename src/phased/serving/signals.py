"""What signals ask of the daemon: its end, or its next version.

Knows how a signal becomes a request, and wakes the loop. Must not know what a request leads to. Handlers are
plain ones, and not the loop's: between the end of the loop and execve(2) they still note what is asked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

from phased.reloading import HEEDED, hear_again


class Requests:
    """What was asked and is not taken yet: stops one by one, reloads as one."""

    def __init__(self, reloads: Collection[signal.Signals]) -> None:
        """`reloads`: the numbers that ask for the next version; all others ask for the end."""
        self.stops: deque[signal.Signals] = deque()
        self.handed_over = False
        """Whether the next version obeys what comes from now on, so that nothing may be lost."""
        self._reloads = reloads
        self._reload = False
        self._news = anyio.Event()

    async def next(self) -> signal.Signals | None:
        """The oldest stop; None where a reload is asked for and no stop."""
        while not self.stops and not self._reload:
            await self._news.wait()
        if self.stops:
            return self.stops.popleft()
        self._reload = False
        return None

    async def stop(self) -> signal.Signals:
        """The oldest stop."""
        await self.until_stop()
        return self.stops.popleft()

    async def until_stop(self) -> None:
        """Return once a stop can be taken."""
        while not self.stops:
            await self._news.wait()

    def note(self, number: int, _: FrameType | None) -> None:
        """The handler of each signal: no more than to remember it."""
        if number in self._reloads:
            self._reload = True
        else:
            self.stops.append(signal.Signals(number))

    def tell(self) -> None:
        """Let who waits look."""
        self._news.set()
        self._news = anyio.Event()


@contextmanager
def hearing() -> Iterator[Requests]:
    """Signals are requests within; after a handover they remain so, until the next version has begun.

    But for those that whoever started this process had it ignore (nohup).
    """
    reloads = {signal.SIGUSR2} if _has_terminal() else {signal.SIGUSR2, signal.SIGHUP}
    requests = Requests(reloads)
    heeded = [number for number in HEEDED if signal.getsignal(number) is not signal.SIG_IGN]
    with _woken(requests.tell):
        before = {number: signal.signal(number, requests.note) for number in heeded}
        for number in heeded:
            signal.siginterrupt(number, False)  # a library in C need not expect EINTR
        hear_again()
        try:
            yield requests
        finally:
            if not requests.handed_over:
                for number, handler in before.items():
                    signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def _woken(tell: Callable[[], None]) -> Iterator[None]:
    """Any signal makes the loop call `tell`, even one that comes just before it begins to wait."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)

        def woken() -> None:
            ours.recv(4096)
            tell()

        loop.add_reader(ours, woken)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)


def _has_terminal() -> bool:
    """Whether a terminal controls this process: its end is what SIGHUP means then (tty(4)).

    To be asked at the beginning: a terminal that has hung up is nobody's any more.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
