"""What an engine that died left unfinished ends with its cause, and never runs again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.engine.engine import Origin
from phased.engine.recovery import recover
from phased.engine.registry import LiveExecution
from phased.ports import RunExited, RunNotStarted, StoredExecution
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import FakeRunner, Outcome
from tests.engine.build import Bench, FullStore, bench, catalog

pytestmark = pytest.mark.anyio

HOLDS = Outcome(holds=True)
Meanwhile = Callable[[FakeRunner], object]


def labelled(stored: StoredExecution) -> dict[str, tuple[str, str | None]]:
    """Phase and failure message of each step, by label."""
    labels = {step.id: step.label for group in stored.record.spec.plan for step in group.steps}
    return {labels[s.id] or "": (s.phase.name, s.failure_message) for s in stored.status.steps}


async def state_reached(b: Bench, live: LiveExecution, label: str, state: str) -> None:
    """Wait for it, and until it is saved."""
    await b.until(
        lambda: any(s.label == label and s.state.value == state for s in live.machine.steps.values())
    )
    await b.engine.settled()


class Died:
    """A store, a runner and a clock that outlive an engine."""

    def __init__(self, outcomes: dict[str, Outcome]) -> None:
        self.clock = FakeClock()
        self.store = FullStore()
        self.runner = FakeRunner(self.clock, outcomes)

    async def recover(self) -> StoredExecution:
        """The only execution, as recovery leaves it; and what is told is what is stored."""
        (stored,) = await recover(self.store, self.runner, self.clock, 0.0, 0.0)
        kept = await self.store.get(stored.record.id)
        assert kept is not None
        assert kept.status.phase is stored.status.phase
        assert {s.id: s for s in kept.status.steps} == {s.id: s for s in stored.status.steps}
        assert await recover(self.store, self.runner, self.clock, 0.0, 0.0) == []
        return stored


async def die(folder: Path, outcomes: dict[str, Outcome], state: str = "running", *tasks: str) -> Died:
    """An engine ran `b` after `a` and died when `a` was in that state."""
    died = Died(outcomes)
    lines = tasks or ("a", "b: a")
    async with bench(folder, catalog(*lines), store=died.store, runner=died.runner, clock=died.clock) as b:
        (live,) = await b.begin(lines[-1].partition(":")[0])
        await state_reached(b, live, "a", state)
    return died


async def test_nothing_unfinished_is_nothing_to_do(tmp_path: Path) -> None:
    """What has ended stays as it is."""
    died = Died({})
    async with bench(tmp_path, catalog("a"), store=died.store, runner=died.runner, clock=died.clock) as b:
        await b.run("a")
    assert await recover(died.store, died.runner, died.clock, 0.0) == []


@pytest.mark.parametrize(
    ("code", "phase", "message"),
    [(0, "SUCCEEDED", None), (3, "FAILED", "exit code 3")],
)
async def test_an_exit_on_record_is_the_result(
    tmp_path: Path, code: int, phase: str, message: str | None
) -> None:
    """At the time when it happened; what would follow is never started."""
    died = await die(tmp_path, {"a": HOLDS})
    died.clock.advance(60)
    ended_at = died.clock.wall()
    died.runner.finish("a", code)
    died.clock.advance(60)
    stored = await died.recover()
    assert labelled(stored) == {"a": (phase, message)}
    assert stored.status.steps[0].completed_at == ended_at
    failure = "the engine was lost" if code == 0 else "step a failed: exit code 3"
    assert (stored.status.phase, stored.status.failure_message) == (Phase.FAILED, failure)
    assert stored.status.why == f"{failure}; never started: b"
    assert died.runner.labels() == ["a"]
    assert died.runner.forgotten == list(died.runner.runs)


async def test_an_execution_whose_last_step_succeeded_is_succeeded(tmp_path: Path) -> None:
    """Nothing of it was lost."""
    died = await die(tmp_path, {"a": HOLDS}, "running", "a")
    died.runner.finish("a")
    stored = await died.recover()
    assert (stored.status.phase, stored.status.failure_message) == (Phase.SUCCEEDED, None)


async def test_what_still_runs_is_ended_and_says_so(tmp_path: Path) -> None:
    """It cannot be taken over yet."""
    died = await die(tmp_path, {"a": HOLDS}, "running", "a")
    stored = await died.recover()
    assert labelled(stored) == {"a": ("FAILED", "the engine was lost while this ran; it was ended")}
    assert died.runner.run_of("a").state == "ended"


async def test_what_cannot_be_ended_is_named(tmp_path: Path) -> None:
    """And recovery has an end."""
    died = await die(tmp_path, {"a": Outcome(holds=True, unkillable=True)}, "running", "a")
    stored = await died.recover()
    assert labelled(stored)["a"][1] == (
        "the engine was lost while this ran; it could not be ended: process 1000 (leader) outlived SIGKILL"
    )


def gone(runner: FakeRunner) -> None:
    """It ended, and its record is lost."""
    runner.finish("a")
    runner.forgotten += list(runner.runs)


@pytest.mark.parametrize(
    ("meanwhile", "message"),
    [
        (gone, "ended while the daemon was away and left no exit code"),
        (lambda runner: runner.lose("a", "exit status unknown"), "exit status unknown"),
        (lambda runner: runner.runs.clear(), "ended while the daemon was away and left no exit code"),
    ],
    ids=["gone", "lost", "absent"],
)
async def test_a_run_whose_end_nobody_knows_failed(
    tmp_path: Path, meanwhile: Meanwhile, message: str
) -> None:
    """With what is known of why."""
    died = await die(tmp_path, {"a": HOLDS}, "running", "a")
    meanwhile(died.runner)
    assert labelled(await died.recover()) == {"a": ("FAILED", message)}


@pytest.mark.parametrize(
    ("meanwhile", "phase", "message"),
    [
        (lambda runner: runner.runs.clear(), "FAILED", "the engine was lost before this started"),
        (lambda _: None, "FAILED", "the engine was lost while this was being started; it may have run"),
        (lambda runner: runner.let_start("a"), "SUCCEEDED", None),
    ],
    ids=["never asked for", "may have run", "ran"],
)
async def test_a_start_that_was_saved_is_not_made_again(
    tmp_path: Path, meanwhile: Meanwhile, phase: str, message: str | None
) -> None:
    """Whatever became of it."""
    died = await die(tmp_path, {"a": Outcome(starts_late=True)}, "starting", "a")
    meanwhile(died.runner)
    assert labelled(await died.recover()) == {"a": (phase, message)}


async def test_a_start_that_failed_says_why(tmp_path: Path) -> None:
    """As it would have at once."""
    died = await die(tmp_path, {"a": Outcome(starts_late=True)}, "starting", "a")
    run = died.runner.run_of("a")
    run.last = RunNotStarted(run.request.run_id, "no such shell: /x", died.clock.wall())
    assert labelled(await died.recover()) == {"a": ("FAILED", "could not start: no such shell: /x")}


@pytest.mark.parametrize(
    ("outcome", "phase", "message"),
    [
        (Outcome(holds=True, children=1), "STOPPED", None),
        (
            Outcome(holds=True, children=1, unkillable=True), "FAILED",
            "could not be ended: process 2000 (child, state S) outlived SIGKILL",
        ),
    ],
)  # fmt: skip
async def test_a_stop_is_carried_on(
    tmp_path: Path, outcome: Outcome, phase: str, message: str | None
) -> None:
    """A requested stop means empty, also after the one who was asked has died."""
    died = Died({"a": outcome})
    async with bench(tmp_path, catalog("a"), store=died.store, runner=died.runner, clock=died.clock) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        if outcome.unkillable:
            b.runner.finish("a")
        await state_reached(b, live, "a", "emptying")
    stored = await died.recover()
    assert labelled(stored) == {"a": (phase, message)}
    assert stored.status.phase.name == phase
    assert stored.status.why is not None
    assert stored.status.why.startswith("stopped by somebody")


async def test_a_step_that_was_being_stopped_is_stopped(tmp_path: Path) -> None:
    """Its leader had not ended when the engine died."""
    died = Died({"a": Outcome(holds=True, ignores_term=True)})
    async with bench(tmp_path, catalog("a"), store=died.store, runner=died.runner, clock=died.clock) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await state_reached(b, live, "a", "stopping")
    died.runner.run_of("a").outcome = HOLDS
    assert labelled(await died.recover()) == {"a": ("STOPPED", None)}


async def test_a_pause_before_another_attempt_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody is there to make it."""
    died = Died({"a": Outcome(code=1)})
    tasks = catalog("a", a={"retries": {"limit": 1}})
    async with bench(tmp_path, tasks, store=died.store, runner=died.runner, clock=died.clock) as b:
        (live,) = await b.begin("a")
        await state_reached(b, live, "a", "retrying")
    assert labelled(await died.recover()) == {"a": ("FAILED", "the engine was lost before the next attempt")}


