"""Secrets and tokens as records: what the daemon keeps of them. Never a value or a token in clear.

Knows the contract's vocabulary. Must not know keys, ciphers, stores or who asks. Times are microseconds since
the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class ScopeKind(Enum):
    """Whose a secret is. A project here is one environment: its id is the environment's."""

    PROJECT = "project"
    USER = "user"
    ORGANIZATION = "organization"


class MountKind(Enum):
    """How steps get a secret; the place is a path or a host, else empty."""

    ENVIRONMENT_VARIABLE = "environment_variable"
    FILE_PATH = "file_path"
    REGISTRY_HOST = "container_registry_basic_auth_host"
    API_ONLY = "api_only"


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """One secret as it is kept."""

    id: str
    name: str
    scope: ScopeKind
    owner_id: str
    """The id of the environment, user or organization whose it is."""
    mount: MountKind
    place: str
    sealed: bytes = field(repr=False)
    """Its value, encrypted with the secret's id as associated data."""
    created_at: int
    updated_at: int
    creator_id: str
    creator_principal: str


@dataclass(frozen=True, slots=True)
class FormerValue:
    """A value that a secret had once: old logs may hold it, and are masked."""

    secret_id: str
    scope: ScopeKind
    owner_id: str
    sealed: bytes = field(repr=False)
    until: int
    """When it was replaced or deleted."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One token as it is kept: what shows it, and what it allows. The token itself its bearer alone has."""

    id: str
    digest: bytes = field(repr=False)
    """SHA-256 of the token."""
    roles: tuple[str, ...]
    """Names of ResourceRole."""
    environment_id: str | None
    """The one environment that it is for, None for all that its maker may use."""
    created_at: int
    expires_at: int | None
    creator_id: str
    """The principal that it was made for."""
    creator_principal: str
    uid: int | None = None
    """The local user behind it, whose status is looked at; None where there is none."""
    description: str = ""
