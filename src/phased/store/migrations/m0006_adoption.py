"""What a later engine needs to take over: the executions of a firing, and that of a service's session."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    "CREATE INDEX executions_by_firing ON executions (firing_id)",
    "ALTER TABLE services ADD COLUMN firing_id TEXT NOT NULL DEFAULT ''",
)
