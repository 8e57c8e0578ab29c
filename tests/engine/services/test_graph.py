"""Services and tasks in one graph: steps that need a service, and services that need what comes before."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from phased.contract.service import ServicePhase as Phase
from phased.engine.registry import LiveExecution
from tests.engine.services.bench import (
    FAILED,
    PATIENCE,
    STOPPED,
    SUCCEEDED,
    Bench,
    bench,
    service,
    task,
    until,
)

pytestmark = pytest.mark.anyio

FOREVER = "exec sleep 1000"


def cause(live: LiveExecution) -> str | None:
    """The failure message of an execution."""
    return live.machine.first_failure


async def order(b: Bench) -> list[str]:
    """The lines of the file that commands append to."""
    return (b.workspace / "order").read_text().split()


async def test_a_task_runs_when_the_service_that_it_needs_is_ready() -> None:
    """Not before; the service goes on after it."""
    async with bench() as b:
        db, *_ = await b.define(
            service("db", "sleep 0.2; touch up; exec sleep 1000", ready="test -e up"),
            task("seed", "test -e up && echo seeded > seed", "db"),
        )
        live = await b.run("seed")
        assert live.machine.phase is SUCCEEDED
        assert (b.workspace / "seed").exists()
        assert db.phase is Phase.RUNNING


async def test_a_service_that_runs_is_ready_at_once_and_starts_once() -> None:
    """However many need it, at the same time or later."""
    async with bench() as b:
        (db,) = await b.define(
            service("db", "echo started; exec sleep 1000", ready="true"),
            task("one", "true", "db"),
            task("two", "true", "db"),
        )
        for live in await b.begin("one", "two"):
            with anyio.fail_after(PATIENCE):
                await live.done.wait()
            assert live.machine.phase is SUCCEEDED
        assert (await b.run("one")).machine.phase is SUCCEEDED
        assert b.log(db) == "started\n"


async def test_a_service_that_fails_or_ends_first_fails_the_step() -> None:
    """The step says which and why; later groups never start."""
    async with bench() as b:
        await b.define(
            service("broken", "exit 3", ready="false"),
            service("brief", "exit 0", ready="sleep 1000"),
            service("late", FOREVER, ready="false", readiness_timeout=timedelta(seconds=0.3)),
            task("needs-broken", "touch never", "broken"),
            task("needs-brief", "touch never", "brief"),
            task("needs-late", "touch never", "late"),
        )
        for reference, expected in (
            ("needs-broken", "step broken failed: service broken failed: exit code 3"),
            ("needs-brief", "step brief failed: service brief stopped before it was ready"),
            ("needs-late", "step late failed: service late failed: not ready within 0.3 s"),
        ):
            live = await b.run(reference)
            assert live.machine.phase is FAILED
            assert (cause(live) or "").startswith(expected)
        assert not (b.workspace / "never").exists()


async def test_stopping_an_execution_that_waits_for_a_service_leaves_the_service() -> None:
    """It only lets go; others may need it."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER, ready="test -e ready"), task("seed", "true", "db"))
        (live,) = await b.begin("seed")
        await until(lambda: db.progress.tries > 0, "a try")
        b.engine.stop([live], "a test")
        with anyio.fail_after(PATIENCE):
            await live.done.wait()
        assert live.machine.phase is STOPPED
        (b.workspace / "ready").touch()
        await b.reach(db, Phase.RUNNING)


async def test_a_step_sees_the_outputs_of_its_service() -> None:
    """As of any other step."""
    async with bench() as b:
        await b.define(
            service(
                "db", 'echo PORT=4711 > "$PHASED_OUTPUT"; exec sleep 1000', ready='test -s "$PHASED_OUTPUT"'
            ),
            task("seed", 'echo "$PHASED_OUTPUT_DB_PORT" > port', "db"),
        )
        assert (await b.run("seed")).machine.phase is SUCCEEDED
        assert (b.workspace / "port").read_text() == "4711\n"


async def test_a_service_sees_the_outputs_of_what_it_needs() -> None:
    """In a plan."""
    async with bench() as b:
        (db,) = await b.define(
            task("build", 'echo IMAGE=x1 > "$PHASED_OUTPUT"'),
            service("db", 'echo "$PHASED_OUTPUT_BUILD_IMAGE"; exec sleep 1000', "build"),
            task("seed", "true", "db"),
        )
        assert (await b.run("seed")).machine.phase is SUCCEEDED
        await until(lambda: b.log(db) == "x1\n", "the value")


async def test_starting_a_service_first_runs_and_readies_what_it_needs() -> None:
    """Tasks as executions of their own, services as services; each once."""
    async with bench() as b:
        cache, db, web = await b.define(
            task("init", "echo init >> order"),
            task("seed", "echo seed >> order", "db"),
            service("cache", "echo cache >> order; exec sleep 1000"),
            service("db", "echo db >> order; touch db; exec sleep 1000", "init", ready="test -e db"),
            service("web", "echo web >> order; exec sleep 1000", "seed", "cache", ready="test -s order"),
        )
        assert await b.start(web) is None
        assert (db.phase, cache.phase) == (Phase.RUNNING, Phase.RUNNING)
        lines = await order(b)
        assert sorted(lines) == ["cache", "db", "init", "seed", "web"]
        assert lines.index("init") < lines.index("db") < lines.index("seed") < lines.index("web")
        executions = await b.store.list()
        assert [one.record.reference for one in executions] == ["seed"]


async def test_a_one_shot_that_a_service_needs_runs_once_and_stays_done() -> None:
    """A restart by policy does not run it again; a new start does."""
    async with bench() as b:
        restart = {"policy": "always", "backoff": timedelta(milliseconds=10), "limit": 2}
        (db,) = await b.define(
            task("init", "echo init >> order"),
            service("db", "echo db >> order; exit 1", "init", restart=restart),
        )
        await b.start(db)
        await b.reach(db, Phase.FAILED)
        assert await order(b) == ["init", "db", "db", "db"]


