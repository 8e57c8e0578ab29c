"""Services: how each is defined, how what runs of it was defined, and its newest status, in one row.

`progress` is all that the machine of a service knows, as JSON; nothing is searched for in it.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE services (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        environment_id TEXT NOT NULL,
        reference TEXT NOT NULL,
        workspace TEXT NOT NULL,
        definition TEXT NOT NULL,
        running TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        creator_id TEXT NOT NULL,
        creator_principal TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        spec_version INTEGER NOT NULL,
        version INTEGER NOT NULL,
        progress TEXT NOT NULL,
        given TEXT NOT NULL,
        owner TEXT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX services_by_reference ON services (environment_id, reference)",
)
