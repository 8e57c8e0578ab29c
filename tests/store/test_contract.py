"""What every store does, on disk or in memory: one suite over both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from phased.core.status import StatusChange, StepStatus
from phased.errors import StaleVersion, StoreError
from phased.ports import Store, StoredExecution
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, identifier, record, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite", "sqlite that forgot what is open"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """One that is empty."""
    made: Store
    match request.param:
        case "memory":
            made = MemoryStore()
        case "sqlite":
            made = SqliteStore.open(tmp_path / "state.db")
        case _:
            made = Forgetful.open(tmp_path / "state.db")
    yield made
    await made.close()


class Forgetful(SqliteStore):
    """Finds every row again, as after a restart."""

    async def save(self, changes: Sequence[StatusChange]) -> None:
        self._open.clear()
        await super().save(changes)


async def test_gives_back_every_field_as_it_was_saved(store: Store) -> None:
    """Also empty ones, other alphabets, NUL and newlines."""
    one = record()
    full = StepStatus(
        identifier("compile"), Phase.FAILED, "exit code 3", f"{identifier('compile')}.2", 2, 11, 12, 3, None,
        {"KEY": "välue\n\x00", "N": "1"}, "failed", 12.5,
    )  # fmt: skip
    first = replace(change(one, 0, 7, Phase.PENDING), why="of course")
    second = replace(
        change(one, 7, 1_700_000_000_000_000, Phase.FAILED, full, replace(step("link"), exit_signal=9)),
        failure_message="step compile failed: exit code 3", started_at=11, completed_at=13,
        stop_requested=True, why="stopped by SIGINT",
    )  # fmt: skip
    await store.create([(one, first)])
    assert await store.get(one.id) == StoredExecution(one, replace(first, expected_version=0))
    await store.save([second])
    assert await store.get(one.id) == StoredExecution(one, replace(second, expected_version=0))


async def test_a_new_status_replaces_the_old_one_and_adds_to_its_steps(store: Store) -> None:
    """Steps stand in the order in which they were first saved."""
    one = record()
    await store.create([(one, change(one, 0, 1, Phase.PENDING, step("b")))])
    await store.save([change(one, 1, 2, Phase.RUNNING, step("a", output={"K": "1"}))])
    await store.save([replace(change(one, 2, 3), started_at=5)])
    await store.save([change(one, 3, 4, Phase.RUNNING, step("a", Phase.SUCCEEDED), step("c"))])
    stored = await store.get(one.id)
    assert stored is not None
    assert stored.status.version == 4
    assert stored.status.started_at is None
    assert list(stored.status.steps) == [step("b"), step("a", Phase.SUCCEEDED), step("c")]


async def test_several_statuses_of_one_execution_are_saved_in_order(store: Store) -> None:
    """In one call, mixed with those of another."""
    one, other = record("one"), record("other")
    await store.create([(one, change(one, 0, 1)), (other, change(other, 0, 1))])
    await store.save(
        [
            change(one, 1, 2, Phase.RUNNING, step("a"), step("b")),
            change(other, 1, 2, Phase.RUNNING, step("a")),
            change(one, 2, 5, Phase.SUCCEEDED, step("a", Phase.SUCCEEDED), step("c")),
        ]
    )
    stored = await store.get(one.id)
    assert stored is not None
    assert (stored.status.version, stored.status.phase) == (5, Phase.SUCCEEDED)
    assert list(stored.status.steps) == [step("a", Phase.SUCCEEDED), step("b"), step("c")]


async def test_refuses_a_stale_version_and_saves_nothing_of_the_call(store: Store) -> None:
    """Not even the good change that stood before it."""
    one, other = record("one"), record("other")
    await store.create([(one, change(one, 0, 1)), (other, change(other, 0, 4))])
    with pytest.raises(StaleVersion) as refused:
        await store.save([change(one, 1, 2, Phase.RUNNING, step("a")), change(other, 3, 5)])
    assert (refused.value.execution_id, refused.value.expected, refused.value.found) == (other.id, 3, 4)
    stored = await store.get(one.id)
    assert stored is not None
    assert stored.status == change(one, 0, 1)
    await store.save([change(one, 1, 2, Phase.RUNNING, step("a"))])


async def test_refuses_a_status_of_an_execution_that_it_does_not_have(store: Store) -> None:
    """As stale, with no version found."""
    with pytest.raises(StaleVersion) as refused:
        await store.save([change(record(), 0, 1)])
    assert refused.value.found is None


async def test_creates_all_or_none(store: Store) -> None:
    """A second one with the same id spoils the call."""
    one, other = record("one"), record("other")
    await store.create([(one, change(one, 0, 1))])
    with pytest.raises(StoreError):
        await store.create([(other, change(other, 0, 1)), (one, change(one, 0, 1))])
    assert await store.get(other.id) is None
    with pytest.raises(StoreError):
        await store.create([(other, change(other, 0, 1)), (other, change(other, 0, 1))])
    assert await store.get(other.id) is None


async def test_nothing_to_save_is_no_error(store: Store) -> None:
    """Empty bunches happen."""
    await store.create([])
    await store.save([])
    assert await store.list() == []


async def test_lists_the_newest_first_and_equal_ones_by_id(store: Store) -> None:
    """With limits and offsets, also beyond the end."""
    ages = {"a": 30, "b": 10, "c": 20, "d": 20}
    made = [record(name, created_at=age) for name, age in ages.items()]
    await store.create([(one, change(one, 0, 1)) for one in made])
    expected = [one.id for one in sorted(made, key=lambda one: (-one.created_at, one.id))]
    assert [one.record.id for one in await store.list()] == expected
    assert [one.record.id for one in await store.list(limit=2)] == expected[:2]
    assert [one.record.id for one in await store.list(limit=2, offset=1)] == expected[1:3]
    assert await store.list(offset=4) == []
    assert await store.list(limit=0) == []


async def test_lists_by_reference_and_by_being_unfinished(store: Store) -> None:
    """Each alone and both together, over all phases."""
    phases = [phase for phase in Phase if phase is not Phase.UNSPECIFIED]
    made = [(record(f"{ref} {phase}", reference=ref), phase) for ref in ("build", "test") for phase in phases]
    await store.create([(one, change(one, 0, 1, phase)) for one, phase in made])

    async def listed(*, reference: str | None = None, unfinished: bool = False) -> set[str]:
        return {one.record.id for one in await store.list(reference=reference, unfinished=unfinished)}

    open_phases = {Phase.PENDING, Phase.RUNNING}
    assert await listed(reference="test") == {one.id for one, _ in made if one.reference == "test"}
    assert await listed(unfinished=True) == {one.id for one, phase in made if phase in open_phases}
    assert await listed(reference="build", unfinished=True) == {
        one.id for one, phase in made if phase in open_phases and one.reference == "build"
    }
    assert await listed(reference="none") == set()


async def test_finds_those_that_have_ended_and_are_being_cleared(store: Store) -> None:
    """Not those that go on, nor those that were cleared; the limits come back as they were."""
    cleared, ended, running = record("cleared"), record("ended"), record("running")
    limits = (12.5, 22.25)
    for one in (cleared, ended, running):
        await store.create([(one, change(one, 0, 1))])
    await store.save([replace(change(one, 1, 2, Phase.FAILED), clearing=limits) for one in (cleared, ended)])
    await store.save([replace(change(running, 1, 2), clearing=limits), change(cleared, 2, 3, Phase.FAILED)])
    found = {one.record.id: one.status.clearing for one in await store.clearing()}
    assert found == {ended.id: limits}
    unfinished = {one.record.id: one.status.clearing for one in await store.list(unfinished=True)}
    assert unfinished == {running.id: limits}


async def test_finds_by_the_beginning_of_an_id(store: Store) -> None:
    """Capitals are the same; what cannot begin an id finds nothing."""
    ids = ["aaaa0000-0000-4000-8000-000000000001", "aaaa0000-0000-4000-8000-00000000000f",
           "aaaaf000-0000-4000-8000-000000000001", "b0000000-0000-4000-8000-000000000001"]  # fmt: skip
    made = [record(execution_id=one, created_at=age) for age, one in enumerate(ids)]
    await store.create([(one, change(one, 0, 1)) for one in made])

    async def found(prefix: str) -> list[str]:
        return [one.record.id for one in await store.find(prefix)]

    assert await found("aaaa0000-0000-4000-8000-00000000000f") == [ids[1]]
    assert await found("aaaa0") == [ids[1], ids[0]]
    assert await found("AAAAF") == [ids[2]]
    assert await found("") == ids[::-1]
    for nonsense in ("c", "%", "_", "aaaa*", "aaaa0000-0000-4000-8000-000000000001x", "é", "\ud800"):
        assert await found(nonsense) == []


async def test_finds_at_most_ten(store: Store) -> None:
    """The newest of them."""
    made = [record(str(number), created_at=number) for number in range(12)]
    await store.create([(one, change(one, 0, 1)) for one in made])
    assert [one.record.created_at for one in await store.find("")] == list(range(11, 1, -1))


async def test_what_does_not_exist_is_none(store: Store) -> None:
    """Whatever is asked for."""
    assert await store.get(identifier("nothing")) is None
    assert await store.get("../../etc/passwd\x00") is None


async def test_after_closing_everything_is_refused(store: Store) -> None:
    """Closing twice is no error."""
    await store.close()
    await store.close()
    one = record()
    for call in (
        store.create([(one, change(one, 0, 1))]),
        store.save([change(one, 0, 1)]),
        store.get(one.id),
        store.find("a"),
        store.list(),
    ):
        with pytest.raises(StoreError, match=r"^cannot "):
            await call
