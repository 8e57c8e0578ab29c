"""Services in the tables: their records as rows and back, whole each time, since they change seldom.

Knows the record's parts and the table of migrations 2, 5 and 6. Must not know transactions. Raises what
SQLite raises, and StaleVersion; ValueError for JSON that is none of ours.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from phased.contract.definitions import ServiceDefinition
from phased.contract.service import ServicePhase
from phased.core.service_phases import ServiceState
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.errors import StaleVersion
from phased.ports import ServiceRecord

_COLUMNS: Final = (
    "id", "environment_id", "reference", "workspace", "definition", "running", "created_at", "creator_id",
    "creator_principal", "boot_id", "spec_version", "version", "progress", "given", "owner", "started_by",
    "firing_id",
)  # fmt: skip
_INSERT: Final = f"INSERT INTO services ({', '.join(_COLUMNS)}) VALUES (?{', ?' * (len(_COLUMNS) - 1)})"  # noqa: S608 - names from above
_UPDATE: Final = (
    f"UPDATE services SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ? AND version = ?"  # noqa: S608 - as above
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM services"  # noqa: S608 - as above


def save(connection: sqlite3.Connection, services: Sequence[ServiceRecord]) -> None:
    """As ports.Store.save_services, within a transaction of the caller's. Raises StaleVersion."""
    for record in services:
        expected = record.status.expected_version
        if expected and connection.execute(_UPDATE, (*_row(record), record.id, expected)).rowcount == 1:
            continue
        found = connection.execute("SELECT version FROM services WHERE id = ?", (record.id,)).fetchone()
        if expected or found:
            raise StaleVersion(record.id, expected, found[0] if found else None)
        connection.execute(_INSERT, _row(record))


def listed(connection: sqlite3.Connection, environment_id: str | None) -> list[ServiceRecord]:
    """As ports.Store.list_services."""
    where, values = ("", ()) if environment_id is None else (" WHERE environment_id = ?", (environment_id,))
    rows = connection.execute(f"{_SELECT}{where} ORDER BY number", values).fetchall()
    return [_record(row) for row in rows]


def remove(connection: sqlite3.Connection, service_ids: Sequence[str]) -> None:
    """As ports.Store.remove_services."""
    connection.executemany("DELETE FROM services WHERE id = ?", [(one,) for one in service_ids])


def _row(record: ServiceRecord) -> tuple[str | int, ...]:
    return (
        record.id, record.environment_id, record.reference, record.workspace,
        record.definition.model_dump_json(), record.running.model_dump_json(), record.created_at,
        record.creator_id, record.creator_principal, record.boot_id, record.spec_version,
        record.status.version, _stored(record.status.progress), json.dumps(dict(record.given)),
        record.owner, record.started_by, record.firing_id,
    )  # fmt: skip


def _record(row: Sequence[Any]) -> ServiceRecord:
    service_id, environment, reference, workspace, definition, running, created, creator, principal = row[:9]
    boot_id, spec_version, version, progress, given, owner, started_by, firing_id = row[9:]
    return ServiceRecord(
        service_id, environment, reference, workspace, ServiceDefinition.model_validate_json(definition),
        ServiceDefinition.model_validate_json(running), created, creator, principal, boot_id, spec_version,
        ServiceChange(service_id, 0, version, _progress(json.loads(progress))), json.loads(given),
        owner, started_by, firing_id,
    )  # fmt: skip


def _stored(progress: ServiceProgress) -> str:
    return json.dumps({**asdict(progress), "state": progress.state.value, "desired": progress.desired.value})


def _progress(stored: dict[str, Any]) -> ServiceProgress:
    """Fields that an older version did not know have their defaults."""
    stored["state"] = ServiceState(stored["state"])
    stored["desired"] = ServicePhase(stored["desired"])
    return ServiceProgress(**stored)
