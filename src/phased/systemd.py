"""The service manager: what it is told (sd_notify(3)), what it hands over, and what it is about to do.

Knows the datagram's words, inherited sockets and `systemctl`. Must not know what is ready, or what becomes of
running work. Where no service manager is, nothing happens.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from phased.observability import logger
from phased.settings import is_service, service_sockets

_FIRST: Final = 3
"""The descriptor of the first inherited socket: SD_LISTEN_FDS_START."""
_PATIENCE: Final = 5.0
"""Seconds in which `systemctl` answers, or is not asked again."""
_ENDS_OF_THE_MACHINE: Final = frozenset(
    {"shutdown.target", "reboot.target", "poweroff.target", "halt.target", "kexec.target", "exit.target"}
)

Reason = Literal["", "stop", "restart", "shutdown"]
"""Why the service manager wants the end: "" where it does not, or does not say."""


class ServiceManager:
    """Who started this process, if that wants to know. Its address: a path, or `@` and an abstract name."""

    def __init__(self, address: str) -> None:
        """An empty address: nobody wants to know."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The first request would be answered."""
        self._tell(f"READY=1\nSTATUS={_line(status)}")

    def reloading(self, boot: float) -> None:
        """The next version takes over, in this process; `boot`: now, in seconds of the monotonic clock."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(boot * 1_000_000)}\nSTATUS=reloading")

    def status(self, text: str) -> None:
        """One line for people (`systemctl status`)."""
        self._tell(f"STATUS={_line(text)}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._tell(f"STOPPING=1\nSTATUS={_line(status)}")

    def alive(self, status: str = "") -> None:
        """The watchdog's sign of life, and the line for people where there is one."""
        self._tell(f"WATCHDOG=1\nSTATUS={_line(status)}" if status else "WATCHDOG=1")

    def patience(self, seconds: float) -> None:
        """The end takes at least this much longer."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(text.encode(), self._address)
        except OSError as error:
            logger("phased.systemd").warning(
                "service_manager_unreachable", reason=error.strerror or str(error)
            )


def _line(text: str) -> str:
    return " ".join(text.split())


def inherited_sockets() -> list[socket.socket]:
    """The listening stream sockets that were handed over (sd_listen_fds(3)); no child inherits them further.

    What is no such socket is left alone, and said.
    """
    found = []
    for descriptor in range(_FIRST, _FIRST + service_sockets()):
        made = _listening_socket(descriptor)
        if made is None:
            logger("phased.systemd").warning("inherited_descriptor_unusable", descriptor=descriptor)
        else:
            os.set_inheritable(descriptor, False)
            found.append(made)
    return found


def _listening_socket(descriptor: int) -> socket.socket | None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        made = socket.socket(fileno=descriptor)
        if made.type == socket.SOCK_STREAM and made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return made
        made.detach()
    except OSError:
        pass
    return None


# ---- why it ends ------------------------------------------------------------------------------------


async def stop_reason() -> Reason:
    """Why the service manager ends this service: it has a job for its unit, `stop` or `restart`.

    "" for a process that systemd did not start, and where it cannot be asked. Takes at most five seconds.
    """
    unit, of_user = unit_of(_cgroups())
    if not unit or not is_service():
        return ""
    import anyio  # noqa: PLC0415 - only at the end of a service

    command = ["systemctl", *(["--user"] if of_user else []), "--no-legend", "--no-pager", "list-jobs"]
    with anyio.move_on_after(_PATIENCE), suppress(OSError):
        done = await anyio.run_process(command, check=False)
        return reason_of(done.stdout.decode("utf-8", "replace").splitlines(), unit)
    logger("phased.systemd").warning("stop_reason_unknown", unit=unit)
    return ""


def _cgroups() -> str:
    try:
        return Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def unit_of(cgroups: str) -> tuple[str, bool]:
    """The service whose cgroup a process is in, from its /proc/PID/cgroup, and whether it is a user's.

    "" where it is in none. Source: cgroups(7); systemd's own hierarchy is `0::` or `name=systemd`.
    """
    for line in cgroups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and controllers != "name=systemd":
            continue
        names = [name for name in path.split("/") if name.endswith(".service")]
        if names:
            return names[-1], bool(re.search(r"/user@[0-9]+\.service/", path))
    return "", False


def reason_of(jobs: Iterable[str], unit: str) -> Reason:
    """What the lines of `systemctl list-jobs` (job, unit, type, state) say of this unit."""
    kinds: dict[str, str] = {}
    for line in jobs:
        words = line.split()
        if len(words) >= 3:
            kinds[words[1]] = words[2]
    if any(kinds.get(target) == "start" for target in _ENDS_OF_THE_MACHINE):
        return "shutdown"
    match kinds.get(unit):
        case "restart" | "try-restart":
            return "restart"
        case "stop":
            return "stop"
        case _:
            return ""
