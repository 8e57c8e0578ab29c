"""A later engine goes on with what an earlier one left, and starts nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from phased.contract.definitions import Definitions, ServiceDefinition
from phased.core.service_phases import ServiceState
from phased.core.specs import Catalog
from phased.engine.engine import Origin
from phased.engine.registry import LiveExecution
from phased.ports import RunExited
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner, Outcome
from tests.engine.build import Bench, FullStore, bench, catalog

pytestmark = pytest.mark.anyio

HOLDS = Outcome(holds=True)
Meanwhile = Callable[[FakeRunner], object]


class Rest:
    """What outlives an engine."""

    def __init__(self, folder: Path, tasks: Catalog, **outcomes: Outcome) -> None:
        self.folder, self.tasks = folder, tasks
        self.clock = FakeClock()
        self.store = FullStore()
        self.runner = FakeRunner(self.clock, outcomes)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Bench]:
        """One engine, until it dies."""
        async with bench(
            self.folder, self.tasks, store=self.store, runner=self.runner, clock=self.clock
        ) as made:
            yield made

    @asynccontextmanager
    async def next_engine(self) -> AsyncIterator[tuple[Bench, list[LiveExecution]]]:
        """One that takes over, with the executions that go on, newest last."""
        async with self.engine() as made:
            lives = await made.engine.take_over({self.tasks.environment: self.tasks})
            await made.engine.settled()
            yield made, lives


async def reached(b: Bench, live: LiveExecution, **states: str) -> None:
    """Wait until these steps, by label, are in these states, and until that is saved."""
    await b.until(
        lambda: (
            states.items() <= {step.label: step.state.value for step in live.machine.steps.values()}.items()
        )
    )
    await b.engine.settled()


async def test_a_running_step_goes_on_and_what_follows_runs(tmp_path: Path) -> None:
    """With its true exit, and each command started once."""
    rest = Rest(tmp_path, catalog("a", "b: a"), a=HOLDS)
    async with rest.engine() as b:
        (live,) = await b.begin("b")
        await reached(b, live, a="running")
    async with rest.next_engine() as (b, (live,)):
        rest.runner.finish("a")
        await b.end(live)
        assert b.phases(live) == {"a": "SUCCEEDED", "b": "SUCCEEDED"}
        assert rest.runner.labels() == ["a", "b"]
        assert (await b.stored_phase(live)).name == "SUCCEEDED"
    assert set(rest.runner.forgotten) == set(rest.runner.runs)


@pytest.mark.parametrize(
    ("meanwhile", "phase", "message"),
    [
        (lambda runner: runner.finish("a"), "SUCCEEDED", None),
        (lambda runner: runner.finish("a", 3), "FAILED", "exit code 3"),
        (lambda runner: runner.lose("a", "exit status unknown"), "FAILED", "exit status unknown"),
        (
            lambda runner: runner.runs.clear(),
            "FAILED",
            "ended while the daemon was away and left no exit code",
        ),
    ],
    ids=["exited", "failed", "lost", "gone"],
)
async def test_what_happened_meanwhile_is_told(
    tmp_path: Path, meanwhile: Meanwhile, phase: str, message: str | None
) -> None:
    """As if the engine had been there."""
    rest = Rest(tmp_path, catalog("a"), a=HOLDS)
    async with rest.engine() as b:
        (live,) = await b.begin("a")
        await reached(b, live, a="running")
    meanwhile(rest.runner)
    async with rest.next_engine() as (b, (live,)):
        await b.end(live)
        assert (b.phases(live), b.message(live, "a")) == ({"a": phase}, message)


@pytest.mark.parametrize(
    ("meanwhile", "phase", "message"),
    [
        (lambda runner: runner.runs.clear(), "SUCCEEDED", None),
        (lambda _: None, "FAILED", "the engine was lost while this was being started; it may have run"),
        (lambda runner: runner.let_start("a"), "SUCCEEDED", None),
    ],
    ids=["never was", "may have run", "ran"],
)
async def test_a_start_is_made_again_only_if_it_never_was(
    tmp_path: Path, meanwhile: Meanwhile, phase: str, message: str | None
) -> None:
    """Of all others nobody can tell whether they ran."""
    rest = Rest(tmp_path, catalog("a"), a=Outcome(starts_late=True))
    async with rest.engine() as b:
        (live,) = await b.begin("a")
        await reached(b, live, a="starting")
    meanwhile(rest.runner)
    rest.runner.outcomes["a"] = Outcome()
    async with rest.next_engine() as (b, (live,)):
        await b.end(live)
        assert (b.phases(live), b.message(live, "a")) == ({"a": phase}, message)
    assert rest.runner.labels() == ["a"]


async def test_what_was_created_and_not_begun_begins(tmp_path: Path) -> None:
    """Its start was acknowledged."""
    rest = Rest(tmp_path, catalog("a"))
    async with rest.engine() as b:
        await b.engine.fire(b.tasks, ["a"], Origin())
    async with rest.next_engine() as (b, (live,)):
        await b.end(live)
        assert b.phases(live) == {"a": "SUCCEEDED"}


async def test_a_timeout_counts_from_the_start(tmp_path: Path) -> None:
    """Its deadline is one of the boot's clock."""
    rest = Rest(tmp_path, catalog("a", a={"timeout": 60.0}), a=HOLDS)
    async with rest.engine() as b:
        (live,) = await b.begin("a")
        await reached(b, live, a="running")
    rest.clock.advance(59)
    async with rest.next_engine() as (b, (live,)):
        assert b.phases(live) == {"a": "RUNNING"}
        rest.clock.advance(2)
        await b.end(live)
        assert b.message(live, "a") == "timed out after 60 s"


