"""Services in every store, on disk or in memory: one suite over both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from phased.contract.definitions import EnvironmentEntry, Restart, ServiceDefinition
from phased.contract.service import ServicePhase
from phased.core.service_phases import ServiceState
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.errors import StaleVersion
from phased.ports import ServiceRecord, Store
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from tests.store.build import identifier

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """One that is empty."""
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


FULL = ServiceProgress(
    state=ServiceState.BACKING_OFF,
    desired=ServicePhase.RUNNING,
    session=identifier("session"),
    wanted_session=identifier("next"),
    again=True,
    needs_met=True,
    emptying=identifier("old"),
    attempt=3,
    tries=4,
    restarts=2,
    cause="exit code 1: ü\udcff",
    why="because",
    last_try="exit code 7",
    code=1,
    signal=None,
    killed=True,
    outdated=True,
    started_at=5,
    ready_at=6,
    completed_at=7,
    ready_since=1.25,
    due_at=0.1 + 0.2,
    expires_at=9.5,
    limit_at=1e9 + 1 / 3,
    output={"PORT": "4711"},
)
"""Something in every field."""


def definition(start: str = "run") -> ServiceDefinition:
    """Something in every field."""
    return ServiceDefinition(
        reference="db",
        name="Database",
        description="d",
        start=start,
        ready="probe",
        stop="halt",
        triggered_by=("postEnvironmentStart",),
        role="editor",
        readiness_timeout=timedelta(seconds=1.5),
        env=(EnvironmentEntry(name="A", value="x=y\n"), EnvironmentEntry(name="B", secret="S")),
        depends_on=("seed",),
        restart=Restart(policy="always", backoff=timedelta(milliseconds=10), limit=4),
    )


def saved(
    name: str = "db", *, expected: int = 0, version: int = 5, environment: str = "one"
) -> ServiceRecord:
    """A record with something in every field."""
    service_id = identifier(f"{environment} {name}")
    return ServiceRecord(
        service_id,
        identifier(environment),
        name,
        "/work",
        definition(),
        definition("old"),
        1,
        identifier("me"),
        "PRINCIPAL_USER",
        "boot",
        2,
        ServiceChange(service_id, expected, version, FULL),
        {"V": "1"},
        "firing",
    )


def as_listed(record: ServiceRecord) -> ServiceRecord:
    """What a list shows: nothing is expected of it any more."""
    return replace(record, status=replace(record.status, expected_version=0))


async def test_what_is_saved_is_listed_whole(store: Store) -> None:
    """Every field, to the last bit of a deadline, in the order of the first saving."""
    records = [saved("db"), saved("cache"), saved("db", environment="other")]
    await store.save_services(records)
    assert await store.list_services() == records
    assert await store.list_services(identifier("other")) == records[2:]


async def test_a_newer_status_replaces_and_keeps_its_place(store: Store) -> None:
    """It was made from the one that is stored."""
    await store.save_services([saved("db"), saved("cache")])
    newer = saved("db", expected=5, version=9)
    await store.save_services([newer])
    assert await store.list_services() == [as_listed(newer), saved("cache")]


@pytest.mark.parametrize("expected", [4, 0])
async def test_a_stale_one_is_refused_and_nothing_of_the_call_is_saved(store: Store, expected: int) -> None:
    """Also one that is new, over one that is there."""
    await store.save_services([saved("db")])
    with pytest.raises(StaleVersion):
        await store.save_services([saved("cache"), saved("db", expected=expected, version=9)])
    assert await store.list_services() == [saved("db")]


async def test_what_is_not_there_cannot_be_changed(store: Store) -> None:
    """It was removed meanwhile."""
    with pytest.raises(StaleVersion):
        await store.save_services([saved("db", expected=5, version=9)])
    assert await store.list_services() == []


async def test_what_is_removed_is_gone_and_can_be_made_anew(store: Store) -> None:
    """Removing it twice is no error."""
    await store.save_services([saved("db"), saved("cache")])
    for _ in range(2):
        await store.remove_services([saved("db").id])
    assert await store.list_services() == [saved("cache")]
    await store.save_services([saved("db")])
    assert [record.reference for record in await store.list_services()] == ["cache", "db"]


async def test_services_outlive_the_program(tmp_path: Path) -> None:
    """On disk."""
    first = SqliteStore.open(tmp_path / "state.db")
    await first.save_services([saved("db")])
    await first.close()
    second = SqliteStore.open(tmp_path / "state.db")
    assert await second.list_services() == [saved("db")]
    await second.close()
