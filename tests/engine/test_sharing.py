"""Within one firing each task runs at most once: executions share its run, its outputs, its log, its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.events import StepDue
from phased.core.phases import State
from phased.engine.registry import LiveExecution
from phased.testing.fake_runner import Outcome
from tests.engine.build import Bench, bench, catalog

pytestmark = pytest.mark.anyio

HOLDS = Outcome(holds=True)


def step(live: LiveExecution, label: str) -> State:
    """The state of a step."""
    return next(step.state for step in live.machine.steps.values() if step.label == label)


async def running(b: Bench, *lives: LiveExecution) -> None:
    """Wait until the run of `x` is told to all of them."""
    await b.until(lambda: all(step(live, "x") is State.RUNNING for live in lives))


async def test_a_task_that_two_need_runs_once_and_both_show_it(tmp_path: Path) -> None:
    """Its output too, and its log under both names."""
    outcomes = {"x": Outcome(holds=True, output={"K": "v"})}
    async with bench(tmp_path, catalog("x", "a: x", "b: x"), outcomes) as b:
        a, other = await b.begin("a", "b")
        await running(b, a, other)
        b.runner.finish("x")
        await b.end(a, other)
        assert b.runner.labels() == ["x", "a", "b"]
        assert b.phases(a)["x"] == b.phases(other)["x"] == "SUCCEEDED"
        for label in ("a", "b"):
            assert b.runner.run_of(label).request.environment["PHASED_OUTPUT_X_K"] == "v"
        logs = [
            b.log_path(live.record.id, s.id)
            for live in (a, other)
            for s in live.machine.steps.values()
            if s.label == "x"
        ]
        assert logs[0].stat().st_ino == logs[1].stat().st_ino
        run_ids = {
            s.run_id
            for live in (a, other)
            for s in live.machine.status().steps
            if s.id in {p.stem for p in logs}
        }
        assert len(run_ids) == 1


LATE = ("quick", "long", "x: quick", "w: long", "late: x w")
"""`late` comes to `x` only after `long`; an execution of `x` alone comes to it at once."""


async def test_who_comes_later_gets_what_it_missed(tmp_path: Path) -> None:
    """The run has ended long ago; its output is there all the same."""
    outcomes = {"x": Outcome(output={"K": "v"}), "long": HOLDS}
    async with bench(tmp_path, catalog(*LATE), outcomes) as b:
        first, late = await b.begin("x", "late")
        await b.end(first)
        assert step(late, "x") is State.WAITING
        b.runner.finish("long")
        await b.end(late)
        assert b.runner.labels().count("x") == 1
        assert late.machine.phase is Phase.SUCCEEDED
        assert b.runner.run_of("late").request.environment["PHASED_OUTPUT_X_K"] == "v"


async def test_who_comes_later_to_a_refused_run_is_refused_too(tmp_path: Path) -> None:
    """It is not tried again, and nobody waits for ever."""
    outcomes = {"x": Outcome(refused="no"), "long": HOLDS}
    async with bench(tmp_path, catalog(*LATE), outcomes) as b:
        first, late = await b.begin("x", "late")
        await b.end(first)
        b.runner.finish("long")
        await b.end(late)
        assert {b.message(live, "x") for live in (first, late)} == {"could not start: no"}
        assert b.runner.labels().count("x") == 1


async def test_who_comes_later_to_a_run_that_could_not_be_asked_for_is_refused_too(tmp_path: Path) -> None:
    """The supervisor was away when the first one came."""
    async with bench(tmp_path, catalog(*LATE), {"quick": HOLDS, "long": HOLDS}) as b:
        first, late = await b.begin("x", "late")
        b.runner.lost = True
        b.runner.finish("quick")
        await b.end(first)
        b.runner.lost = False
        b.runner.finish("long")
        await b.end(late)
        assert b.message(first, "x") == b.message(late, "x")
        assert "x" not in b.runner.labels()


async def test_stopping_one_only_detaches_it(tmp_path: Path) -> None:
    """The run goes on for the other; stopping the last ends it."""
    async with bench(tmp_path, catalog("x", "a: x", "b: x"), {"x": HOLDS}) as b:
        a, other = await b.begin("a", "b")
        await running(b, a, other)
        b.engine.stop([a], "somebody")
        await b.end(a)
        assert (a.machine.phase, b.runner.run_of("x").signals) == (Phase.STOPPED, [])
        assert step(other, "x") is State.RUNNING
        b.engine.stop([other], "somebody")
        await b.end(other)
        assert (other.machine.phase, b.runner.run_of("x").signals) == (Phase.STOPPED, [15])


async def test_stopping_one_while_it_starts_detaches_it(tmp_path: Path) -> None:
    """Also the one that the run was started for: the other gets its log all the same."""
    async with bench(tmp_path, catalog("x", "a: x", "b: x"), {"x": Outcome(starts_late=True)}) as b:
        a, other = await b.begin("a", "b")
        b.engine.kill([a])
        await b.end(a)
        assert a.machine.phase is Phase.STOPPED
        b.runner.let_start("x")
        await b.end(other)
        assert (other.machine.phase, b.runner.run_of("x").signals) == (Phase.SUCCEEDED, [])
        log = next(s.id for s in other.machine.steps.values() if s.label == "x")
        assert b.log_path(other.record.id, log).exists()


async def test_stopping_both_at_once_ends_the_run(tmp_path: Path) -> None:
    """The first lets go, the second ends it."""
    async with bench(tmp_path, catalog("x", "a: x", "b: x"), {"x": HOLDS}) as b:
        lives = await b.begin("a", "b")
        await running(b, *lives)
        b.engine.stop(lives, "somebody")
        await b.end(*lives)
        assert {live.machine.phase for live in lives} == {Phase.STOPPED}
        assert b.runner.run_of("x").signals == [15]


async def test_a_run_goes_on_for_who_has_its_task_still_before_it(tmp_path: Path) -> None:
    """It shows it later, as its own."""
    async with bench(tmp_path, catalog(*LATE), {"x": HOLDS, "long": HOLDS}) as b:
        first, late = await b.begin("x", "late")
        await running(b, first)
        b.engine.stop([first], "somebody")
        await b.end(first)
        assert b.runner.run_of("x").signals == []
        b.runner.finish("long")
        await running(b, late)
        b.runner.finish("x")
        await b.end(late)
        assert (first.machine.phase, late.machine.phase) == (Phase.STOPPED, Phase.SUCCEEDED)
        assert b.runner.labels().count("x") == 1


async def test_a_run_that_nobody_needs_after_all_is_ended(tmp_path: Path) -> None:
    """Who was to show it is stopped before that."""
    async with bench(tmp_path, catalog(*LATE), {"x": HOLDS, "long": HOLDS}) as b:
        first, late = await b.begin("x", "late")
        await running(b, first)
        b.engine.stop([first], "somebody")
        await b.end(first)
        b.engine.stop([late], "somebody")
        await b.end(late)
        assert await b.engine.end_leftovers() is None
        assert b.runner.run_of("x").signals == [15]
        assert b.runner.labels().count("x") == 1


async def test_a_shared_time_limit_is_up_for_all(tmp_path: Path) -> None:
    """Whoever joined later has no longer, and the same cause; both try again together."""
    tasks = catalog("x", "a: x", "b: x", x={"timeout": "PT5S", "retries": {"limit": 1, "backoff": "PT2S"}})
    async with bench(tmp_path, tasks, {"x": HOLDS}) as b:
        lives = await b.begin("a", "b")
        await running(b, *lives)
        b.clock.advance(5)
        await b.until(lambda: all(step(live, "x") is State.RETRYING for live in lives))
        b.clock.advance(2)
        await running(b, *lives)
        assert b.runner.labels() == ["x", "x"]
        b.clock.advance(5)
        await b.end(*lives)
        assert {b.message(live, "x") for live in lives} == {"timed out after 5 s"}


async def test_an_attempt_goes_on_for_who_is_about_to_make_it(tmp_path: Path) -> None:
    """One of them is already at the second attempt, the other in the pause before it."""
    tasks = catalog("x", "a: x", "b: x", x={"retries": {"limit": 1, "backoff": "PT2S"}})
    async with bench(tmp_path, tasks, {"x": HOLDS}) as b:
        a, other = await b.begin("a", "b")
        await running(b, a, other)
        b.runner.finish("x", 1)
        await b.until(lambda: step(a, "x") is step(other, "x") is State.RETRYING)
        x = next(s for s in a.machine.steps.values() if s.label == "x")
        b.engine._driver.post([(a, StepDue(x.id))])
        await running(b, a)
        b.engine.stop([a], "somebody")
        await b.end(a)
        assert b.runner.run_of("x").signals == []
        b.clock.advance(2)
        await running(b, other)
        b.runner.finish("x")
        await b.end(other)
        assert other.machine.phase is Phase.SUCCEEDED


async def test_two_firings_share_nothing(tmp_path: Path) -> None:
    """A task may run several times concurrently."""
    async with bench(tmp_path, catalog("x"), {"x": HOLDS}) as b:
        (one,) = await b.begin("x")
        (two,) = await b.begin("x")
        await running(b, one, two)
        assert b.runner.labels() == ["x", "x"]
        b.engine.stop([one, two], "somebody")
        await b.end(one, two)


async def test_background_children_of_a_shared_run_stay_while_another_goes_on(tmp_path: Path) -> None:
    """They end with the last."""
    outcomes = {"x": Outcome(children=1, children_obey=True), "a": HOLDS, "b": HOLDS}
    async with bench(tmp_path, catalog("x", "a: x", "b: x"), outcomes) as b:
        a, other = await b.begin("a", "b")
        await b.until(lambda: len(b.runner.runs) == 3)
        b.engine.stop([a], "somebody")
        await b.end(a)
        assert b.runner.run_of("x").children == 1
        b.engine.stop([other], "somebody")
        await b.end(other)
        assert b.runner.run_of("x").children == 0
