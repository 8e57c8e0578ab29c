"""How the program speaks of itself: structured log events on standard error. Set up once, by who runs it.

Events are fixed snake_case names with bound ids, never sentences; secrets never reach here. structlog is
imported at the first event, since most short commands log nothing and should not pay for it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, Literal, Protocol, TextIO, cast

Level = Literal["debug", "info", "warning", "error"]

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


def _structlog() -> Any:  # noqa: ANN401 - a module
    import structlog  # noqa: PLC0415 - see the module's opening

    if not _chosen["ready"]:
        last: Any = (
            structlog.processors.JSONRenderer()
            if _chosen["format"] == "json"
            else structlog.processors.KeyValueRenderer(key_order=["event", "level"])
        )
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                last,
            ],
            logger_factory=lambda *_: structlog.PrintLogger(cast("TextIO", _StandardError())),
        )
        _chosen["ready"] = True
    return structlog