async def test_a_stop_that_was_asked_for_is_carried_out(tmp_path: Path) -> None:
    """And its limit still holds: it is killed when that is reached."""
    rest = Rest(tmp_path, catalog("a", "b: a"), a=Outcome(holds=True, ignores_term=True))
    async with rest.engine() as b:
        (live,) = await b.begin("b")
        b.engine.stop([live], "somebody")
        await reached(b, live, a="stopping")
    rest.clock.advance(9)
    async with rest.next_engine() as (b, (live,)):
        assert b.phases(live) == {"a": "RUNNING"}
        rest.clock.advance(2)
        await b.end(live)
        assert b.message(live, "a") == "did not stop within 10 s and was killed"
        assert (live.machine.why or "").startswith("stopped by somebody")
    assert rest.runner.labels() == ["a"]


async def test_a_stop_after_the_taking_over(tmp_path: Path) -> None:
    """It ends what the earlier engine started, with what that left behind."""
    rest = Rest(tmp_path, catalog("a"), a=Outcome(holds=True, children=1, children_obey=True))
    async with rest.engine() as b:
        (live,) = await b.begin("a")
        await reached(b, live, a="running")
    async with rest.next_engine() as (b, (live,)):
        b.engine.stop([live], "somebody")
        await b.end(live)
        assert b.phases(live) == {"a": "STOPPED"}
    assert rest.runner.run_of("a").children == 0


async def test_another_attempt_is_made_when_its_pause_is_over(tmp_path: Path) -> None:
    """The pause goes on while no engine is there."""
    rest = Rest(tmp_path, catalog("a", a={"retries": {"limit": 1, "backoff": 30.0}}), a=Outcome(code=1))
    async with rest.engine() as b:
        (live,) = await b.begin("a")
        await reached(b, live, a="retrying")
    rest.runner.outcomes["a"] = Outcome()
    async with rest.next_engine() as (b, (live,)):
        assert rest.runner.labels() == ["a"]
        rest.clock.advance(31)
        await b.end(live)
        assert b.phases(live) == {"a": "SUCCEEDED"}
        assert len(live.earlier) == 1
    assert rest.runner.labels() == ["a", "a"]


