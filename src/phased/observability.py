"""How the program speaks of itself: structured log events. Set up once, by who runs it.

They go to standard error; where that is systemd's journal, straight to it, with a field for each fact. Events
are fixed snake_case names with bound ids, never sentences; secrets never reach here. structlog is imported at
the first event, since most short commands log nothing and should not pay for it.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, TextIO, cast

from phased.settings import journal_stream

Level = Literal["debug", "info", "warning", "error"]

JOURNAL: Final = "/run/systemd/journal/socket"
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""As syslog(3) numbers them."""
_LEVELS: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_chosen: dict[str, Any] = {"level": "warning", "format": "text", "ready": False}


class Logger(Protocol):
    """What the engine logs through."""

    def info(self, event: str, **facts: object) -> None:
        """Something that an operator may want to follow."""

    def warning(self, event: str, **facts: object) -> None:
        """Something that should not happen, and was dealt with."""

    def error(self, event: str, **facts: object) -> None:
        """Something that somebody has to look at."""


class _LazyLogger:
    def __init__(self, name: str) -> None:
        self._name = name

    def _emit(self, level: str, event: str, facts: dict[str, object]) -> None:
        if _LEVELS[level] >= _LEVELS[_chosen["level"]]:
            getattr(_structlog().get_logger(component=self._name), level)(event, **facts)

    def info(self, event: str, **facts: object) -> None:
        self._emit("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._emit("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._emit("error", event, facts)


def configure(level: Level = "warning", style: Literal["text", "json"] = "text") -> None:
    """Choose what is logged, and how; before the first event."""
    _chosen.update(level=level, format=style, ready=False)


def logger(name: str) -> Logger:
    """A logger whose events bear this name."""
    return _LazyLogger(name)


class _StandardError:
    """Standard error as it is now; a log line that nobody can take is no reason to fail."""

    def write(self, text: str) -> None:
        """Write, or drop."""
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Pass on, or drop."""
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()


class Journal:
    """systemd's journal: a datagram an event, a field a fact (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, address: str = JOURNAL) -> None:
        """The path of its socket."""
        self._address = address

    def write(self, facts: Mapping[str, object]) -> None:
        """An event with its facts, `level` and `event` among them; a plain line where it is not taken."""
        event, level = str(facts["event"]), str(facts["level"])
        details = {name: value for name, value in facts.items() if name not in {"event", "level"}}
        line = " ".join(
            [event, *(f"{name}={value}" for name, value in details.items() if name != "component")]
        )
        fields = {"MESSAGE": line, "PRIORITY": _PRIORITIES[level], "SYSLOG_IDENTIFIER": "phased"}
        fields |= {_field_name(name): value for name, value in {"event": event, **details}.items()}
        data = b"".join(_field(name, str(value)) for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(data, self._address)
        except OSError:
            _StandardError().write(f"<{_PRIORITIES[level]}>{' '.join(line.split())}\n")


def _field_name(fact: str) -> str:
    return f"PHASED_{re.sub('[^A-Z0-9_]', '_', fact.upper())}"[:64]


def _field(name: str, value: str) -> bytes:
    """A value of several lines is told by its length, so that none can pass for another field."""
    data = value.encode(errors="replace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)


def reaches_journal(descriptor: int, stream: tuple[int, int] | None) -> bool:
    """Whether this descriptor is the stream that the service manager connected to its journal."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == stream
    return False


class _ToJournal:
    """What structlog hands an event to where the journal takes it."""

    def __init__(self) -> None:
        self._journal = Journal()

    def _take(self, **facts: object) -> None:
        self._journal.write(facts)

    debug = info = warning = error = _take


def _structlog() -> Any:  # noqa: ANN401 - a module
    import structlog  # noqa: PLC0415 - see the module's opening

    if not _chosen["ready"]:
        if reaches_journal(2, journal_stream()):  # it notes the time itself
            structlog.configure(
                processors=[structlog.processors.add_log_level], logger_factory=lambda *_: _ToJournal()
            )
        else:
            structlog.configure(
                processors=[
                    structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    _renderer(structlog),
                ],
                logger_factory=lambda *_: structlog.PrintLogger(cast("TextIO", _StandardError())),
            )
        _chosen["ready"] = True
    return structlog


def _renderer(structlog: Any) -> Any:  # noqa: ANN401 - a module, and what it has
    if _chosen["format"] == "json":
        return structlog.processors.JSONRenderer()
    return structlog.processors.KeyValueRenderer(key_order=["event", "level"])
