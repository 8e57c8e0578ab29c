"""What an automations file says, once it is valid: tasks and services with this project's extensions.

Knows the file's meaning (`semantics: The automations file`); must not know YAML, positions or ids.
`AutomationsFile` (the public message) has no place for `env`, `timeout`, `retries`, `restart` and a
service's `dependsOn`, so the loader's result is this wider form.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from phased.contract.runs_on import RunsOn


class Definition(BaseModel):
    """Frozen, closed base of everything here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EnvironmentEntry(Definition):
    """One variable of `env`: a literal `value`, the name of a `secret`, or its id; exactly one is set."""

    name: str
    value: str | None = None
    secret: str | None = None
    secret_id: str | None = None
    """As the API names a secret; a file never does."""


class Retries(Definition):
    """How often a failed attempt is repeated. The pause doubles from `backoff`, at most 5 minutes."""

    limit: int
    backoff: timedelta = timedelta(seconds=2)
    exit_codes: tuple[int, ...] = ()
    """Only these exit codes are retried; empty: every failure."""


class Restart(Definition):
    """What happens when a service's command ends by itself."""

    policy: Literal["never", "on-failure", "always"] = "never"
    backoff: timedelta = timedelta(seconds=1)
    limit: int | None = None


class TaskDefinition(Definition):
    """One entry of `tasks`. `name` is the reference where the file has none; `command` may be empty."""

    reference: str
    name: str
    description: str | None = None
    command: str = ""
    depends_on: tuple[str, ...] = ()
    triggered_by: tuple[str, ...] = ()
    """In the file's spelling: `postEnvironmentStart`."""
    runs_on: RunsOn | None = None
    prebuild_requires_success: bool | None = None
    env: tuple[EnvironmentEntry, ...] = ()
    timeout: timedelta | None = None
    retries: Retries | None = None


class ServiceDefinition(Definition):
    """One entry of `services`."""

    reference: str
    name: str
    description: str | None = None
    start: str
    ready: str = ""
    stop: str = ""
    triggered_by: tuple[str, ...] = ()
    runs_on: RunsOn | None = None
    role: str = ""
    readiness_timeout: timedelta | None = None
    env: tuple[EnvironmentEntry, ...] = ()
    depends_on: tuple[str, ...] = ()
    restart: Restart | None = None


class Definitions(Definition):
    """A whole file, both sections in the file's order. References are unique over both sections."""

    tasks: tuple[TaskDefinition, ...] = ()
    services: tuple[ServiceDefinition, ...] = ()
