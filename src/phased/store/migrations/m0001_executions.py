"""Executions: what never changes of them, their newest status, and the newest status of each started step.

Three tables, because a status is written often: its row must be small (a spec may have hundreds of
kilobytes), and the steps that change together should lie on one page, so `position` is the order in which
they were first saved. Phases are the numbers of the enum in the public contract; below 3 is unfinished.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE executions (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        environment_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        reference TEXT NOT NULL,
        firing_id TEXT NOT NULL,
        started_by TEXT NOT NULL,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        workspace TEXT NOT NULL,
        policy TEXT NOT NULL,
        secrets TEXT,
        spec TEXT NOT NULL
    )
    """,
    "CREATE INDEX executions_by_creation ON executions (created_at DESC, id)",
    "CREATE INDEX executions_by_reference ON executions (reference, created_at DESC, id)",
    """
    CREATE TABLE statuses (
        execution INTEGER PRIMARY KEY REFERENCES executions (number) ON DELETE CASCADE,
        version INTEGER NOT NULL,
        phase INTEGER NOT NULL,
        failure_message TEXT,
        started_at INTEGER,
        completed_at INTEGER,
        stop_requested INTEGER NOT NULL,
        why TEXT
    )
    """,
    "CREATE INDEX statuses_unfinished ON statuses (execution) WHERE phase < 3",
    """
    CREATE TABLE steps (
        execution INTEGER NOT NULL REFERENCES executions (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        phase INTEGER NOT NULL,
        failure_message TEXT,
        run_id TEXT,
        attempt INTEGER NOT NULL,
        started_at INTEGER,
        completed_at INTEGER,
        exit_code INTEGER,
        exit_signal INTEGER,
        output TEXT,
        state TEXT NOT NULL,
        due_at REAL,
        PRIMARY KEY (execution, position)
    ) WITHOUT ROWID
    """,
)
