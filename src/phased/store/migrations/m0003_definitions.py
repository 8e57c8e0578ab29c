"""Environments and tasks, and what makes the history of one environment, or of one task, quick to ask for.

A record's rarely needed parts are one JSON, `rest`.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE environments (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        workspace TEXT NOT NULL,
        scratch INTEGER NOT NULL,
        phase TEXT NOT NULL,
        desired TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL,
        spec TEXT NOT NULL,
        spec_version INTEGER NOT NULL,
        status_version INTEGER NOT NULL,
        rest TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE tasks (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        environment_id TEXT NOT NULL,
        reference TEXT NOT NULL,
        definition TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL,
        spec_version INTEGER NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX tasks_by_reference ON tasks (environment_id, reference)",
    "CREATE INDEX executions_by_environment ON executions (environment_id, created_at DESC, id)",
    "CREATE INDEX executions_by_task ON executions (task_id, created_at DESC, id)",
)
