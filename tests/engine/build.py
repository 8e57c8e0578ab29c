"""An engine over fakes that are small real programs, and builders, so that a test shows its graph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from phased.contract.definitions import Definitions, TaskDefinition
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.specs import Catalog, environment_id
from phased.core.status import StatusChange
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.registry import LiveExecution
from phased.errors import StoreFull
from phased.ports import ExecutionRecord
from phased.store.memory import MemoryStore
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner, Outcome

DEADLINE = 60.0


def catalog(*lines: str, **extra: Mapping[str, object]) -> Catalog:
    """`catalog("a", "b: a", "all!: a b")`: what each needs; `!` has no command; `extra` by reference."""
    tasks = []
    for line in lines:
        name, _, needs = line.partition(":")
        reference = name.rstrip("!")
        values: dict[str, object] = {
            "reference": reference,
            "name": reference,
            "command": "" if name.endswith("!") else f"run {reference}",
            "depends_on": tuple(needs.split()),
        }
        tasks.append(TaskDefinition.model_validate(values | dict(extra.get(reference, {}))))
    return Catalog(environment_id("/workspace"), Definitions(tasks=tuple(tasks)))


class FullStore(MemoryStore):
    """A store whose disk can be full; `saved` is every change that it took, in order."""

    def __init__(self) -> None:
        """There is room."""
        super().__init__()
        self.full = False
        self.saved: list[StatusChange] = []
        self.calls = 0

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """Create, or raise StoreFull."""
        self._refuse_if_full()
        await super().create(executions)

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """Save, or raise StoreFull."""
        self.calls += 1
        self._refuse_if_full()
        await super().save(changes)
        self.saved += changes

    def _refuse_if_full(self) -> None:
        if self.full:
            raise StoreFull("cannot write the state: no room; make some")


@dataclass
class Bench:
    """Everything that a test of the engine has in hand."""

    engine: Engine
    store: FullStore
    runner: FakeRunner
    clock: FakeClock
    folder: Path
    tasks: Catalog
    seen: list[StatusChange] = field(default_factory=list)

    def log_path(self, execution_id: str, step_id: str) -> Path:
        """Where a log is."""
        return self.folder / execution_id / f"{step_id}.log"

    async def begin(self, *references: str) -> list[LiveExecution]:
        """Fire and begin."""
        lives = await self.engine.fire(self.tasks, references, Origin())
        self.engine.begin(lives)
        await self.engine.settled()
        return lives

    async def run(self, *references: str) -> list[LiveExecution]:
        """Fire, begin, and wait for the end."""
        lives = await self.begin(*references)
        await self.end(*lives)
        return lives

    async def end(self, *lives: LiveExecution) -> None:
        """Wait for their end, and until it is saved."""
        with anyio.fail_after(DEADLINE):
            for live in lives:
                await live.done.wait()
            await self.engine.settled()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the engine does by itself."""
        with anyio.fail_after(DEADLINE):
            while not condition():  # noqa: ASYNC110 - no fake tells of every change
                await anyio.sleep(0.001)

    def phases(self, live: LiveExecution) -> dict[str, str]:
        """The phase of each step that has started, by label."""
        labels = {step_id: step.label or "" for step_id, step in live.steps.items()}
        return {labels[step.id]: step.phase.name for step in live.machine.status().steps}

    def message(self, live: LiveExecution, label: str) -> str | None:
        """A step's failure message."""
        return next(step.cause for step in live.machine.steps.values() if step.label == label)

    async def stored_phase(self, live: LiveExecution) -> Phase:
        """What the store has."""
        stored = await self.store.get(live.record.id)
        assert stored is not None
        return stored.status.phase


@asynccontextmanager
async def bench(
    folder: Path,
    tasks: Catalog,
    outcomes: Mapping[str, Outcome] | None = None,
    limits: Limits | None = None,
    *,
    store: FullStore | None = None,
    runner: FakeRunner | None = None,
    clock: FakeClock | None = None,
) -> AsyncIterator[Bench]:
    """An engine that runs; what an earlier one had may be handed in."""
    clock = clock or FakeClock()
    store = store or FullStore()
    runner = runner or FakeRunner(clock, outcomes)

    def log_path(execution_id: str, step_id: str) -> Path:
        return folder / execution_id / f"{step_id}.log"

    async with Engine(store, runner, clock, folder, log_path, limits or Limits()) as engine:
        clock.watch(engine.wake)
        yield Bench(engine, store, runner, clock, folder, tasks)
