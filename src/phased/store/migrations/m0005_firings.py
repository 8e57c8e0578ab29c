"""Firings of triggers, each with its parts as one JSON; and what started a service: its secrets follow."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE firings (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        environment_id TEXT NOT NULL,
        triggers TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        completed_at INTEGER,
        result TEXT NOT NULL,
        rest TEXT NOT NULL
    )
    """,
    "CREATE INDEX firings_by_environment ON firings (environment_id, number)",
    "CREATE INDEX firings_unfinished ON firings (number) WHERE completed_at IS NULL",
    "ALTER TABLE services ADD COLUMN started_by TEXT NOT NULL DEFAULT ''",
)
