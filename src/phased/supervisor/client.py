"""The daemon's side of a supervisor: starting one, finding those that live, and talking to them.

Knows generations, channels and messages. Must not know runs' meaning, an event loop or an engine: nothing
here blocks for long, and who waits is up to the caller.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys

from phased.supervisor.channel import PROTOCOL, Channel
from phased.supervisor.generation import FIRST, LISTENER, LOCK, Generation, create_generation
from phased.supervisor.output import new_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OUT_OF_THE_WAY = 10
_EPOCH = "epoch-"


__all__ = ["connect", "greet", "new_pipe", "next_epoch", "program", "start_supervisor"]


def program() -> list[str]:
    """The command that is a supervisor, less its directory."""
    entry = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    return [sys.executable or "python3", "-I", "-S", "-X", "utf8", entry]


def start_supervisor(
    root: str, command: Sequence[str], environment: Mapping[str, str], least: int = 1
) -> tuple[Generation, Channel, int]:
    """A new generation below `root`, connected, and the supervisor's pid; it need not be up yet.

    Lock, socket and first connection are made here and inherited, so there is no moment at which it
    lives without its lock or cannot be reached. Raises OSError.
    """
    generation = create_generation(root, least)
    held: list[int] = []
    try:
        lock = generation.take_lock()
        if lock is None:
            raise OSError(0, f"{generation.lock} is held")
        held.append(lock)
        listener = generation.listen()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        held += [listener.detach(), theirs.detach()]
        pid = _spawn([*command, generation.directory], environment, held, generation.errors)
    except OSError:
        generation.remove()
        raise
    finally:
        for descriptor in held:
            os.close(descriptor)
    return generation, Channel(ours), pid


def _spawn(argv: list[str], environment: Mapping[str, str], inherited: list[int], errors: str) -> int:
    """Start it with `inherited` as descriptors LOCK, LISTENER and FIRST, in a session of its own."""
    moved = [fcntl.fcntl(d, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for d in inherited]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_OPEN, 2, errors, flags, 0o600),
        *((os.POSIX_SPAWN_DUP2, d, to) for d, to in zip(moved, (LOCK, LISTENER, FIRST), strict=True)),
    ]
    try:
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
    finally:
        for descriptor in moved:
            os.close(descriptor)


def connect(generation: Generation) -> Channel | None:
    """A connection to one that lives, or None where it does not answer (now)."""
    connection = generation.connect()
    return None if connection is None else Channel(connection)


def greet(channel: Channel, epoch: int) -> None:
    """Say hello: of all daemons, the supervisor hears the one with the highest epoch (rule 4)."""
    channel.send({"do": "hello", "protocol": PROTOCOL, "epoch": epoch})


def next_epoch(root: str) -> int:
    """A number that no daemon of this state directory has had; kept before it is returned. Raises OSError.

    It is kept as the name of an empty file, so that a full disk is no obstacle.
    """
    os.makedirs(root, mode=0o700, exist_ok=True)
    kept = [name for name in os.listdir(root) if name.startswith(_EPOCH)]
    numbers = {int(name.removeprefix(_EPOCH)): name for name in kept if name.removeprefix(_EPOCH).isdecimal()}
    epoch = max(numbers, default=0) + 1
    path = f"{root}/{_EPOCH}{epoch}"
    if numbers:
        os.rename(f"{root}/{numbers[epoch - 1]}", path)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    return epoch
