"""Decisions about time and repetition that no table holds. Pure; durations are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_PAUSE = 300.0
"""The longest pause before a retry (`semantics: The automations file`)."""


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """What one task's definition says of its attempts."""

    timeout: float | None = None
    retries: int = 0
    backoff: float = 2.0
    exit_codes: frozenset[int] = frozenset()

    def retry(self, attempt: int, code: int | None) -> bool:
        """Whether another attempt follows this one (the first is 1), which ended with this exit code.

        A death by signal or a timeout has no code: it is retried unless only certain codes are.
        """
        return attempt <= self.retries and (not self.exit_codes or code in self.exit_codes)

    def pause(self, attempt: int) -> float:
        """How long to wait after this attempt (the first is 1): doubling, at most MAX_PAUSE."""
        return min(self.backoff * 2.0 ** min(attempt - 1, 32), MAX_PAUSE)


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    """What settings and definitions say of one execution; `steps` by step id, none: the default."""

    max_parallel: int = 64
    stop_timeout: float = 10.0
    steps: Mapping[str, StepPolicy] = field(default_factory=dict)
