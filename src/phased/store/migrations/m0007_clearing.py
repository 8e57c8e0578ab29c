"""What is being done about what ended steps left behind, so that the next daemon goes on with it.

Of stops that an older daemon began the limits are not known: they are over.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    "ALTER TABLE statuses ADD COLUMN clearing_kill_at REAL",
    "ALTER TABLE statuses ADD COLUMN clearing_until REAL",
    "UPDATE statuses SET clearing_kill_at = 0, clearing_until = 0 WHERE stop_requested = 1 AND phase < 3",
    "CREATE INDEX statuses_clearing ON statuses (execution) WHERE clearing_until NOT NULL",
)