async def test_runs_of_one_firing_are_shared_again(tmp_path: Path) -> None:
    """Of two that show a run one is stopped: the run goes on for the other."""
    rest = Rest(tmp_path, catalog("x", "a: x", "b: x"), x=HOLDS)
    async with rest.engine() as b:
        for live in await b.begin("a", "b"):
            await reached(b, live, x="running")
    async with rest.next_engine() as (b, lives):
        stopped, other = lives
        b.engine.stop([stopped], "somebody")
        await b.end(stopped)
        assert rest.runner.run_of("x").signals == []
        rest.runner.finish("x")
        await b.end(other)
        assert (stopped.machine.phase.name, other.machine.phase.name) == ("STOPPED", "SUCCEEDED")
    assert sorted(rest.runner.labels()) in (["a", "x"], ["b", "x"])


async def test_what_ran_for_an_ended_execution_does_not_run_again(tmp_path: Path) -> None:
    """Within one firing each task runs once, also across engines."""
    rest = Rest(tmp_path, catalog("x", "hold", "late: x hold", "last: late"), hold=HOLDS)
    tasks = catalog("x", "hold", "gate: hold", "y: x", "b: gate y")
    rest.tasks = tasks
    async with rest.engine() as b:
        first, second = await b.begin("x", "b")
        await b.end(first)
        await reached(b, second, hold="running")
    async with rest.next_engine() as (b, (live,)):
        rest.runner.finish("hold")
        await b.end(live)
        assert live.machine.phase.name == "SUCCEEDED"
    assert sorted(rest.runner.labels()) == ["b", "gate", "hold", "x", "y"]


async def test_a_run_that_nobody_needs_any_more_is_ended(tmp_path: Path) -> None:
    """The engine died before it could end it."""
    rest = Rest(tmp_path, catalog("x", "hold", "a: x", "w: hold", "z: w", "b: z x"), x=HOLDS, hold=HOLDS)
    async with rest.engine() as b:
        one, other = await b.begin("a", "b")
        await reached(b, one, x="running")
        await reached(b, other, hold="running")
        b.engine.stop([one], "somebody")
        await b.end(one)
    async with rest.next_engine() as (b, (live,)):
        b.engine.stop([live], "somebody")
        await b.end(live)
        await b.until(lambda: rest.runner.run_of("x").state == "ended")


@pytest.mark.parametrize("task", ["c", "a"], ids=["that goes on", "that has ended"])
async def test_a_stop_goes_on_ending_what_was_left(tmp_path: Path, task: str) -> None:
    """Within the limits that it had: a later engine gives no new time."""
    outcomes = {"a": Outcome(children=1), "c": Outcome(holds=True, ignores_term=True)}
    rest = Rest(tmp_path, catalog("a", "c: a"), **outcomes)
    async with rest.engine() as b:
        (live,) = await b.begin(task)
        await (reached(b, live, c="running") if task == "c" else b.end(live))
        b.engine.stop([live], "somebody")
        await b.engine.settled()
    rest.clock.advance(6)
    async with rest.next_engine() as (b, lives):
        assert len(lives) == (task == "c")
        left = rest.runner.run_of("a")
        await b.until(lambda: left.signals[-1:] == [15])
        assert left.children == 1
        rest.clock.advance(4)
        await b.until(lambda: left.children == 0)
        for one in lives:
            await b.end(one)
        await b.until(lambda: rest.store.saved[-1].clearing is None)
    assert await rest.store.clearing() == []


