"""Secrets and tokens: values encrypted, tokens as digests. What a secret was before masks old logs."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE secrets (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        scope TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        mount TEXT NOT NULL,
        place TEXT NOT NULL,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX secrets_by_name ON secrets (scope, owner_id, name)",
    """
    CREATE TABLE former_values (
        number INTEGER PRIMARY KEY,
        secret_id TEXT NOT NULL,
        scope TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        sealed BLOB NOT NULL,
        until INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE tokens (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        digest BLOB NOT NULL UNIQUE,
        roles TEXT NOT NULL,
        environment_id TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL,
        uid INTEGER,
        description TEXT NOT NULL
    )
    """,
)
