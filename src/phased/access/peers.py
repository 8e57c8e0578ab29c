"""Who is at the other end of a unix socket, as the kernel tells it: unix(7), SO_PEERCRED and SO_PEERGROUPS.

Knows sockets and numbers. Must not know roles. What is told is true for when the connection was made.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, Final

_SO_PEERGROUPS: Final = 59  # asm-generic/socket.h, since Linux 4.13
_MOST_GROUPS: Final = 65536  # NGROUPS_MAX
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A process at the other end: `pid` is 0 where it is in a namespace that this process cannot see."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()
    """All its groups, `gid` among them."""
    found: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was found out about it, once a connection (`callers.Access`)."""


def credentials(connection: socket.socket) -> Credentials | None:
    """Who connected; None where the socket is no unix socket (or uvicorn's wrapper of one that is closed).

    Takes a `socket.socket`, or what `transport.get_extra_info("socket")` gives.
    """
    if connection.family != socket.AF_UNIX:
        return None
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
    except OSError:
        return None
    return Credentials(pid, uid, gid, _groups(connection) | {gid})


def _groups(connection: socket.socket) -> frozenset[int]:
    width = struct.calcsize("I")
    for count in (64, _MOST_GROUPS):
        try:
            raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, count * width)
        except OSError:
            continue  # more than there is room for, or an older kernel
        return frozenset(struct.unpack(f"{len(raw) // width}I", raw))
    return frozenset()


def own_credentials() -> Credentials:
    """This process, as a peer of itself."""
    return Credentials(os.getpid(), os.geteuid(), os.getegid(), frozenset({*os.getgroups(), os.getegid()}))
