"""A supervisor as its clients see it: fencing, slow readers, strangers, and when it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import phased
from phased.supervisor import client
from phased.supervisor.channel import PROTOCOL, Channel
from phased.supervisor.generation import Generation
from phased.supervisor.journal import read_journal
from tests.runners.build import DEADLINE, Place


class Talk:
    """A connection that a test speaks itself, waiting as long as it takes."""

    def __init__(self, channel: Channel, epoch: int | None = None) -> None:
        self.channel = channel
        self.heard: list[dict[str, Any]] = []
        if epoch is not None:
            client.greet(channel, epoch)

    def say(self, what: str, **facts: object) -> None:
        """Send."""
        self.channel.send({"do": what, **facts})

    def start(self, place: Place, *commands: str) -> list[str]:
        """Ask for runs; their ids."""
        requests = [place.request(command) for command in commands]
        runs = {
            r.run_id: {
                "command": r.command,
                "environment": {},
                "directory": r.directory,
                "log": r.log,
                "pipe": 0,
            }
            for r in requests
        }
        self.say("start", runs=runs)
        return list(runs)

    def until(self, kind: str) -> dict[str, Any]:
        """The next message of a kind."""
        while True:
            for index, message in enumerate(self.heard):
                if message["is"] == kind:
                    return self.heard.pop(index)
            assert not self.channel.closed, "the connection has ended"
            self._wait()

    def until_event(self, kind: str, run_id: str) -> list[Any]:
        """An event of a run."""
        while True:
            for event in self.until("events")["events"]:
                if event[:2] == [kind, run_id]:
                    return list(event)

    def until_closed(self) -> None:
        """The other end has let go."""
        while not self.channel.closed:
            self._wait()

    def _wait(self) -> None:
        ready, _, _ = select.select([self.channel], [], [], DEADLINE)
        assert ready, "nothing came"
        self.channel.flush()
        self.heard += self.channel.receive()


class Started:
    """A supervisor that a test has started, and the first connection."""

    def __init__(self, place: Place, program: list[str] | None = None) -> None:
        root = str(place.state / "supervisors")
        base = {"PATH": os.defpath, "TEST_PLACE": str(place.root)}
        self.generation, channel, self.pid = client.start_supervisor(root, program or client.program(), base)
        self.first = Talk(channel)
        self.talks = [self.first]

    def connect(self, epoch: int | None = None) -> Talk:
        """Another connection."""
        channel = client.connect(self.generation)
        assert channel is not None
        self.talks.append(Talk(channel, epoch))
        return self.talks[-1]

    def until_ended(self) -> int:
        """Its exit code."""
        descriptor = os.pidfd_open(self.pid)
        ready, _, _ = select.select([descriptor], [], [], DEADLINE)
        os.close(descriptor)
        assert ready, "it did not end"
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def started(place: Place) -> Iterator[Started]:
    """A supervisor that waits for its first words."""
    made = Started(place)
    yield made
    for talk in made.talks:
        talk.channel.close()


def _records(generation: Generation) -> list[str]:
    return [record[1] for record in read_journal(generation.journal)]


def test_the_first_connection_needs_no_listening(started: Started, place: Place) -> None:
    """What is said before it is up is heard."""
    talk = started.first
    client.greet(talk.channel, 1)
    [run_id] = talk.start(place, "exit 3")
    assert talk.until("welcome")["pid"] == started.pid
    assert talk.until_event("exited", run_id)[3] == 3 << 8
    talk.channel.close()
    assert started.until_ended() == 0


def test_a_new_epoch_drops_what_the_old_one_sent_and_was_not_begun(started: Started, place: Place) -> None:
    """Of many asked for by a predecessor, what is not in the list never runs (rule 4)."""
    old, new = started.first, started.connect()
    client.greet(old.channel, 1)
    old.until("welcome")
    os.kill(started.pid, signal.SIGSTOP)
    asked = old.start(place, *["true"] * 100)
    client.greet(new.channel, 2)
    os.kill(started.pid, signal.SIGCONT)
    begun = set(new.until("welcome")["runs"])
    assert len(begun) <= 16, "at most the bunch that was being started"
    old.until_closed()
    [last] = new.start(place, "true")
    new.until_event("exited", last)
    starting = [record[3] for record in read_journal(started.generation.journal) if record[1] == "starting"]
    assert set(starting) == begun | {last}
    assert begun <= set(asked)
    new.channel.close()
    assert started.until_ended() == 0


def test_a_lower_epoch_is_refused(started: Started, place: Place) -> None:
    """A daemon that was thought dead does nothing any more."""
    client.greet(started.first.channel, 5)
    started.first.until("welcome")
    late = started.connect()
    late.channel.post({"do": "hello", "protocol": PROTOCOL, "epoch": 4})
    late.start(place, "true")  # in one piece with the greeting: it is there when that is refused
    assert "epoch" in late.until("refused")["reason"]
    late.until_closed()
    started.first.channel.close()
    assert started.until_ended() == 0
    assert "starting" not in _records(started.generation)


def test_who_did_not_say_hello_is_not_obeyed(started: Started, place: Place) -> None:
    """Nor does nonsense end it."""
    client.greet(started.first.channel, 1)
    started.first.until("welcome")
    stranger = started.connect()
    stranger.start(place, "true")
    nonsense = started.connect()
    nonsense.channel.send({"do": "hello", "epoch": "many"})
    nonsense.until_closed()
    [run_id] = started.first.start(place, "true")
    started.first.until_event("exited", run_id)
    starting = [record[3] for record in read_journal(started.generation.journal) if record[1] == "starting"]
    assert starting == [run_id]
    stranger.channel.close()
    started.first.channel.close()
    assert started.until_ended() == 0


def test_a_known_run_is_answered_also_when_it_was_acknowledged(started: Started, place: Place) -> None:
    """It never runs again (rule 3)."""
    talk = started.first
    client.greet(talk.channel, 1)
    talk.until("welcome")
    request = place.request("exit 4")
    run = {
        "command": request.command,
        "environment": {},
        "directory": request.directory,
        "log": request.log,
        "pipe": 0,
    }
    talk.say("start", runs={request.run_id: run})
    talk.until_event("exited", request.run_id)
    talk.say("acknowledge", runs=[request.run_id])
    talk.say("start", runs={request.run_id: run})
    assert talk.until_event("exited", request.run_id)[3] == 4 << 8
    assert _records(started.generation).count("starting") == 1
    talk.channel.close()
    assert started.until_ended() == 0


def test_a_reader_that_does_not_read_is_disconnected_and_nobody_waits(started: Started, place: Place) -> None:
    """It resumes with what is kept (rule 6)."""
    slow = started.first
    client.greet(slow.channel, 1)
    slow.until("welcome")
    go = place.root / "go"
    [run_id, _] = slow.start(place, "exit 6", f"while [ ! -e {go} ]; do sleep 0.02; done")
    for _ in range(60):  # answers of some 200 kB, and nobody reads
        slow.say("x" * 200_000, ask=1)
        if slow.channel.closed:
            break
        deadline = time.monotonic() + DEADLINE
        while slow.channel.backlog and not slow.channel.closed and time.monotonic() < deadline:
            select.select([], [slow.channel], [], DEADLINE)
            slow.channel.flush()
    again = started.connect(epoch=1)
    assert again.until("welcome")["runs"][run_id][-1][3] == 6 << 8
    slow.until_closed()
    go.touch()
    again.channel.close()
    assert started.until_ended() == 0


def test_signals_to_the_supervisor_do_nothing(started: Started, place: Place) -> None:
    """A terminal's or a service manager's SIGTERM is not for it: the daemon decides (rule 23)."""
    talk = started.first
    client.greet(talk.channel, 1)
    talk.until("welcome")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(started.pid, number)
    [run_id] = talk.start(place, "kill -TERM $$")
    assert talk.until_event("exited", run_id)[3] == signal.SIGTERM
    talk.channel.close()
    assert started.until_ended() == 0


def test_it_ends_when_it_has_no_child_and_no_daemon(started: Started, place: Place) -> None:
    """Not before; and then its lock is free, and nobody can connect (rule 8)."""
    talk = started.first
    client.greet(talk.channel, 1)
    go = place.root / "go"
    [run_id] = talk.start(place, f"(while [ ! -e {go} ]; do sleep 0.02; done) & exit 0")
    talk.until_event("exited", run_id)
    talk.channel.close()
    again = started.connect(epoch=2)
    assert run_id in again.until("welcome")["runs"]
    assert started.generation.take_lock() is None
    again.channel.close()
    go.touch()
    assert started.until_ended() == 0
    lock = started.generation.take_lock()
    assert lock is not None
    os.close(lock)
    assert client.connect(started.generation) is None
    assert _records(started.generation)[-1] == "ended"
    assert Path(started.generation.errors).read_text() == ""


def test_it_ends_by_itself_where_its_daemon_dies_before_the_first_word(place: Place) -> None:
    """The connection's end is enough."""
    started = Started(place)
    started.first.channel.close()
    assert started.until_ended() == 0


