"""Telling the service manager how it goes: READY, STATUS, STOPPING and the watchdog, by sd_notify(3).

Knows the datagram's words. Must not know what is ready. Where nobody wants to be told, nothing happens.
"""

from __future__ import annotations

import socket

from phased.observability import logger


class ServiceManager:
    """Who started this process, if that wants to know. Its address: a path, or `@` and an abstract name."""

    def __init__(self, address: str) -> None:
        """An empty address: nobody wants to know."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> None:
        """The first request would be answered."""
        self._tell(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str) -> None:
        """One line for people (`systemctl status`)."""
        self._tell(f"STATUS={_line(text)}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._tell(f"STOPPING=1\nSTATUS={_line(status)}")

    def alive(self) -> None:
        """The watchdog's sign of life."""
        self._tell("WATCHDOG=1")

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
