"""How executions are stopped and killed: empty at the end, and with an end to the waiting."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.engine.engine import Limits, Origin
from phased.testing.fake_runner import Outcome
from tests.engine.build import bench, catalog

pytestmark = pytest.mark.anyio

HOLDS = Outcome(holds=True)


async def test_a_stop_ends_what_runs_and_starts_no_more(tmp_path: Path) -> None:
    """SIGTERM, empty, STOPPED; who stopped it is kept beside the status."""
    async with bench(tmp_path, catalog("a", "b: a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("b")
        b.engine.stop([live], "somebody")
        await b.end(live)
        assert b.runner.run_of("a").signals == [15]
        assert (b.phases(live), live.machine.phase) == ({"a": "STOPPED"}, Phase.STOPPED)
        assert live.machine.why == "stopped by somebody at 2023-11-14T22:13:20Z; never started: b"


async def test_a_stop_before_the_beginning_starts_nothing(tmp_path: Path) -> None:
    """Whichever comes first."""
    async with bench(tmp_path, catalog("a")) as b:
        lives = await b.engine.fire(b.tasks, ["a"], Origin())
        b.engine.stop(lives, "somebody")
        b.engine.begin(lives)
        await b.end(*lives)
        assert (b.runner.runs, lives[0].machine.phase) == ({}, Phase.STOPPED)


async def test_a_stop_while_a_step_is_being_started_ends_it_once_it_runs(tmp_path: Path) -> None:
    """There was nobody to signal before."""
    async with bench(tmp_path, catalog("a"), {"a": Outcome(holds=True, starts_late=True)}) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        assert b.runner.run_of("a").signals == []
        b.runner.let_start("a")
        await b.end(live)
        assert b.phases(live) == {"a": "STOPPED"}


async def test_a_leader_that_exits_at_once_after_the_stop_is_stopped(tmp_path: Path) -> None:
    """Start and exit reported in one bunch, after the stop."""
    async with bench(tmp_path, catalog("a"), {"a": Outcome(code=3, starts_late=True)}) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        b.runner.let_start("a")
        await b.end(live)
        assert b.phases(live) == {"a": "STOPPED"}


async def test_a_step_that_ignores_the_request_is_killed_at_the_limit(tmp_path: Path) -> None:
    """And FAILED, saying so."""
    async with bench(tmp_path, catalog("a"), {"a": Outcome(holds=True, ignores_term=True)}) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        b.clock.advance(10)
        await b.end(live)
        assert b.message(live, "a") == "did not stop within 10 s and was killed"
        assert set(b.runner.run_of("a").signals) == {15, 9}


async def test_children_that_outlive_the_leader_are_killed_and_change_nothing(tmp_path: Path) -> None:
    """The step is STOPPED, and not before they are gone."""
    async with bench(tmp_path, catalog("a"), {"a": Outcome(holds=True, children=2)}) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.until(lambda: live.machine.live_steps[0].state.value == "emptying")
        assert live.machine.phase is Phase.RUNNING
        b.clock.advance(10)
        await b.end(live)
        assert b.phases(live) == {"a": "STOPPED"}
        assert b.runner.run_of("a").children == 0


async def test_a_kill_does_not_wait(tmp_path: Path) -> None:
    """Neither for the limit, nor for a stop to come first."""
    async with bench(tmp_path, catalog("a", "b"), {"a": Outcome(holds=True, ignores_term=True)}) as b:
        (live,) = await b.begin("a")
        b.engine.kill([live], "somebody")
        await b.end(live)
        assert b.message(live, "a") == "did not stop at once when that was asked for, and was killed"


@pytest.mark.parametrize("leader", [True, False], ids=["leader", "children"])
async def test_what_cannot_be_ended_is_named_and_the_wait_has_an_end(tmp_path: Path, leader: bool) -> None:
    """A process in uninterruptible sleep, say."""
    outcome = Outcome(holds=True, unkillable=True, children=0 if leader else 1)
    async with bench(tmp_path, catalog("a"), {"a": outcome}, Limits(kill_timeout=20)) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        if not leader:
            b.runner.finish("a")
            await b.until(lambda: live.machine.live_steps[0].state.value == "emptying")
        b.clock.advance(10)
        await b.until(lambda: 9 in b.runner.run_of("a").signals)
        assert not live.machine.finished
        b.clock.advance(20)
        await b.end(live)
        named = "1000 (leader)" if leader else "2000 (child, state S)"
        killed = "did not stop within 10 s and was killed, and " if leader else ""
        assert b.message(live, "a") == f"{killed}could not be ended: process {named} outlived SIGKILL"
        b.runner.finish("a")  # much later: nobody is confused by it
        await b.engine.settled()
        assert b.phases(live) == {"a": "FAILED"}


async def test_background_children_live_on_until_the_execution_is_stopped(tmp_path: Path) -> None:
    """They are not forgotten; a stop of what runs ends those of what has ended as well."""
    outcomes = {"a": Outcome(children=1, children_obey=True), "b": HOLDS}
    async with bench(tmp_path, catalog("a", "b: a"), outcomes) as b:
        (live,) = await b.begin("b")
        await b.until(lambda: "b" in b.runner.labels())
        assert len(await b.engine.leftovers()) == 1
        b.engine.stop([live], "somebody")
        await b.end(live)
        assert await b.engine.leftovers() == {}
        assert b.phases(live) == {"a": "SUCCEEDED", "b": "STOPPED"}


async def test_stopping_what_has_ended_ends_what_it_left_behind(tmp_path: Path) -> None:
    """Its phase stays, and that it goes on is saved; by its record too, once it is no longer live."""
    async with bench(tmp_path, catalog("a"), {"a": Outcome(children=1)}) as b:
        (live,) = await b.run("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        assert [one.record.id for one in await b.store.clearing()] == [live.record.id]
        await b.until(lambda: b.runner.run_of("a").signals == [15])
        b.clock.advance(10)
        await b.until(lambda: b.runner.run_of("a").children == 0)
        await b.until(lambda: live.machine.clearing is None)
        await b.engine.settled()
        assert await b.store.clearing() == []
        assert (live.machine.phase, live.machine.why) == (Phase.SUCCEEDED, None)
        b.runner.run_of("a").children = 1
        b.runner.run_of("a").outcome = Outcome(children_obey=True)
        assert await b.engine.end_left_by(live.stored()) is None
        assert b.runner.run_of("a").children == 0


async def test_what_has_ended_is_found_again_by_its_record(tmp_path: Path) -> None:
    """The very same where anybody has it: as long as one of its firing lives, that is needed for its sake."""
    outcomes = {"x": Outcome(children=1, children_obey=True), "hold": HOLDS}
    async with bench(tmp_path, catalog("x", "a: x", "hold", "b: x hold"), outcomes) as b:
        one, other = await b.begin("a", "b")
        await b.end(one)
        await b.until(lambda: "hold" in b.runner.labels())
        stored = one.stored()
        assert b.engine.ended(stored) is one
        assert await b.engine.left_by(one) == {}
        b.runner.finish("hold")
        await b.end(other)
        del one, other
        gc.collect()
        found = b.engine.ended(stored)
        assert found.machine.phase is Phase.SUCCEEDED
        assert list(await b.engine.left_by(found)) == [b.runner.run_of("x").request.run_id]
        b.engine.stop([found], "somebody")
        await b.until(lambda: b.runner.run_of("x").children == 0)
        await b.until(lambda: found.machine.clearing is None)


async def test_what_a_stop_of_an_ended_one_could_not_end_is_told(tmp_path: Path) -> None:
    """Beside its status, which stays what it was."""
    outcomes = {"a": Outcome(children=1, unkillable=True)}
    async with bench(tmp_path, catalog("a"), outcomes) as b:
        (live,) = await b.run("a")
        b.engine.kill([live])
        await b.engine.settled()
        b.clock.advance(10)
        await b.until(lambda: live.machine.clearing is None)
        await b.engine.settled()
        stored = await b.store.get(live.record.id)
        assert stored is not None
        assert stored.status.phase is Phase.SUCCEEDED
        assert stored.status.why == "could not be ended: process 2000 (child, state S) outlived SIGKILL"


async def test_leftovers_that_cannot_be_ended_are_told_beside_the_status(tmp_path: Path) -> None:
    """The execution ends all the same."""
    outcomes = {"a": Outcome(children=1, unkillable=True), "b": HOLDS}
    async with bench(tmp_path, catalog("a", "b: a"), outcomes) as b:
        (live,) = await b.begin("b")
        await b.until(lambda: "b" in b.runner.labels())
        b.engine.stop([live], "somebody")
        await b.until(lambda: b.phases(live)["b"] == "STOPPED")
        assert not live.machine.finished
        b.engine.kill([live])
        await b.engine.settled()
        b.clock.advance(10)
        await b.end(live)
        assert live.machine.why is not None
        assert live.machine.why.endswith("could not be ended: process 2000 (child, state S) outlived SIGKILL")
        assert live.machine.phase is Phase.STOPPED


async def test_the_end_of_all_leftovers_is_bounded(tmp_path: Path) -> None:
    """A foreground run ends them before it exits, and says what it could not end."""
    limits = Limits(stop_timeout=0, kill_timeout=0)
    async with bench(tmp_path, catalog("a"), {"a": Outcome(children=1, unkillable=True)}, limits) as b:
        await b.run("a")
        assert await b.engine.end_leftovers(lambda _: False) is None
        assert await b.engine.end_leftovers() == (
            "could not be ended: process 2000 (child, state S) outlived SIGKILL"
        )


async def test_a_signal_that_cannot_be_sent_now_is_no_end(tmp_path: Path) -> None:
    """The supervisor may be away for a moment."""
    async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("a")
        b.runner.lost = True
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        b.runner.lost = False
        b.clock.advance(10)
        await b.end(live)
        assert live.machine.phase is Phase.FAILED


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome(holds=True, starts_late=True), "its end was not reported"),
        (
            Outcome(holds=True, unreported=True),
            "did not stop within 10 s and was killed, and its end was not reported",
        ),
    ],
    ids=["start", "exit"],
)
async def test_a_runner_that_reports_nothing_does_not_hold_up_a_stop(
    tmp_path: Path, outcome: Outcome, cause: str
) -> None:
    """The wait has an end, whoever is silent."""
    async with bench(tmp_path, catalog("a"), {"a": outcome}) as b:
        (live,) = await b.begin("a")
        b.engine.stop([live], "somebody")
        await b.engine.settled()
        b.clock.advance(10)
        await b.engine.settled()
        assert not live.machine.finished
        b.clock.advance(10)
        await b.end(live)
        assert b.message(live, "a") == cause