async def test_an_execution_that_had_not_begun_ends_too(tmp_path: Path) -> None:
    """It was created; nothing of it ever ran."""
    died = Died({})
    async with bench(tmp_path, catalog("a"), store=died.store, runner=died.runner, clock=died.clock) as b:
        await b.engine.fire(b.tasks, ["a"], Origin())
    stored = await died.recover()
    assert (stored.status.phase, stored.status.failure_message) == (Phase.FAILED, "the engine was lost")
    assert died.runner.runs == {}


async def test_after_a_reboot_nothing_is_signalled(tmp_path: Path) -> None:
    """An exit that was on record before it counts; all else was ended by it."""
    died = await die(tmp_path, {"a": HOLDS, "c": HOLDS}, "running", "a", "c", "all: a c")
    died.clock.reboot("boot-2")
    run = died.runner.run_of("c")
    run.state, run.last = "ended", RunExited(run.request.run_id, 0, None, died.clock.wall())
    stored = await died.recover()
    assert labelled(stored) == {"a": ("FAILED", "the machine rebooted"), "c": ("SUCCEEDED", None)}
    assert died.runner.run_of("a").signals == []
    assert stored.status.why == "step a failed: the machine rebooted; never started: all"


async def test_two_executions_that_share_a_run_both_end(tmp_path: Path) -> None:
    """With the same result."""
    died = Died({"x": HOLDS})
    tasks = catalog("x", "a: x", "b: x")
    async with bench(tmp_path, tasks, store=died.store, runner=died.runner, clock=died.clock) as b:
        lives = await b.begin("a", "b")
        for live in lives:
            await state_reached(b, live, "x", "running")
    died.runner.finish("x", 4)
    found = await recover(died.store, died.runner, died.clock, 0.0)
    assert [labelled(stored) for stored in found] == [{"x": ("FAILED", "exit code 4")}] * 2


@pytest.mark.parametrize("unkillable", [False, True])
async def test_a_stop_that_was_ending_leftovers_is_done(tmp_path: Path, unkillable: bool) -> None:
    """Of an execution that had ended, too; what cannot be ended is told beside the status."""
    died = Died({"a": Outcome(children=1, unkillable=unkillable)})
    async with bench(tmp_path, catalog("a"), store=died.store, runner=died.runner, clock=died.clock) as b:
        (live,) = await b.run("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
    assert await recover(died.store, died.runner, died.clock, 0.0, 0.0) == []
    assert await died.store.clearing() == []
    stored = await died.store.get(live.record.id)
    assert stored is not None
    assert stored.status.phase is Phase.SUCCEEDED
    stuck = "could not be ended: process 2000 (child, state S) outlived SIGKILL"
    assert stored.status.why == (stuck if unkillable else None)
    assert died.runner.run_of("a").children == unkillable
