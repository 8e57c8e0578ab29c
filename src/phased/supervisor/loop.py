"""The turn of events: connections, children and outputs, in one thread. The supervisor's own process.

Knows messages and who may send them. What a run is, `steps` knows. Each turn: read, reap, start a bunch,
write the journal, tell. It ends when it has no child and no daemon (rule 8).

From the daemon: hello{protocol, epoch}, base{environment, shell, umask, log_budget, cgroup}, start{runs},
acknowledge{runs}, carry{run, log}, and with a number to be answered by: processes{run}, signal{run, signal},
leftovers, retire.
To the daemon: welcome{protocol, pid, runs, carried}, refused{reason}, events{n, events}, answer{to, ...}.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct

from phased.supervisor import system
from phased.supervisor.census import Process, identity_of_machine, look
from phased.supervisor.cgroups import OFF
from phased.supervisor.channel import PROTOCOL, Channel
from phased.supervisor.generation import FIRST, LISTENER, LOCK, Generation
from phased.supervisor.journal import Journal
from phased.supervisor.spawning import normalise_priority
from phased.supervisor.steps import Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from phased.supervisor.actions import Actions

_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_MOST_BACKLOG = 1 << 23
"""Bytes that a reader may be behind, before it is disconnected; it resumes by `list` (rule 6)."""
_DESCRIPTORS_AT_ONCE = 200
_TRY_JOURNAL_AGAIN = 1.0
_LINGER = 0.004
"""Seconds that `started` waits for company. Nobody waits for it, and of a step that ends sooner both are told
at once, which costs the daemon one commit less."""


class Supervisor:
    """One process's whole life; `run` returns at its end."""

    def __init__(
        self, directory: str, listener: socket.socket, first: socket.socket, actions: Actions
    ) -> None:
        """`first` is the connection of who started it."""
        root, _, number = directory.rpartition("/")
        self._generation = Generation(root, int(number))
        self._actions = actions
        self._listener = listener
        self._journal = Journal(self._generation.journal, actions)
        self._journal.record("born", actions.wall(), _identity())
        self._daemon: Channel | None = None
        self._epoch = 0
        self._retired = False
        self._tell_at: float | None = None
        self._guests: dict[int, Channel] = {}
        self._poll = select.epoll()
        self._steps = Steps(actions, self._journal, int(number), self._watch, self._poll.unregister)
        self._children = system.signal_descriptor(_SIGNALS)
        self._poll.register(self._children, select.EPOLLIN)
        self._poll.register(listener, select.EPOLLIN)
        self._journal.write()
        self._admit(first)

    def run(self) -> None:
        """Turn until there is nothing left to do."""
        while True:
            self._turn()
            if self._is_idle() and not self._last_guest():
                break
        self._journal.record("ended", self._actions.wall())
        self._journal.write()

    def _turn(self) -> None:
        self._steps.look_anew()
        for descriptor, _ in self._poll.poll(self._patience()):
            self._ready(descriptor)
        if self._steps.unreaped:
            self._steps.reap()
        self._steps.begin_some()
        self._steps.identify()
        self._steps.write()
        self._tell()

    def _patience(self) -> float | None:
        if self._steps.waiting or self._steps.unreaped:
            return 0
        waits = [wait for wait in (self._steps.patience(),) if wait is not None]
        if self._tell_at is not None:
            waits.append(max(self._tell_at - self._actions.boot(), 0.0))
        if self._journal.full is not None:
            waits.append(_TRY_JOURNAL_AGAIN)
        return min(waits) if waits else None

    def _ready(self, descriptor: int) -> None:
        if descriptor == self._children:
            with contextlib.suppress(BlockingIOError):
                os.read(self._children, 4096)
            self._steps.reap()
        elif descriptor in self._guests:
            self._listen_to(self._guests[descriptor])
        elif descriptor == self._listener.fileno():
            self._accept()
        else:
            self._steps.pump(descriptor)

    def _watch(self, descriptor: int) -> None:
        self._poll.register(descriptor, select.EPOLLIN)

    # ---- connections -----------------------------------------------------------------------------

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return False
        self._admit(connection)
        return True

    def _admit(self, connection: socket.socket) -> None:
        """Only the same user's processes are heard (rule 7)."""
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        if uid not in (os.geteuid(), 0):
            connection.close()
            return
        channel = Channel(connection, self._actions)
        self._guests[channel.fileno()] = channel
        self._poll.register(channel.fileno(), select.EPOLLIN)

    def _dismiss(self, channel: Channel) -> None:
        if self._guests.pop(channel.fileno(), None) is not None:
            self._poll.unregister(channel.fileno())
        channel.close()
        if channel is self._daemon:
            self._daemon = None
            self._steps.drop_waiting()

    def _listen_to(self, channel: Channel) -> None:
        if channel.backlog:
            self._push(channel)
        for message in channel.receive():
            try:
                self._obey(channel, message)
            except (KeyError, TypeError, ValueError, AttributeError):
                channel.closed = True
            if channel.fileno() < 0:
                return
        self._after_sending(channel)

    def _obey(self, channel: Channel, message: dict[str, Any]) -> None:
        if message["do"] == "hello":
            self._greet(channel, message)
        elif channel is self._daemon:
            self._serve(channel, message)

    def _greet(self, channel: Channel, message: dict[str, Any]) -> None:
        """A new epoch closes older connections and drops what they sent and was not begun (rule 4)."""
        epoch = int(message["epoch"])
        if epoch < self._epoch:
            channel.send({"is": "refused", "reason": f"epoch {epoch} is over, it is {self._epoch} now"})
            self._dismiss(channel)
            return
        if self._daemon is not None and self._daemon is not channel:
            self._dismiss(self._daemon)
        self._steps.drop_waiting()
        self._steps.events.clear()
        self._tell_at = None
        self._epoch = epoch
        self._daemon = channel
        self._retired = False
        self._journal.record("epoch", self._actions.wall(), epoch)
        self._steps.write()
        runs = self._steps.unacknowledged()
        channel.send(
            {
                "is": "welcome", "protocol": PROTOCOL, "pid": os.getpid(), "runs": runs,
                "carried": self._steps.carried,
            }
        )  # fmt: skip
        self._hand_on(channel)

    def _serve(self, channel: Channel, message: dict[str, Any]) -> None:
        what = message["do"]
        if what == "start":
            for run_id, request in message["runs"].items():
                self._steps.ask(run_id, request, channel.take_descriptor() if request["pipe"] else None)
        elif what == "acknowledge":
            self._steps.acknowledge(message["runs"])
        elif what == "base":
            self._steps.spawner.equip(message["environment"], message["shell"], message["umask"])
            self._steps.log_budget = int(message.get("log_budget", 0))
            self._steps.use_cgroups(message.get("cgroup", OFF))
        elif what == "carry":
            self._carry(channel, message)
        else:
            channel.send({"is": "answer", "to": message["ask"], **self._answer(what, message)})

    def _carry(self, channel: Channel, message: dict[str, Any]) -> None:
        """The output of a run whose own supervisor is dead."""
        pipe = channel.take_descriptor()
        if pipe is not None:
            self._steps.carry(message["run"], message["log"], pipe)

    def _answer(self, what: str, message: dict[str, Any]) -> dict[str, Any]:
        if what == "processes":
            run_id = message["run"]
            return {"processes": _rows(self._steps.members(run_id), self._steps.leader(run_id))}
        if what == "signal":
            return {"count": self._steps.signal(message["run"], message["signal"])}
        if what == "leftovers":
            return {"runs": {run: _rows(found) for run, found in self._steps.leftovers().items()}}
        if what == "retire":
            self._retired = True
            return {"childless": self._steps.childless and not self._steps.carried}
        return {"error": f"cannot {what}"}

    def _hand_on(self, channel: Channel) -> None:
        """A copy of every reading end (rule 11); of what it starts itself, a daemon has one already."""
        outputs = self._steps.open_outputs()
        for begin in range(0, len(outputs), _DESCRIPTORS_AT_ONCE):
            some = outputs[begin : begin + _DESCRIPTORS_AT_ONCE]
            events = [["output", run_id] for run_id, _ in some]
            message = {"is": "events", "n": self._journal.number, "events": events}
            channel.send(message, [pipe for _, pipe in some])

    # ---- telling ---------------------------------------------------------------------------------

    def _tell(self) -> None:
        steps = self._steps
        channel = self._daemon
        if not steps.events or (channel is not None and self._lingers()):
            return
        if channel is not None:
            events = {"is": "events", "n": self._journal.number, "events": steps.events}
            channel.send(events)
            self._after_sending(channel)
        steps.events.clear()
        self._tell_at = None

    def _lingers(self) -> bool:
        """Whether all that is to be told is that runs have started, just now."""
        if any(event[0] != "started" for event in self._steps.events):
            return False
        now = self._actions.boot()
        if self._tell_at is None:
            self._tell_at = now + _LINGER
        return now < self._tell_at

    def _after_sending(self, channel: Channel) -> None:
        """Wait for a reader that did not take all; not for one that is far behind."""
        if channel.closed or channel.backlog > _MOST_BACKLOG:
            self._dismiss(channel)
        elif channel.backlog:
            self._poll.modify(channel.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _push(self, channel: Channel) -> None:
        channel.flush()
        if not channel.backlog and not channel.closed:
            self._poll.modify(channel.fileno(), select.EPOLLIN)

    # ---- the end ---------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        if not self._steps.childless or self._steps.waiting or self._steps.carried:
            return False
        if not self._guests:
            return True
        only = self._daemon is not None and len(self._guests) == 1 and not self._daemon.backlog
        return self._retired and only and not self._steps.unacknowledged()

    def _last_guest(self) -> bool:
        """Whether somebody came at the last moment; if not, nobody can come any more (rule 8)."""
        self._listener.setblocking(False)
        if self._accept():
            return True
        self._poll.unregister(self._listener.fileno())
        self._listener.close()
        return False


def _rows(processes: list[Process], leader: int = 0) -> list[list[Any]]:
    return [
        [process.pid, process.start, process.name, int(process.pid == leader), process.state]
        for process in processes
    ]


def _identity() -> dict[str, Any]:
    """Who this is, for a time when it is dead (rule 18)."""
    own = look(os.getpid())
    return {
        "pid": os.getpid(),
        "start": own.start if own else 0,
        "protocol": PROTOCOL,
        **identity_of_machine(),
    }


def main(directory: str, actions: Actions) -> None:
    """Be a supervisor, with what was inherited: the lock, the listening socket, the first connection."""
    for descriptor in (LOCK, LISTENER, FIRST):
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    os.closerange(FIRST + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o077)
    os.chdir("/")
    normalise_priority()
    system.become_subreaper()
    listener = socket.socket(fileno=LISTENER)
    listener.setblocking(False)
    Supervisor(directory, listener, socket.socket(fileno=FIRST), actions).run()
