"""What a service's definition and the settings say of time and repetition. Pure; durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from phased.contract.definitions import ServiceDefinition
from phased.core.policy import MAX_PAUSE


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What settings say of every service."""

    stop_timeout: float = 120.0
    """From SIGTERM to SIGKILL, where there is no stop command (`semantics: Services`)."""
    stop_command_timeout: float = 120.0
    clear_timeout: float = 10.0
    """From SIGTERM to SIGKILL for what an earlier run left behind."""
    kill_timeout: float = 10.0
    """How long SIGKILL may take before that is a failure of its own."""
    ready_interval: float = 1.0
    """From the end of a ready try to the next one."""
    stable_after: float = 60.0
    """Ready this long, an attempt was a good one: the count of restarts begins anew."""


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """What decides the way of one service; which commands there are, not what they are."""

    has_ready: bool = False
    has_stop: bool = False
    has_needs: bool = False
    readiness_timeout: float | None = None
    restart: Literal["never", "on-failure", "always"] = "never"
    backoff: float = 1.0
    restart_limit: int | None = None
    """How many restarts in a row; None: no limit."""
    limits: ServiceLimits = ServiceLimits()

    @classmethod
    def from_definition(cls, definition: ServiceDefinition, limits: ServiceLimits) -> ServicePolicy:
        """What a definition says, with what settings say."""
        timeout, restart = definition.readiness_timeout, definition.restart
        return cls(
            has_ready=bool(definition.ready.strip()),
            has_stop=bool(definition.stop.strip()),
            has_needs=bool(definition.depends_on),
            readiness_timeout=timeout.total_seconds() if timeout else None,
            restart=restart.policy if restart else "never",
            backoff=restart.backoff.total_seconds() if restart else 1.0,
            restart_limit=restart.limit if restart else None,
            limits=limits,
        )

    def wants_restart(self, *, failed: bool) -> bool:
        """Whether an attempt that ended by itself is to be followed by another, the limit aside."""
        return self.restart == "always" or (self.restart == "on-failure" and failed)

    def allows_restart(self, restarts: int) -> bool:
        """Whether the limit allows another after so many restarts in a row."""
        return self.restart_limit is None or restarts < self.restart_limit

    def pause(self, restarts: int) -> float:
        """How long to wait before the next one: doubling, at most MAX_PAUSE."""
        return min(self.backoff * 2.0 ** min(restarts, 32), MAX_PAUSE)
