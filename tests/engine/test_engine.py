"""The engine over fakes: what it starts and when, what it saves, and how executions end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.engine.engine import Limits, Origin
from phased.errors import CycleFound, NotFound, OutputRefused, StoreFull, UnknownReference, Unsupported
from phased.ports import RunRequest
from phased.testing.fake_runner import Outcome
from tests.engine.build import Bench, bench, catalog

pytestmark = pytest.mark.anyio

HOLDS = Outcome(holds=True)


def _was_asked_for(b: Bench, label: str) -> bool:
    return label in b.runner.labels()


async def test_a_plan_runs_group_by_group(tmp_path: Path) -> None:
    """Barriers; a task without a command joins; the end is stored."""
    tasks = catalog("a", "b", "c: a b", "all!: c")
    async with bench(tmp_path, tasks, {"b": HOLDS}) as b:
        (live,) = await b.begin("all")
        await b.until(lambda: b.phases(live).get("a") == "SUCCEEDED")
        assert b.phases(live) == {"a": "SUCCEEDED", "b": "RUNNING"}
        b.runner.finish("b")
        await b.end(live)
        assert b.phases(live) == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "SUCCEEDED", "all": "SUCCEEDED"}
        assert await b.stored_phase(live) is Phase.SUCCEEDED
        assert b.runner.labels() == ["a", "b", "c"]


async def test_no_more_than_max_parallel_run_at_a_time(tmp_path: Path) -> None:
    """Of one execution; a free place is filled."""
    names = [f"t{number}" for number in range(5)]
    tasks = catalog(*names, f"all!: {' '.join(names)}")
    async with bench(tmp_path, tasks, dict.fromkeys(names, HOLDS), Limits(max_parallel=2)) as b:
        (live,) = await b.begin("all")
        assert b.runner.labels() == ["t0", "t1"]
        b.runner.finish("t1")
        await b.until(lambda: len(b.runner.runs) == 3)
        for name in ("t0", "t2", "t3", "t4"):
            await b.until(partial(_was_asked_for, b, name))
            b.runner.finish(name)
        await b.end(live)


async def test_a_start_is_saved_before_it_is_performed(tmp_path: Path) -> None:
    """Whatever dies after that, the store knows that it may have run."""
    async with bench(tmp_path, catalog("a")) as b:
        start, saved_at_start = b.runner.start, list[str]()

        async def watch(requests: Sequence[RunRequest]) -> None:
            saved_at_start.extend(step.state for change in b.store.saved for step in change.steps)
            await start(requests)

        b.runner.start = watch  # type: ignore[method-assign]
        await b.run("a")
        assert saved_at_start == ["starting"]


async def test_a_bunch_of_events_is_one_save_and_one_call_of_the_runner(tmp_path: Path) -> None:
    """Many steps cost few transactions."""
    names = [f"t{number}" for number in range(50)]
    async with bench(tmp_path, catalog(*names, f"all!: {' '.join(names)}")) as b:
        await b.run("all")
        assert len(b.runner.bunches) == 1
        assert b.store.calls <= 4


async def test_a_result_is_forgotten_only_once_it_is_saved(tmp_path: Path) -> None:
    """Until then the runner's record is the only one."""
    async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("a")
        b.store.full = True
        b.runner.finish("a", 3)
        await b.until(lambda: live.machine.finished and b.engine.store_error)
        assert b.runner.forgotten == []
        b.store.full = False
        await b.end(live)
        assert b.runner.forgotten == list(b.runner.runs)
        assert await b.stored_phase(live) is Phase.FAILED


