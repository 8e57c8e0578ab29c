"""Services as real processes: readiness, stopping, restarting, and what other tools got wrong there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from phased.contract.service import ServicePhase as Phase
from phased.core.service_policy import ServiceLimits
from phased.core.service_status import command_run
from tests.engine.services.bench import LIMITS, bench, service, until

pytestmark = pytest.mark.anyio

FOREVER = "echo up; exec sleep 1000"
SHORT = ServiceLimits(
    stop_timeout=0.3, stop_command_timeout=0.3, clear_timeout=0.3, kill_timeout=60.0, ready_interval=0.05
)


async def test_without_ready_it_is_running_as_soon_as_its_command_is() -> None:
    """And STOPPED once it was stopped, with no process left."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER))
        assert await b.start(db) is None
        await until(lambda: "up" in b.log(db), "its output")
        assert len(await b.pids(db)) == 1
        assert await b.stop(db) is Phase.STOPPED
        assert await b.pids(db) == []
        assert db.progress.cause is None


async def test_ready_is_tried_until_it_succeeds_and_its_output_is_kept_apart() -> None:
    """STARTING until then; the service's own log holds the service alone."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER, ready="echo try; test -e ready"))
        b.engine.services.start(db, "a test")
        await until(lambda: b.ready_log(db).count("try") >= 3, "three tries")
        assert db.phase is Phase.STARTING
        (b.workspace / "ready").touch()
        await b.reach(db, Phase.RUNNING)
        assert "try" not in b.log(db)


async def test_a_ready_command_that_loops_is_one_try() -> None:
    """It is never cut short by another."""
    async with bench() as b:
        loop = "echo begun; until test -e ready; do sleep 0.02; done"
        (db,) = await b.define(service("db", FOREVER, ready=loop))
        b.engine.services.start(db, "a test")
        await until(lambda: "begun" in b.ready_log(db), "the try")
        await until(lambda: len(b.log(db)) > 0, "the service")
        (b.workspace / "ready").touch()
        progress = await b.reach(db, Phase.RUNNING)
        assert (progress.tries, b.ready_log(db)) == (1, "begun\n")


async def test_a_probe_that_can_never_succeed_says_why_and_ends_at_its_timeout() -> None:
    """The command was not found: that is its failure message while it starts, and part of the last."""
    async with bench() as b:
        (db,) = await b.define(
            service("db", FOREVER, ready="no-such-command-here", readiness_timeout=timedelta(seconds=1))
        )
        cause = await b.start(db)
        assert cause is not None
        assert "not ready within 1 s" in cause
        assert "exit code 127: the command was not found" in cause
        assert db.phase is Phase.FAILED
        assert await b.pids(db) == []


async def test_a_probe_that_hangs_is_ended_with_the_service() -> None:
    """Nothing of it is left."""
    async with bench() as b:
        (db,) = await b.define(
            service("db", FOREVER, ready="sleep 1000", readiness_timeout=timedelta(seconds=0.3))
        )
        assert await b.start(db) == "service db failed: not ready within 0.3 s"
        assert await b.runner.processes(db.progress.ready_run) == []


@pytest.mark.parametrize(
    ("ending", "phase", "cause"),
    [
        ("exit 0", Phase.STOPPED, None),
        ("exit 3", Phase.FAILED, "exit code 3"),
        ("kill -9 $$", Phase.FAILED, "signal SIGKILL"),
    ],
)
async def test_an_end_of_its_own_is_told_at_once(ending: str, phase: Phase, cause: str | None) -> None:
    """A service that was ready is not shown as RUNNING when it is gone."""
    async with bench() as b:
        script = f"until test -e go; do sleep 0.02; done; {ending}"
        (db,) = await b.define(service("db", script, ready="true"))
        assert await b.start(db) is None
        (b.workspace / "go").touch()
        progress = await b.reach(db, phase)
        assert progress.cause == cause


async def test_a_service_that_ends_while_a_try_hangs_does_not_wait_for_it() -> None:
    """And the try is ended."""
    async with bench() as b:
        (db,) = await b.define(
            service("db", "until test -e go; do sleep 0.02; done; exit 3", ready="sleep 1000")
        )
        b.engine.services.start(db, "a test")
        await until(lambda: db.progress.tries == 1, "the try")
        (b.workspace / "go").touch()
        progress = await b.reach(db, Phase.FAILED)
        assert progress.cause == "exit code 3"

        async def try_is_gone() -> bool:
            return await b.runner.processes(progress.ready_run) == []

        await until(try_is_gone, "the end of the try")


async def test_a_command_that_cannot_start_fails_and_says_why() -> None:
    """Its directory is gone."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER))
        b.workspace.rmdir()
        cause = await b.start(db)
        assert cause is not None
        assert cause.startswith("service db failed: could not start: ")


