"""Decisions about time and repetition that no table holds. Pure; durations are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """How long after SIGTERM what is left gets SIGKILL."""
    kill_timeout: float = 10.0
    """How long after SIGKILL it is given up on what still lives (a process in D state)."""
    steps: Mapping[str, StepPolicy] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values; what is the default of a step is left out."""
        return {
            "maxParallel": self.max_parallel,
            "stopTimeout": self.stop_timeout,
            "killTimeout": self.kill_timeout,
            "steps": {step_id: _step_to_dict(step) for step_id, step in self.steps.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExecutionPolicy:
        """What `to_dict` gave, also that of an earlier version: what is missing takes its default."""
        default = cls()
        return cls(
            values.get("maxParallel", default.max_parallel),
            values.get("stopTimeout", default.stop_timeout),
            values.get("killTimeout", default.kill_timeout),
            {step_id: _step_from_dict(step) for step_id, step in values.get("steps", {}).items()},
        )


def _step_to_dict(step: StepPolicy) -> dict[str, Any]:
    return {
        "timeout": step.timeout,
        "retries": step.retries,
        "backoff": step.backoff,
        "exitCodes": sorted(step.exit_codes),
    }


def _step_from_dict(values: Mapping[str, Any]) -> StepPolicy:
    default = StepPolicy()
    return StepPolicy(
        values.get("timeout", default.timeout),
        values.get("retries", default.retries),
        values.get("backoff", default.backoff),
        frozenset(values.get("exitCodes", ())),
    )
