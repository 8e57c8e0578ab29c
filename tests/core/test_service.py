"""The service machine: what it starts, how it ends, what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from phased.contract.definitions import Restart, ServiceDefinition
from phased.contract.service import ServicePhase as Phase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.service_phases import ServiceState as S
from phased.core.service_policy import ServiceLimits, ServicePolicy
from phased.core.service_status import command_run, ready_run, stop_run
from tests.core.build import at
from tests.core.build_service import (
    FULL,
    HALTED,
    NEEDY,
    PLAIN,
    PROBED,
    RESTARTED,
    brought_to,
    drive,
    occurrence,
    phase_of,
    service,
    session,
    start,
)  # fmt: skip


def test_without_ready_it_runs_as_soon_as_its_command_does() -> None:
    """STARTING until then."""
    m = service()
    assert m.handle(start(), at(0)) == [i.StartCommand(command_run(session(1), 1))]
    assert phase_of(m) is Phase.STARTING
    assert drive(m, "started") == []
    assert phase_of(m) is Phase.RUNNING


def test_the_first_ready_try_is_immediate_and_the_next_a_second_after_it_ended() -> None:
    """However long it took."""
    m = service(PROBED)
    m.handle(start(), at(0))
    first = m.handle(occurrence("started", m), at(1))
    assert first == [i.StartReady(ready_run(session(1), 1)), i.RemindOfReadiness(at(31).boot)]
    assert m.handle(occurrence("unready", m), at(20)) == [i.RemindOfReady(at(21).boot)]
    assert phase_of(m) is Phase.STARTING
    assert m.handle(occurrence("ready due", m), at(21)) == [i.StartReady(ready_run(session(1), 2))]
    assert m.handle(occurrence("ready", m), at(22)) == []
    assert phase_of(m) is Phase.RUNNING


def test_a_ready_command_that_cannot_run_says_why_until_it_can() -> None:
    """As its failure message, though it is still starting."""
    m = service(PROBED)
    drive(m, "start", "started")
    m.handle(e.ReadyFailed(m.progress.ready_run, code=127), at(2))
    not_found = "the ready command cannot run: exit code 127: the command was not found"
    assert (phase_of(m), m.progress.cause) == (Phase.STARTING, not_found)
    drive(m, "ready due")
    m.handle(e.ReadyRefused(m.progress.ready_run, "could not start: no such directory: /x"), at(3))
    assert m.progress.cause == "the ready command cannot run: could not start: no such directory: /x"
    drive(m, "ready due", "ready")
    assert phase_of(m) is Phase.RUNNING
    assert not m.change(at(9)).progress.cause


def test_not_ready_in_time_ends_it_as_failed() -> None:
    """Its processes first; the cause is the timeout, not the signal that enforced it."""
    m = service(PROBED)
    m.handle(start(1), at(0))
    drive(m, "started", "unready", "ready due")
    assert m.handle(occurrence("expired", m), at(30)) == [
        i.KillRun(m.progress.ready_run), i.AskToEnd(session(1)), i.RemindOfLimit(at(150).boot),
    ]  # fmt: skip
    assert phase_of(m) is Phase.STOPPING
    drive(m, "exit 1", "empty")
    cause = "not ready within 30 s; the last try of the ready command: exit code 1"
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, cause)


def test_not_ready_in_time_counts_as_a_failure_for_restarts() -> None:
    """Once it is empty."""
    m = service(replace(PROBED, restart="on-failure"))
    drive(m, "start", "started", "expired", "exit 1", "empty")
    assert m.progress.state is S.BACKING_OFF


@pytest.mark.parametrize(
    ("ending", "phase", "cause"),
    [
        ("exit 0", Phase.STOPPED, None),
        ("exit 1", Phase.FAILED, "exit code 1"),
        ("lost", Phase.FAILED, "the engine was lost"),
    ],
)
@pytest.mark.parametrize(
    "way", [("start", "started"), ("start", "started", "unready"), ("start", "started", "ready")]
)
def test_an_end_of_its_own_is_its_end_at_once(
    way: tuple[str, ...], ending: str, phase: Phase, cause: str | None
) -> None:
    """Whether it was ready or not; a try that is under way is of no use any more."""
    m = service(PROBED)
    drive(m, *way)
    kills = [i.KillRun(m.progress.ready_run)] if m.progress.state is S.PROBING else []
    assert drive(m, ending) == kills
    assert (phase_of(m), m.progress.cause) == (phase, cause)


def test_a_command_that_cannot_start_fails() -> None:
    """And says why."""
    m = service()
    drive(m, "start", "refused")
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, "could not start: no such directory: /x")


@pytest.mark.parametrize("ending", ["exit 0", "exit 1", "lost"])
def test_a_stop_that_was_asked_for_ends_stopped_whatever_ends_the_command(ending: str) -> None:
    """SIGTERM, then empty."""
    m = service()
    drive(m, "start", "started")
    asked = m.handle(e.StopRequested("somebody"), at(5))
    assert asked == [i.AskToEnd(m.progress.session), i.RemindOfLimit(at(125).boot)]
    assert phase_of(m) is Phase.STOPPING
    assert drive(m, ending) == [i.AwaitEmpty(m.progress.session)]
    assert phase_of(m) is Phase.STOPPING
    drive(m, "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.STOPPED, None)


def test_after_the_limit_it_is_killed_and_stopped() -> None:
    """Beside the status it says so."""
    m = service()
    drive(m, "start", "started", "stop")
    killed = m.handle(occurrence("limit", m), at(122))
    assert killed == [i.KillSession(m.progress.session), i.RemindOfLimit(at(132).boot)]
    drive(m, "exit 1", "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.STOPPED, None)
    assert (
        m.progress.why
        == "stopped by somebody at 2023-11-14T22:13:22Z; it did not stop within 120 s and was killed"
    )


def test_what_even_sigkill_does_not_end_is_a_failure() -> None:
    """The wait has an end."""
    m = service()
    drive(m, "start", "started", "stop", "limit", "exit 1", "limit")
    assert phase_of(m) is Phase.FAILED
    assert m.progress.cause == "processes of it are left that SIGKILL does not end"


@pytest.mark.parametrize("ended", [(), ("exit 1",)], ids=["its leader", "the rest"])
def test_what_sigkill_did_not_end_is_named(ended: tuple[str, ...]) -> None:
    """By who looked."""
    m = service()
    drive(m, "start", "started", "stop", "limit", *ended)
    m.handle(e.LimitReached(m.progress.limit_at or 0.0, "process 7 outlived SIGKILL"), at(500))
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, "process 7 outlived SIGKILL")


def test_what_sigkill_did_not_end_hides_no_other_failure() -> None:
    """Both are told."""
    m = service(HALTED)
    drive(m, "start", "started", "stop", "halt failed")
    m.handle(e.LimitReached(m.progress.limit_at or 0.0, "process 7 outlived SIGKILL"), at(500))
    assert m.progress.cause == "the stop command failed: exit code 3; process 7 outlived SIGKILL"


def test_a_stop_command_runs_instead_of_the_signal() -> None:
    """When it has ended, what is left is killed."""
    m = service(HALTED)
    drive(m, "start", "started")
    asked = m.handle(e.StopRequested("somebody"), at(5))
    assert asked == [i.StartStop(stop_run(m.progress.session, 1)), i.RemindOfLimit(at(125).boot)]
    assert m.handle(occurrence("halted", m), at(6))[0] == i.KillSession(m.progress.session)
    drive(m, "exit 1", "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.STOPPED, None)


def test_a_leader_that_ends_while_the_stop_command_runs_waits_for_it() -> None:
    """Its result counts."""
    m = service(HALTED)
    drive(m, "start", "started", "stop", "exit 0")
    assert phase_of(m) is Phase.STOPPING
    done = drive(m, "halt failed")
    assert [type(one) for one in done] == [i.KillSession, i.AwaitEmpty, i.RemindOfLimit]
    drive(m, "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, "the stop command failed: exit code 3")


@pytest.mark.parametrize("way", [("limit", "exit 1", "empty"), ("exit 1", "limit", "empty")])
def test_a_stop_command_that_takes_too_long_is_killed_with_the_service(way: tuple[str, ...]) -> None:
    """FAILED."""
    m = service(HALTED)
    drive(m, "start", "started", "stop", *way)
    cause = "the stop command did not end within 120 s and was killed"
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, cause)


def test_a_stop_before_it_runs_takes_effect_once_it_does() -> None:
    """There was nobody to signal before."""
    m = service()
    m.handle(start(), at(0))
    assert m.handle(e.StopRequested("somebody"), at(1)) == [i.RemindOfLimit(at(121).boot)]
    assert phase_of(m) is Phase.STOPPING
    assert drive(m, "started")[0] == i.AskToEnd(m.progress.session)


def test_a_start_that_is_never_reported_is_not_awaited_for_ever() -> None:
    """If it still comes to run, it is killed."""
    m = service()
    drive(m, "start", "stop", "limit")
    assert drive(m, "limit") == [i.EndLeftovers(m.progress.session, 0.0)]
    cause = "it was being started, and whether it runs was not reported"
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, cause)


def test_a_stop_of_what_cannot_start_is_stopped() -> None:
    """Nothing ran, and that is what was wanted."""
    m = service()
    drive(m, "start", "stop", "refused", "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.STOPPED, None)


def test_a_stop_while_waiting_for_ready_ends_the_try_too() -> None:
    """It is of no use any more."""
    m = service(PROBED)
    drive(m, "start", "started")
    assert drive(m, "stop")[:2] == [i.KillRun(m.progress.ready_run), i.AskToEnd(m.progress.session)]


def test_a_stop_while_a_restart_waits_ends_what_was_left() -> None:
    """And there is no restart."""
    m = service(RESTARTED)
    drive(m, "start", "started", "exit 1")
    due = occurrence("restart due", m)
    drive(m, "stop", "empty")
    assert (phase_of(m), m.progress.cause) == (Phase.STOPPED, None)
    assert m.handle(due, at(100)) == []


def test_starting_what_runs_changes_nothing() -> None:
    """Not even the session."""
    m = service()
    drive(m, "start", "started")
    before = m.progress
    assert m.handle(start(7), at(5)) == []
    assert m.progress is before


def test_stopping_what_has_ended_ends_what_it_left_behind() -> None:
    """Its phase stays, and a service that was never started has nothing to end."""
    m = service()
    assert drive(m, "stop") == []
    assert phase_of(m) is Phase.STOPPED
    drive(m, "start", "started", "exit 1")
    assert drive(m, "stop") == [i.EndLeftovers(m.progress.session, 10.0)]
    assert (phase_of(m), m.progress.cause, m.progress.desired) == (Phase.FAILED, "exit code 1", Phase.STOPPED)


def test_a_new_start_is_a_new_session_and_clears_what_the_last_left_behind() -> None:
    """A server that outlived its shell would hold the port."""
    m = service()
    m.handle(start(1), at(0))
    drive(m, "started", "exit 0")
    asked = m.handle(start(2), at(5))
    assert asked == [i.AskToEnd(session(1)), i.AwaitEmpty(session(1)), i.RemindOfLimit(at(15).boot)]
    assert (phase_of(m), m.progress.session) == (Phase.STARTING, session(2))
    assert drive(m, "empty") == [i.StartCommand(command_run(session(2), 1))]


def test_leftovers_that_do_not_end_are_killed_before_a_start() -> None:
    """And if not even that works, the start fails."""
    m = service()
    drive(m, "start", "started", "exit 0", "start")
    assert drive(m, "limit")[0] == i.KillSession(m.progress.emptying)
    drive(m, "limit")
    assert (phase_of(m), m.progress.cause) == (
        Phase.FAILED,
        "processes of it are left that SIGKILL does not end",
    )


def test_a_start_while_it_stops_starts_it_again() -> None:
    """That is a restart: the new session shows once the old one is over."""
    m = service()
    m.handle(start(1), at(0))
    drive(m, "started", "stop")
    assert m.handle(start(2), at(3)) == []
    assert (m.progress.session, m.progress.wanted_session) == (session(1), session(2))
    assert m.progress.desired is Phase.RUNNING
    drive(m, "exit 0")
    cleared = drive(m, "empty")
    assert cleared[0] == i.AskToEnd(session(1))
    assert (phase_of(m), m.progress.session) == (Phase.STARTING, session(2))


def test_a_stop_after_that_start_takes_it_back() -> None:
    """The last word counts."""
    m = service()
    drive(m, "start", "started", "stop", "start", "stop", "exit 0", "empty")
    assert (phase_of(m), m.progress.desired) == (Phase.STOPPED, Phase.STOPPED)


@pytest.mark.parametrize(("restart", "ending", "again"), [
    ("never", "exit 1", False), ("never", "exit 0", False),
    ("on-failure", "exit 1", True), ("on-failure", "exit 0", False), ("on-failure", "refused", True),
    ("always", "exit 0", True), ("always", "lost", True),
])  # fmt: skip
def test_restarts_follow_the_policy(restart: str, ending: str, again: bool) -> None:
    """A requested stop is never followed by one: that is tested above."""
    m = service(ServicePolicy(restart=restart))  # type: ignore[arg-type]
    drive(m, "start", *(() if ending == "refused" else ("started",)), ending)
    assert (m.progress.state is S.BACKING_OFF) is again


def test_restarts_wait_doubling_until_their_limit() -> None:
    """In one session, each with a run of its own."""
    m = service(RESTARTED)
    m.handle(start(), at(0))
    for attempt, pause in ((1, 1), (2, 2)):
        drive(m, "started")
        assert m.handle(occurrence("exit 1", m), at(10)) == [i.RemindOfRestart(at(10 + pause).boot)]
        assert (phase_of(m), m.progress.cause) == (Phase.STARTING, "exit code 1")
        drive(m, "restart due")
        assert drive(m, "empty") == [i.StartCommand(command_run(session(1), attempt + 1))]
    drive(m, "started", "exit 0")
    cause = "the limit of restarts was reached (2): exit code 0"
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, cause)


def test_a_good_while_in_service_forgives_earlier_restarts() -> None:
    """The count and the pause begin anew."""
    m = service(RESTARTED)
    drive(m, "start", "started", "exit 1", "restart due", "empty", "started")
    since = m.progress.ready_since
    assert since is not None
    m.handle(occurrence("exit 1", m), at(since - at(0).boot + 60))
    assert m.progress.restarts == 1


def test_a_start_while_a_restart_waits_does_not_wait() -> None:
    """Somebody wants it now: a new session, with all restarts before it."""
    m = service(RESTARTED)
    drive(m, "start", "started", "exit 1", "start")
    assert m.progress.state is S.CLEARING
    assert m.progress.restarts == 0


def test_what_it_needs_comes_first() -> None:
    """Unless who asks has seen to it."""
    m = service(NEEDY)
    assert m.handle(start(1), at(0)) == [i.AskForNeeds(session(1))]
    assert phase_of(m) is Phase.STARTING
    assert drive(m, "met") == [i.StartCommand(command_run(session(1), 1))]
    m = service(NEEDY)
    assert m.handle(start(1, needs_met=True), at(0)) == [i.StartCommand(command_run(session(1), 1))]


def test_a_need_that_fails_is_the_cause() -> None:
    """It names which."""
    m = service(NEEDY)
    drive(m, "start", "unmet")
    assert (phase_of(m), m.progress.cause) == (Phase.FAILED, "task seed failed: exit code 1")


def test_what_earlier_runs_left_behind_ends_before_its_needs_are_asked_for() -> None:
    """Else a need that fails would leave it forgotten."""
    m = service(NEEDY)
    drive(m, "start", "met", "started", "exit 0", "start")
    assert m.progress.state is S.CLEARING
    assert drive(m, "empty") == [i.AskForNeeds(m.progress.session)]
    assert drive(m, "met") == [i.StartCommand(m.progress.command_run)]


def test_a_stop_while_it_needs_releases_them() -> None:
    """Nothing of its own runs."""
    m = service(NEEDY)
    assert drive(m, "start", "stop") == [i.ReleaseNeeds(m.progress.session)]
    assert phase_of(m) is Phase.STOPPED


def test_a_restart_does_not_run_again_what_it_needs() -> None:
    """A one-shot that is done stays done."""
    m = service(replace(RESTARTED, has_needs=True))
    drive(m, "start", "met", "started", "exit 1")
    assert [type(one) for one in drive(m, "restart due")] == [i.AskToEnd, i.AwaitEmpty, i.RemindOfLimit]


def test_deleting_stops_first() -> None:
    """Then it is no more."""
    m = service()
    drive(m, "start", "started", "delete", "exit 1")
    assert phase_of(m) is Phase.STOPPING
    assert drive(m, "empty")[-1] == i.Remove()
    assert phase_of(m) is Phase.DELETED
    assert drive(m, "start", "stop", "delete", "force") == []


def test_force_deletes_at_once() -> None:
    """What still lives of it is killed unattended."""
    m = service(FULL)
    drive(m, "start", "met", "started")
    assert drive(m, "force") == [i.EndLeftovers(m.progress.session, 0.0), i.Remove()]
    assert phase_of(m) is Phase.DELETED


def test_a_changed_definition_counts_from_the_next_start() -> None:
    """Until then it is marked."""
    m = service()
    drive(m, "start", "started")
    m.handle(e.DefinitionChanged(HALTED, differs=True), at(3))
    assert m.progress.outdated
    assert drive(m, "stop")[0] == i.AskToEnd(m.progress.session)
    drive(m, "exit 0", "empty", "start", "empty", "started")
    assert not m.progress.outdated
    assert isinstance(drive(m, "stop")[0], i.StartStop)


def test_a_definition_that_changes_back_is_not_outdated() -> None:
    """What runs is what is defined."""
    m = service()
    drive(m, "start", "started", "define")
    m.handle(e.DefinitionChanged(PLAIN, differs=False), at(3))
    assert not m.progress.outdated


def test_a_second_request_kills_at_once() -> None:
    """Somebody will not wait."""
    m = service()
    drive(m, "start", "started", "stop")
    assert drive(m, "kill")[0] == i.KillSession(m.progress.session)
    drive(m, "exit 1", "empty")
    assert phase_of(m) is Phase.STOPPED


def test_outputs_are_kept_and_an_empty_value_removes() -> None:
    """For this session."""
    m = service()
    drive(m, "start", "started", "output")
    m.handle(e.OutputRecorded({"HOST": "::1"}), at(2))
    m.handle(e.OutputRecorded({"PORT": ""}), at(2))
    assert m.progress.output == {"HOST": "::1"}


def test_what_comes_late_is_no_error_and_changes_nothing() -> None:
    """Of an earlier run, of a deadline that does not count any more."""
    m = service(RESTARTED)
    drive(m, "start", "started")
    old = m.progress.command_run
    drive(m, "exit 1", "restart due", "empty", "started")
    before = m.progress
    for event in (
        e.CommandFailed(old, code=1),
        e.LimitReached(1.0),
        e.RestartDue(1.0),
        e.Emptied(before.session),
    ):
        assert m.handle(event, at(9)) == []
    assert m.progress is before


def test_versions_grow() -> None:
    """Each is made from the one before."""
    m = service()
    first = m.change(at(0))
    drive(m, "start")
    second = m.change(at(0))
    assert first.expected_version == 0
    assert second.expected_version == first.version < second.version


def test_a_policy_says_what_the_definition_says() -> None:
    """Blank commands are none."""
    definition = ServiceDefinition(
        reference="db", name="db", start="run", ready="  ", stop="halt", depends_on=("seed",),
        readiness_timeout=timedelta(minutes=1),
        restart=Restart(policy="on-failure", backoff=timedelta(seconds=3), limit=5),
    )  # fmt: skip
    assert ServicePolicy.from_definition(definition, ServiceLimits()) == ServicePolicy(
        has_ready=False, has_stop=True, has_needs=True, readiness_timeout=60.0, restart="on-failure",
        backoff=3.0, restart_limit=5,
    )  # fmt: skip


def test_the_pause_before_a_restart_is_bounded() -> None:
    """By five minutes."""
    assert ServicePolicy(backoff=2.0).pause(40) == 300.0


def test_a_deletion_that_cannot_end_everything_still_deletes() -> None:
    """The wait has an end."""
    m = brought_to(S.EMPTYING)
    drive(m, "delete", "limit", "limit")
    assert phase_of(m) is Phase.DELETED