def test_descriptors_that_its_daemon_leaks_are_closed(place: Place) -> None:
    """Neither it nor a step holds what somebody has left open for inheritance."""
    read, write = os.pipe()
    os.set_inheritable(write, True)
    started = Started(place)
    os.close(write)
    ready, _, _ = select.select([read], [], [], DEADLINE)
    assert ready, "it still holds the pipe"
    os.close(read)
    started.first.channel.close()
    assert started.until_ended() == 0


def test_it_imports_only_the_standard_library_and_little_of_it() -> None:
    """It stands in the way of the first step: what it imports is paid for before that."""
    source = str(Path(phased.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {source!r}); import phased.supervisor.loop; print(*sys.modules)"
    read, write = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write, 1)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", code], {}, file_actions=actions)
    os.close(write)
    with os.fdopen(read) as pipe:
        modules = set(pipe.read().split())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    heavy = {
        "asyncio",
        "dataclasses",
        "logging",
        "pathlib",
        "subprocess",
        "typing",
        "anyio",
        "pydantic",
        "site",
    }
    assert not modules & heavy
    ours = {name for name in modules if name.startswith("phased.")}
    assert all(name.startswith("phased.supervisor") for name in ours)


def test_a_path_too_long_for_a_socket_is_refused(place: Place) -> None:
    """Nothing is left of the attempt."""
    deep = place.root / ("x" * 120)
    deep.mkdir()
    with pytest.raises(OSError, match="the system allows 107"):
        client.start_supervisor(str(deep), client.program(), {})
    assert list(deep.iterdir()) == []


