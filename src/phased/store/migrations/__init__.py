"""How the schema came to be: one numbered module a version, each a list of statements; never edited later.

The version of a state file is how many of these it has been through. Must not import the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from phased.store.migrations import (
    m0001_executions,
    m0002_services,
    m0003_definitions,
    m0004_access,
    m0005_firings,
    m0006_adoption,
    m0007_clearing,
)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    m0001_executions.STATEMENTS,
    m0002_services.STATEMENTS,
    m0003_definitions.STATEMENTS,
    m0004_access.STATEMENTS,
    m0005_firings.STATEMENTS,
    m0006_adoption.STATEMENTS,
    m0007_clearing.STATEMENTS,
)