async def test_after_a_reboot_there_is_nothing_left_to_end(tmp_path: Path) -> None:
    """Of an execution that has ended, no word of it is kept."""
    rest = Rest(tmp_path, catalog("a"), a=Outcome(children=1))
    async with rest.engine() as b:
        (live,) = await b.run("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        signals = list(rest.runner.run_of("a").signals)
    rest.clock.reboot("boot-2")
    async with rest.next_engine() as (b, lives):
        assert (lives, await rest.store.clearing()) == ([], [])
    assert rest.runner.run_of("a").signals == signals
    stored = await rest.store.get(live.record.id)
    assert stored is not None
    assert (stored.status.phase.name, stored.status.why) == ("SUCCEEDED", None)


async def test_after_a_reboot_it_ends_with_that_cause(tmp_path: Path) -> None:
    """An exit that was on record before counts; nothing is signalled or started."""
    rest = Rest(tmp_path, catalog("a", "c", "all: a c"), a=HOLDS, c=HOLDS)
    async with rest.engine() as b:
        (live,) = await b.begin("all")
        await reached(b, live, a="running", c="running")
    rest.clock.reboot("boot-2")
    run = rest.runner.run_of("c")
    run.state, run.last = "ended", RunExited(run.request.run_id, 0, None, rest.clock.wall())
    async with rest.next_engine() as (b, lives):
        assert lives == []
        stored = await rest.store.get(live.record.id)
        assert stored is not None
        assert stored.status.failure_message == "step a failed: the machine rebooted"
        assert {step.phase.name for step in stored.status.steps} == {"FAILED", "SUCCEEDED"}
    assert rest.runner.run_of("a").signals == []


def with_service(**more: object) -> Catalog:
    """A task that needs a service that needs a task."""
    tasks = catalog("make", "use: db")
    service = ServiceDefinition.model_validate(
        {"reference": "db", "name": "db", "start": "serve", "ready": "ready?", "depends_on": ("make",)} | more
    )
    definitions = Definitions(tasks=tuple(tasks.tasks.values()), services=(service,))
    return Catalog(tasks.environment, definitions)


async def test_a_step_goes_on_waiting_for_its_service(tmp_path: Path) -> None:
    """It is ready when the ready command says so, whoever asked for it."""
    tasks = with_service()
    rest = Rest(tmp_path, tasks)
    rest.runner.outcomes |= {"serve": HOLDS, "ready?": Outcome(code=1)}
    async with rest.engine() as b:
        (live,) = await b.begin("use")
        await b.until(lambda: [s.progress.state for s in b.engine.services.all()] == [ServiceState.PAUSING])
        await b.engine.services.settled()
        await b.engine.settled()
    rest.runner.outcomes["ready?"] = Outcome()
    async with rest.next_engine() as (b, (live,)):
        rest.clock.advance(2)
        await b.end(live)
        assert live.machine.phase.name == "SUCCEEDED"
    commands = [run.request.command for run in rest.runner.runs.values()]
    assert [commands.count(one) for one in ("run make", "serve", "run use")] == [1, 1, 1]


async def test_a_service_that_failed_meanwhile_fails_the_step(tmp_path: Path) -> None:
    """It is not started again for the sake of the old request."""
    rest = Rest(tmp_path, with_service())
    rest.runner.outcomes |= {"serve": HOLDS, "ready?": Outcome(code=1)}
    async with rest.engine() as b:
        (live,) = await b.begin("use")
        await b.until(lambda: [s.progress.state for s in b.engine.services.all()] == [ServiceState.PAUSING])
        await b.engine.services.settled()
        await b.engine.settled()
    (run,) = [run for run in rest.runner.runs.values() if run.request.command == "serve"]
    run.state, run.last = "ended", RunExited(run.request.run_id, 7, None, rest.clock.wall())
    async with rest.next_engine() as (b, (live,)):
        await b.end(live)
        assert b.message(live, "db") == "service db failed: exit code 7"
    assert [run.request.command for run in rest.runner.runs.values()].count("serve") == 1


@pytest.mark.parametrize("ended", [False, True])
async def test_a_service_goes_on_waiting_for_its_task(tmp_path: Path, ended: bool) -> None:
    """The execution that it waited for, not another one; also where that ended meanwhile."""
    tasks = with_service()
    rest = Rest(tmp_path, tasks)
    rest.runner.outcomes |= {"serve": HOLDS, "run make": HOLDS}
    async with rest.engine() as b:
        (service,) = await b.engine.services.define(tasks, ["db"], tmp_path, Origin())
        b.engine.services.start(service, "somebody")
        await b.until(lambda: b.engine.lives and b.engine.lives[0].machine.live_steps)
        await reached(b, b.engine.lives[0], make="running")
        await b.engine.services.settled()
    if ended:
        rest.runner.finish("make")
    async with rest.next_engine() as (b, _):
        if not ended:
            rest.runner.finish("make")
        (service,) = b.engine.services.all()
        assert await b.engine.services.until_ready(service) is None
    commands = [run.request.command for run in rest.runner.runs.values()]
    assert [commands.count(one) for one in ("run make", "serve")] == [1, 1]