async def test_a_child_that_ignores_the_signal_is_killed_when_the_leader_has_ended() -> None:
    """A requested stop means empty."""
    async with bench(SHORT) as b:
        child = "(trap '' TERM; echo deaf; while :; do sleep 0.05; done) & exec sleep 1000"
        (db,) = await b.define(service("db", child))
        assert await b.start(db) is None
        await until(lambda: "deaf" in b.log(db), "the child")
        assert await b.stop(db) is Phase.STOPPED
        assert await b.pids(db) == []
        assert await b.runner.leftovers() == {}


async def test_a_leader_that_ignores_the_signal_is_killed_and_that_is_told_beside() -> None:
    """STOPPED all the same, as it was asked for."""
    async with bench(SHORT) as b:
        (db,) = await b.define(service("db", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"))
        assert await b.start(db) is None
        await until(lambda: "deaf" in b.log(db), "its trap")
        assert await b.stop(db) is Phase.STOPPED
        assert "did not stop within 0.3 s and was killed" in (db.progress.why or "")


async def test_a_grandchild_in_a_session_of_its_own_holds_nothing_up() -> None:
    """It holds the output open; it ends with the stop."""
    async with bench() as b:
        script = "setsid sh -c 'echo apart; exec sleep 1000' & exec sleep 1000"
        (db,) = await b.define(service("db", script))
        assert await b.start(db) is None
        await until(lambda: "apart" in b.log(db), "the grandchild")
        assert await b.stop(db) is Phase.STOPPED
        assert await b.runner.leftovers() == {}


async def test_a_stop_command_runs_and_what_is_left_is_killed() -> None:
    """Instead of the signal."""
    async with bench() as b:
        script = "trap 'echo signalled; exit 1' TERM; echo up; while :; do sleep 0.05; done"
        (db,) = await b.define(service("db", script, stop="touch halted"))
        assert await b.start(db) is None
        await until(lambda: "up" in b.log(db), "its trap")
        assert await b.stop(db) is Phase.STOPPED
        assert (b.workspace / "halted").exists()
        assert "signalled" not in b.log(db)


async def test_a_stop_command_that_fails_or_hangs_fails_the_service() -> None:
    """It is ended all the same."""
    async with bench(SHORT) as b:
        failing, hanging = await b.define(
            service("failing", FOREVER, stop="exit 7"), service("hanging", FOREVER, stop="sleep 1000")
        )
        for live, cause in (
            (failing, "the stop command failed: exit code 7"),
            (hanging, "the stop command did not end within 0.3 s and was killed"),
        ):
            assert await b.start(live) is None
            assert await b.stop(live) is Phase.FAILED
            assert live.progress.cause == cause
            assert await b.pids(live) == []
        assert await b.runner.processes(hanging.progress.stop_run) == []


async def test_starting_what_runs_does_nothing() -> None:
    """The same process, the same session."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER))
        assert await b.start(db) is None
        before = db.progress.session, await b.pids(db)
        assert await b.start(db) is None
        assert (db.progress.session, await b.pids(db)) == before


async def test_a_restart_while_waiting_for_ready_starts_anew() -> None:
    """A new session; nothing of the old one is left, and its probe does not count."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER, ready="test -e ready"))
        b.engine.services.start(db, "a test")
        await until(lambda: db.progress.tries > 1, "a try")
        old = db.progress
        b.engine.services.restart(db, "a test")
        await until(lambda: db.progress.session != old.session and db.progress.tries > 0, "a new try")
        (b.workspace / "ready").touch()
        await b.reach(db, Phase.RUNNING)
        assert await b.runner.processes(old.command_run) == []
        assert len(await b.pids(db)) == 1


async def test_restarts_end_at_their_limit() -> None:
    """Each attempt is a run of its own in one log."""
    async with bench() as b:
        restart = {"policy": "on-failure", "backoff": timedelta(milliseconds=10), "limit": 2}
        (db,) = await b.define(service("db", "echo again; exit 4", ready="false", restart=restart))
        cause = await b.start(db)
        assert cause == "service db failed: the limit of restarts was reached (2): exit code 4"
        assert b.log(db) == "again\n" * 3
        assert db.progress.attempt == 3


async def test_what_a_daemonising_command_left_behind_ends_before_the_next_start() -> None:
    """Else the second server would find its port in use."""
    async with bench() as b:
        (db,) = await b.define(service("db", "sleep 1000 & echo $! >> pids"))
        await b.start(db)
        await b.reach(db, Phase.STOPPED)
        first = db.progress.session
        assert list(await b.runner.leftovers()) == [command_run(first, 1)]
        b.engine.services.start(db, "a test")
        await until(lambda: db.progress.session != first and db.phase is Phase.STOPPED, "the second")
        assert list(await b.runner.leftovers()) == [command_run(db.progress.session, 1)]
        b.engine.services.stop(db, "a test")

        async def nothing_is_left() -> bool:
            return await b.runner.leftovers() == {}

        await until(nothing_is_left, "the end of what it left behind")
        assert db.phase is Phase.STOPPED


async def test_a_changed_definition_waits_for_the_next_start() -> None:
    """What runs is what it was; that is marked, saved, and over with the next start."""
    async with bench() as b:
        (db,) = await b.define(service("db", "echo one; exec sleep 1000"))
        assert await b.start(db) is None
        await b.define(service("db", "echo two; exec sleep 1000"))
        await until(lambda: db.progress.outdated, "the mark")
        (record,) = await b.store.list_services()
        assert record.status.progress.outdated
        assert (record.definition.start[:8], record.running.start[:8]) == ("echo two", "echo one")
        b.engine.services.restart(db, "a test")
        await until(lambda: b.log(db) == "two\n", "the new one")
        assert not db.progress.outdated


async def test_a_name_alone_outdates_nothing() -> None:
    """The processes would be the same."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER))
        assert await b.start(db) is None
        await b.define(service("db", FOREVER, name="Database"))
        assert await b.start(db) is None
        assert not db.progress.outdated
        assert (await b.store.list_services())[0].definition.name == "Database"


async def test_a_deleted_service_is_stopped_and_forgotten() -> None:
    """And its reference can be used anew."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER))
        assert await b.start(db) is None
        b.engine.services.delete(db, "a test")
        await until(lambda: not b.engine.services.of(b.catalog.environment), "its removal")
        assert await b.store.list_services() == []
        assert await b.pids(db) == []
        (again,) = await b.define(service("db", FOREVER))
        assert await b.start(again) is None


async def test_a_forced_deletion_does_not_wait() -> None:
    """What lives of it is killed unattended."""
    async with bench() as b:
        (db,) = await b.define(service("db", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"))
        assert await b.start(db) is None
        await until(lambda: "deaf" in b.log(db), "its trap")
        b.engine.services.delete(db, "a test", force=True)
        await until(lambda: db.phase is Phase.DELETED, "its end")

        async def nothing_is_left() -> bool:
            return await b.pids(db) == []

        await until(nothing_is_left, "the end of its processes")


async def test_outputs_of_a_service_are_read_when_it_is_ready() -> None:
    """From the file that PHASED_OUTPUT names."""
    async with bench() as b:
        script = 'echo PORT=4711 > "$PHASED_OUTPUT"; exec sleep 1000'
        (db,) = await b.define(service("db", script, ready='test -s "$PHASED_OUTPUT"'))
        assert await b.start(db) is None
        assert db.progress.output == {"PORT": "4711"}


async def test_a_service_has_its_variables() -> None:
    """Those of the definition, and who it is."""
    async with bench() as b:
        entry = {"name": "COLOUR", "value": "blue"}
        script = 'echo "$COLOUR $PHASED_SERVICE $PHASED_SESSION"; exec sleep 1000'
        (db,) = await b.define(service("db", script, env=[entry]))
        assert await b.start(db) is None
        await until(lambda: b.log(db) == f"blue db {db.progress.session}\n", "its output")


async def test_a_missing_secret_fails_before_the_command_runs() -> None:
    """By name."""
    async with bench() as b:
        (db,) = await b.define(service("db", FOREVER, env=[{"name": "PASSWORD", "secret": "DB_PASSWORD"}]))
        cause = await b.start(db)
        assert cause is not None
        assert "the secret DB_PASSWORD (" in cause
        assert b.log(db) == ""


async def test_default_limits_are_those_of_the_semantics() -> None:
    """Two minutes for a stop, a second between tries."""
    defaults = ServiceLimits()
    assert (defaults.stop_timeout, defaults.stop_command_timeout, defaults.ready_interval) == (120, 120, 1)
    assert LIMITS.ready_interval < defaults.ready_interval