async def test_a_start_that_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    """It never reaches the runner; what happened is saved as soon as there is room."""
    async with bench(tmp_path, catalog("a", "b: a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("b")
        b.store.full = True
        b.runner.finish("a")
        await b.until(lambda: live.machine.finished)
        assert b.runner.labels() == ["a"]
        assert b.message(live, "b") == "could not start: cannot write the state: no room; make some"
        with pytest.raises(StoreFull):
            await b.engine.settled()
        with pytest.raises(StoreFull):
            await b.engine.fire(b.tasks, ["a"], Origin())
        b.store.full = False
        await b.end(live)
        assert await b.stored_phase(live) is Phase.FAILED
        assert b.engine.store_error is None


async def test_a_status_that_somebody_else_changed_is_not_written_over(tmp_path: Path) -> None:
    """It starts nothing more, and holds up no other execution."""
    async with bench(tmp_path, catalog("a", "b: a", "c"), {"a": HOLDS}) as b:
        (live,) = await b.begin("b")
        kept = b.store._kept[live.record.id]
        kept.newest = live.machine.change(b.engine._driver.now())
        live.machine.version = 1
        b.runner.finish("a")
        await b.until(lambda: live.machine.finished)
        assert "b" not in b.runner.labels()
        (other,) = await b.run("c")
        assert await b.stored_phase(other) is Phase.SUCCEEDED


async def test_a_status_that_was_removed_holds_up_no_start_of_the_same_bunch(tmp_path: Path) -> None:
    """As one of an environment that was deleted in between."""
    async with bench(tmp_path, catalog("a", "c"), {"a": HOLDS}) as b:
        (gone,) = await b.begin("a")
        (other,) = await b.engine.fire(b.tasks, ["c"], Origin())
        del b.store._kept[gone.record.id]
        b.engine.stop([gone], "somebody")
        b.engine.begin([other])
        await b.end(other)
        assert await b.stored_phase(other) is Phase.SUCCEEDED


async def test_ended_executions_are_dropped_from_memory(tmp_path: Path) -> None:
    """A daemon lives long."""
    async with bench(tmp_path, catalog("a")) as b:
        (live,) = await b.run("a")
        assert b.engine.lives == []
        assert b.engine.live(live.record.id) is None
        assert b.engine._registry.runs == {}


async def test_reminders_of_ended_executions_are_dropped_from_memory(tmp_path: Path) -> None:
    """A day's timeout must not hold a second's execution for a day."""
    names = [f"t{number}" for number in range(200)]
    timeouts = {name: {"timeout": "P1D"} for name in names}
    tasks = catalog(*names, f"all!: {' '.join(names)}", **timeouts)
    async with bench(tmp_path, tasks, {"t0": HOLDS}, Limits(max_parallel=500)) as b:
        (live,) = await b.begin("all")
        b.runner.finish("t0")
        await b.end(live)
        assert len(b.engine._driver._reminders) < 64


async def test_a_failure_names_the_step_and_later_groups_never_start(tmp_path: Path) -> None:
    """Siblings finish."""
    async with bench(tmp_path, catalog("a", "b", "c: a b"), {"a": Outcome(code=3)}) as b:
        (live,) = await b.run("c")
        assert b.phases(live) == {"a": "FAILED", "b": "SUCCEEDED"}
        assert live.machine.first_failure == "step a failed: exit code 3"


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome(refused="no such directory: /x"), "could not start: no such directory: /x"),
        (Outcome(signal=9), "signal SIGKILL"),
    ],
)
async def test_a_step_says_why_it_failed(tmp_path: Path, outcome: Outcome, cause: str) -> None:
    """As the runner reports it."""
    async with bench(tmp_path, catalog("a"), {"a": outcome}) as b:
        (live,) = await b.run("a")
        assert b.message(live, "a") == cause


async def test_a_runner_that_cannot_be_reached_refuses_starts(tmp_path: Path) -> None:
    """And the engine lives on."""
    async with bench(tmp_path, catalog("a")) as b:
        b.runner.lost = True
        (live,) = await b.run("a")
        assert b.message(live, "a") == "could not start: cannot reach the supervisor: a test took it away"
        b.runner.lost = False
        (live,) = await b.run("a")
        assert b.phases(live) == {"a": "SUCCEEDED"}


async def test_a_lost_run_fails_with_its_reason(tmp_path: Path) -> None:
    """Nobody can say how it ends."""
    async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("a")
        b.runner.lose("a", "exit status unknown")
        await b.end(live)
        assert b.message(live, "a") == "exit status unknown"


async def test_a_log_folder_that_cannot_be_made_fails_the_step(tmp_path: Path) -> None:
    """Here a file is in its place."""
    async with bench(tmp_path, catalog("a")) as b:
        lives = await b.engine.fire(b.tasks, ["a"], Origin())
        (tmp_path / lives[0].record.id).write_text("in the way")
        b.engine.begin(lives)
        await b.end(*lives)
        assert b.message(lives[0], "a") == "could not start: cannot make the folder of its log: File exists"


async def test_retries_wait_for_their_pause(tmp_path: Path) -> None:
    """By the boot clock, which setting the wall clock does not move."""
    tasks = catalog("a", a={"retries": {"limit": 1, "backoff": "PT2S"}})
    async with bench(tmp_path, tasks, {"a": Outcome(code=1, output={"K": "v"})}) as b:
        (live,) = await b.begin("a")
        await b.until(lambda: live.machine.steps[next(iter(live.steps))].state.value == "retrying")
        b.clock.set_wall(b.clock.wall() + 3_600_000_000)
        await b.engine.settled()
        assert len(b.runner.runs) == 1
        b.runner.outcomes["a"] = Outcome()
        b.clock.advance(2)
        await b.end(live)
        assert [run_id.partition(".")[2] for run_id in b.runner.runs] == ["1", "2"]
        assert b.phases(live) == {"a": "SUCCEEDED"}
        assert live.machine.status().steps[0].output == {}