async def test_a_need_that_fails_fails_the_service_by_name() -> None:
    """Its command never runs."""
    async with bench() as b:
        db, web = await b.define(
            task("init", "exit 5"),
            service("db", "touch never; exec sleep 1000", "init"),
            service("web", "touch never; exec sleep 1000", "db"),
        )
        found = await b.start(web)
        failed = "a dependency failed: task init failed: step init failed: exit code 5"
        assert db.progress.cause == failed
        assert found == f"service web failed: a dependency failed: service db failed: {failed}"
        assert not (b.workspace / "never").exists()


async def test_a_stop_while_a_dependency_runs_ends_the_wait_and_the_task() -> None:
    """The service never starts."""
    async with bench() as b:
        (db,) = await b.define(
            task("init", "touch begun; exec sleep 1000"),
            service("db", "touch never; exec sleep 1000", "init"),
        )
        b.engine.services.start(db, "a test")
        await until((b.workspace / "begun").exists, "the task")
        assert await b.stop(db) is Phase.STOPPED
        await until(lambda: not b.engine.lives, "the end of the task")
        assert not (b.workspace / "never").exists()


async def test_a_stop_while_a_dependency_was_skipped_comes_to_an_end() -> None:
    """What it needs never started, since that one's own need failed; another need runs still."""
    async with bench() as b:
        (db,) = await b.define(
            task("broken", "exit 5"),
            task("skipped", "touch never", "broken"),
            task("slow", "touch begun; exec sleep 1000"),
            service("db", "touch never; exec sleep 1000", "skipped", "slow"),
        )
        b.engine.services.start(db, "a test")
        await until((b.workspace / "begun").exists, "the slow one")
        await until(lambda: [one.record.reference for one in b.engine.lives] == ["slow"], "the skipped one")
        assert await b.stop(db) is Phase.STOPPED
        await until(lambda: not b.engine.lives, "the end of the slow one")
        assert not (b.workspace / "never").exists()
        assert db.progress.cause is None


async def test_a_stop_of_the_execution_that_a_service_needs_fails_the_service() -> None:
    """It names the task."""
    async with bench() as b:
        (db,) = await b.define(
            task("init", "touch begun; exec sleep 1000"),
            service("db", "touch never; exec sleep 1000", "init"),
        )
        b.engine.services.start(db, "a test")
        await until((b.workspace / "begun").exists, "the task")
        b.engine.stop(b.engine.lives, "a test")
        await b.reach(db, Phase.FAILED)
        assert db.progress.cause == "a dependency failed: task init was stopped"


async def test_what_a_run_started_it_stops_in_reverse_order() -> None:
    """And nothing else: a service that ran before goes on."""
    async with bench() as b:
        say = "trap 'echo {0} >> order; exit 0' TERM; touch {0}; while :; do sleep 0.02; done"
        before, db, web = await b.define(
            service("before", FOREVER),
            service("db", say.format("db"), ready="test -e db"),
            service("web", say.format("web"), "db", ready="test -e web"),
            task("check", "true", "web", "before"),
        )
        assert await b.start(before) is None
        live = await b.run("check")
        assert (live.machine.phase, web.phase) == (SUCCEEDED, Phase.RUNNING)
        with anyio.fail_after(PATIENCE):
            await b.engine.end_services([live], "the end of the run")
        assert (db.phase, web.phase, before.phase) == (Phase.STOPPED, Phase.STOPPED, Phase.RUNNING)
        assert await order(b) == ["web", "db"]


async def test_a_service_that_another_run_still_uses_is_stopped_by_the_last() -> None:
    """Not under its feet."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER), task("one", "true", "db"), task("two", "true", "db"))
        first, second = await b.run("one"), await b.run("two")
        for over, then in ((first, Phase.RUNNING), (second, Phase.STOPPED)):
            with anyio.fail_after(PATIENCE):
                await b.engine.end_services([over], "the end of the run")
            assert db.phase is then


async def test_a_run_that_comes_while_the_service_is_being_stopped_gets_it_again() -> None:
    """And ends it then; the first does not wait for that."""
    async with bench() as b:
        (db,) = await b.define(
            service(
                "db",
                "trap 'until test -e go; do sleep 0.02; done; exit 0' TERM; while :; do sleep 0.02; done",
            ),
            task("one", "true", "db"),
            task("two", "true", "db"),
        )
        first = await b.run("one")
        session = db.progress.session
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(b.engine.end_services, [first], "the end of the run")
                await until(lambda: db.phase is Phase.STOPPING, "its stop")
                (second,) = await b.begin("two")
                await until(lambda: db.progress.again, "the second's start")
                (b.workspace / "go").touch()
            await second.done.wait()
            assert second.machine.phase is SUCCEEDED
            assert db.progress.session != session
            await b.engine.end_services([second], "the end of the run")
        assert db.phase is Phase.STOPPED


async def test_killing_a_run_kills_the_services_that_it_started() -> None:
    """Somebody will not wait for two minutes."""
    async with bench() as b:
        (db,) = await b.define(
            service("db", "trap '' TERM; touch deaf; while :; do sleep 0.05; done", ready="test -e deaf"),
            task("check", "exec sleep 1000", "db"),
        )
        (live,) = await b.begin("check")
        await b.reach(db, Phase.RUNNING)
        b.engine.stop([live], "a test")
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(b.engine.end_services, [live], "the end of the run")
                await until(lambda: db.phase is Phase.STOPPING, "its stop")
                b.engine.kill([live], "a test")
        assert db.phase is Phase.STOPPED
