"""What the environment tells those who talk to a daemon.

Knows variables. Must not know what they are used for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from phased.settings.places import environment


@dataclass(frozen=True, slots=True)
class ClientEnvironment:
    """Steps find it set. None: nothing."""

    address: str | None = None
    """PHASED_ADDRESS: a daemon on TCP."""
    token: str | None = field(default=None, repr=False)
    """PHASED_TOKEN."""
    environment_id: str | None = None
    """PHASED_ENVIRONMENT_ID, else GITPOD_ENVIRONMENT_ID."""
    execution_id: str | None = None
    """PHASED_EXECUTION_ID: the one that this process is a step of."""
    step_id: str | None = None
    """PHASED_STEP_ID."""


def client_environment(environ: Mapping[str, str] | None = None) -> ClientEnvironment:
    """Read it."""
    environ = environment() if environ is None else environ
    return ClientEnvironment(
        address=environ.get("PHASED_ADDRESS") or None,
        token=environ.get("PHASED_TOKEN") or None,
        environment_id=environ.get("PHASED_ENVIRONMENT_ID") or environ.get("GITPOD_ENVIRONMENT_ID") or None,
        execution_id=environ.get("PHASED_EXECUTION_ID") or None,
        step_id=environ.get("PHASED_STEP_ID") or None,
    )