def test_another_users_process_is_not_heard(started: Started, place: Place) -> None:
    """Even where the modes of the files would let it in (rule 7)."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    for folder in (place.root, place.state, place.state / "supervisors", Path(started.generation.directory)):
        folder.chmod(0o711)
    os.chmod(started.generation.address, 0o666)
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        "s.settimeout(60); s.connect(sys.argv[1]); "
        's.sendall(b\'{"do":"hello","protocol":1,"epoch":99}\\n\'); print(s.recv(100))'
    )
    command = [sys.executable, "-I", "-S", "-c", code, started.generation.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * DEADLINE, check=False)
    assert done.stdout == "b''\n" or "Error" in done.stderr, done
    client.greet(started.first.channel, 1)  # it would be refused, had the other's epoch been heard
    started.first.until("welcome")


def test_who_comes_at_its_last_moment_is_served_or_finds_it_dead(place: Place) -> None:
    """Nobody is connected to one that does not hear them any more (rule 8)."""
    outcomes = set()
    for turn in range(20):
        started = Started(place)
        client.greet(started.first.channel, 1)
        started.first.until("welcome")
        started.first.channel.close()
        time.sleep(turn % 5 / 2000)  # it is on its way out by then, sometimes
        channel = client.connect(started.generation)
        if channel is not None:
            late = Talk(channel, epoch=2)
            while not late.channel.closed and not any(one["is"] == "welcome" for one in late.heard):
                late._wait()
            outcomes.add("served" if late.heard else "dead")
            late.channel.close()
        assert started.until_ended() == 0
        lock = started.generation.take_lock()
        assert lock is not None
        os.close(lock)
        assert client.connect(started.generation) is None
    assert outcomes <= {"served", "dead"}
