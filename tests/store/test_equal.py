"""Both stores do the same, whatever is asked of them in whatever order: the one in memory is the model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.errors import StaleVersion, StoreError
from phased.ports import Store, StoredExecution
from phased.store.memory import MemoryStore
from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record, step

NAMES = ("a", "b", "c")
Answer = list[StoredExecution] | str

creations = st.tuples(st.just("create"), st.lists(st.sampled_from(NAMES), max_size=2))
steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Phase)), st.integers(1, 3)), max_size=3
)
savings = st.tuples(
    st.just("save"),
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 1), st.sampled_from(list(Phase)), steps), max_size=3
    ),
)


async def act(store: Store, versions: dict[str, int], kind: str, what: list[Any]) -> Answer:
    """Do one thing; everything that the store then has, or the error that came.

    `versions` holds what was last saved, so that most changes are good and some stale.
    """
    newest = dict(versions)
    try:
        if kind == "create":
            made = [record(str(name), created_at=NAMES.index(str(name)) % 2) for name in what]
            await store.create([(one, change(one, 0, 1, Phase.PENDING)) for one in made])
            newest |= {str(name): 1 for name in what}
        else:
            changes = []
            for name, late, phase, touched in what:
                expected = newest.get(name, 0) - late
                newest[name] = expected + 1
                made_steps = [step(one, its, attempt=attempt) for one, its, attempt in touched]
                changes.append(change(record(name), expected, expected + 1, phase, *made_steps))
            await store.save(changes)
    except StaleVersion as error:
        return f"stale {error.execution_id} {error.expected} {error.found}"
    except StoreError:
        return "refused"
    versions |= newest
    return [*await store.list(), *await store.list(unfinished=True)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(creations, savings), max_size=12))
def test_both_answer_the_same(actions: list[tuple[str, list[Any]]]) -> None:
    """After each action, also a refused one."""

    async def compare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            memory, sqlite = MemoryStore(), SqliteStore.open(Path(folder) / "state.db")
            in_memory: dict[str, int] = {}
            on_disk: dict[str, int] = {}
            try:
                for kind, what in actions:
                    expected = await act(memory, in_memory, kind, what)
                    assert await act(sqlite, on_disk, kind, what) == expected
            finally:
                await sqlite.close()

    anyio.run(compare)