async def test_a_timeout_ends_an_attempt(tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL at the limit, then it is empty."""
    tasks = catalog("a", a={"timeout": "PT5S"})
    async with bench(tmp_path, tasks, {"a": Outcome(holds=True, ignores_term=True)}) as b:
        (live,) = await b.begin("a")
        await b.until(lambda: b.phases(live) == {"a": "RUNNING"})
        b.clock.advance(5)
        await b.until(lambda: b.runner.run_of("a").signals == [15])
        b.clock.advance(10)
        await b.end(live)
        assert b.message(live, "a") == "timed out after 5 s"


async def test_outputs_reach_the_steps_that_depend_on_them(tmp_path: Path) -> None:
    """Under the name that the semantics give; a value set by the API counts as well."""
    outcomes = {"my-build": Outcome(holds=True, output={"image": "x:1"})}
    async with bench(tmp_path, catalog("my-build", "push: my-build"), outcomes) as b:
        (live,) = await b.begin("push")
        step_id = next(iter(live.steps))
        await b.until(lambda: b.phases(live) == {"my-build": "RUNNING"})
        b.engine.record_output(live, step_id, {"tag.name": "v1"})
        b.runner.finish("my-build")
        await b.end(live)
        seen = b.runner.run_of("push").request.environment
        assert seen["PHASED_OUTPUT_MY_BUILD_IMAGE"] == "x:1"
        assert seen["PHASED_OUTPUT_MY_BUILD_TAG_NAME"] == "v1"


async def test_an_output_that_another_would_hide_is_refused(tmp_path: Path) -> None:
    """The second one; so are those that are too long, or come too late."""
    async with bench(tmp_path, catalog("a-b", "a_b", "c: a-b a_b"), {"a-b": HOLDS, "a_b": HOLDS}) as b:
        (live,) = await b.begin("c")
        first, second = (step.id for step in live.machine.steps.values() if step.label != "c")
        b.engine.record_output(live, first, {"k": "1"})
        await b.engine.settled()
        with pytest.raises(OutputRefused, match="PHASED_OUTPUT_A_B_K with k of a-b"):
            b.engine.record_output(live, second, {"K": "2"})
        with pytest.raises(OutputRefused, match="4097 characters"):
            b.engine.record_output(live, second, {"other": "x" * 4097})
        b.runner.run_of("a_b").outcome = Outcome(holds=True, output={"K": "2", "z": "3"})
        b.runner.finish("a_b")
        b.runner.finish("a-b")
        await b.end(live)
        assert live.machine.steps[second].output == {"z": "3"}
        with pytest.raises(NotFound):
            b.engine.record_output(live, second, {"late": "1"})


async def test_what_cannot_be_planned_or_run_starts_nothing(tmp_path: Path) -> None:
    """Nothing of it is stored."""
    tasks = catalog("a", "x: y", "y: x", "d", d={"runs_on": {"docker": {"image": "i"}}})
    async with bench(tmp_path, tasks) as b:
        for reference, error in (("nope", UnknownReference), ("x", CycleFound), ("d", Unsupported)):
            with pytest.raises(error):
                await b.engine.fire(b.tasks, ["a", reference], Origin())
        assert await b.store.list() == []


async def test_a_missing_secret_fails_the_step_before_its_command_runs(tmp_path: Path) -> None:
    """With the secret's name and id."""
    tasks = catalog("a", a={"env": [{"name": "TOKEN", "secret": "deploy"}]})
    async with bench(tmp_path, tasks) as b:
        (live,) = await b.run("a")
        (secret,) = live.record.secrets
        assert b.message(live, "a") == f"the secret deploy ({secret}) is missing"
        assert b.runner.runs == {}


async def test_a_new_execution_is_told_to_those_who_listen(tmp_path: Path) -> None:
    """Its first status, then the changes, coalesced for who is slow."""
    names = [f"t{number}" for number in range(20)]
    tasks = catalog(*(f"{name}: {' '.join(names[:at][-1:])}" for at, name in enumerate(names)))
    async with bench(tmp_path, tasks) as b:
        with b.engine.feed.subscribe() as slow:
            (live,) = await b.run("t19")
            (change,) = await slow.get()
        assert (change.execution_id, change.expected_version, change.phase) == (
            live.record.id, 0, Phase.SUCCEEDED,
        )  # fmt: skip
        assert {step.id for step in change.steps} == set(live.steps)
        assert change.version == live.machine.version


async def test_what_a_full_disk_refused_is_saved_by_itself_later(tmp_path: Path) -> None:
    """Nobody has to ask for it."""
    async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("a")
        b.store.full = True
        b.runner.finish("a")
        await b.until(lambda: b.engine.store_error)
        b.store.full = False
        await b.until(lambda: b.engine.store_error is None)
        assert await b.stored_phase(live) is Phase.SUCCEEDED


async def test_versions_grow_when_the_wall_clock_is_set_back(tmp_path: Path) -> None:
    """By an hour, in the middle."""
    async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
        (live,) = await b.begin("a")
        b.clock.set_wall(b.clock.wall() - 3_600_000_000)
        b.runner.finish("a")
        await b.end(live)
        versions = [change.version for change in b.store.saved]
        assert versions == sorted(set(versions))


async def test_an_error_of_the_body_leaves_the_engine_as_it_is(tmp_path: Path) -> None:
    """Not in a group of one: those who catch it would miss it."""

    async def fail() -> None:
        async with bench(tmp_path, catalog("a"), {"a": HOLDS}) as b:
            await b.begin("a")
            raise NotFound("cannot find it")

    with pytest.raises(NotFound):
        await fail()
