"""The daemon as a service of a real systemd: what ends, what goes on, and what systemd is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.systemd.guest import PROGRAM, ROOT, Guest, wait_for

FILE = """\
tasks:
  lasting: {command: "echo $$ > pid.new; mv pid.new pid; while ! test -e go; do sleep 0.1; done"}
  stubborn: {command: "trap '' TERM; echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.1; done"}
  quick: {command: "echo $PHASED_EXECUTION_ID >> ran"}
  hidden: {command: "env -i PATH=$PATH setsid sh -c 'sh hidden.sh &'; sleep 999"}
  twice: {command: 'printf "a-b=1\\na.b=2\\n" > "$PHASED_OUTPUT"'}
  fired: {command: touch fired, triggeredBy: [postMachineStart]}
"""
WORKSPACE = "/srv/work"


@pytest.fixture
def served(guest: Guest) -> Iterator[Guest]:
    """With a workspace of the ordinary user rig, and no step from an earlier test."""
    guest.ok("rm", "-rf", WORKSPACE)
    guest.write(f"{WORKSPACE}/.ona/automations.yaml", FILE)
    guest.ok("chown", "-R", "rig:", WORKSPACE)
    guest.ok(PROGRAM, "install-service", "--now", "-C", WORKSPACE)
    guest.ok(PROGRAM, "-C", WORKSPACE, "update")
    yield guest
    guest.write(f"{WORKSPACE}/go", "")


def start(guest: Guest, task: str) -> tuple[str, int]:
    """A new execution, and the pid of its step."""
    guest.ok("rm", "-f", f"{WORKSPACE}/pid")
    execution = guest.ok(PROGRAM, "-C", WORKSPACE, "task", "start", task, "--dont-wait").strip()
    return execution, int(wait_for(lambda: guest.run("cat", f"{WORKSPACE}/pid").stdout, "the step's pid"))


def phase(guest: Guest, execution: str) -> str:
    """Of an execution, also where no daemon runs."""
    value = guest.value("--state-dir", "/var/lib/phased", "executions", execution)
    return str(value["status"]["phase"]).removeprefix("TASK_EXECUTION_PHASE_")


def lives(guest: Guest, pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    return guest.run("sh", "-c", f"grep -q '^State:.[^Z]' /proc/{pid}/status").returncode == 0


def another(guest: Guest, before: str) -> str:
    """The pid of a main process that is ready and is not the one before."""

    def found() -> str:
        pid = guest.property("MainPID")
        return pid if pid not in {"0", before} and guest.property("SubState") == "running" else ""

    return str(wait_for(found, "another main process"))


def finish(guest: Guest, execution: str) -> None:
    """Let the step that waits end by itself; its true exit status arrives."""
    guest.write(f"{WORKSPACE}/go", "")
    wait_for(lambda: phase(guest, execution) != "RUNNING", "its end")
    assert phase(guest, execution) == "SUCCEEDED"


def test_installed_it_is_ready_and_says_what_runs(served: Guest) -> None:
    """`systemctl status` shows it; steps are those of the workspace's owner; the unit is a good one."""
    assert served.property("ActiveState") == "active"
    verified = served.run("systemd-analyze", "verify", "/etc/systemd/system/phased.service")
    assert (verified.returncode, verified.stderr) == (0, "")
    execution, pid = start(served, "lasting")
    wait_for(lambda: served.property("StatusText") == "runs lasting", "it says what runs")
    assert served.ok("stat", "-c", "%U", f"/proc/{pid}").strip() == "rig"
    finish(served, execution)
    wait_for(lambda: served.property("StatusText") == "idle", "it says that nothing does")


def test_a_daemon_that_is_killed_is_started_again_and_its_steps_go_on(served: Guest) -> None:
    """By SIGKILL to the main process."""
    main = served.property("MainPID")
    execution, pid = start(served, "lasting")
    served.ok("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "phased")
    another(served, main)
    assert lives(served, pid)
    assert phase(served, execution) == "RUNNING"
    finish(served, execution)


def test_a_restart_keeps_what_runs(served: Guest) -> None:
    """And says so in the journal."""
    main = served.property("MainPID")
    execution, pid = start(served, "lasting")
    served.ok("systemctl", "restart", "phased")
    another(served, main)
    assert lives(served, pid)
    assert "ending (restart): running work goes on" in served.journal()
    finish(served, execution)


def test_a_stop_ends_what_runs(served: Guest) -> None:
    """Nothing is left in the unit."""
    execution, pid = start(served, "lasting")
    served.ok("systemctl", "stop", "phased")
    assert not lives(served, pid)
    assert "ending (stop): running work is stopped" in served.journal()
    assert phase(served, execution) == "STOPPED"
    assert served.property("Result") == "success"


def test_a_step_has_a_cgroup_of_its_own_and_a_stop_ends_all_of_it(served: Guest) -> None:
    """Also what has left its session and its environment; the unit delegates."""
    served.write(f"{WORKSPACE}/hidden.sh", "echo $$ > pid.new; mv pid.new pid; exec sleep 999\n")
    execution, pid = start(served, "hidden")
    cgroups = served.ok("cat", f"/proc/{pid}/cgroup")
    assert "/phased.service/phased-" in next(line for line in cgroups.splitlines() if line.startswith("0::"))
    served.ok(PROGRAM, "-C", WORKSPACE, "-q", "task", "stop", execution)
    wait_for(lambda: not lives(served, pid), "its end")
    wait_for(lambda: phase(served, execution) == "STOPPED", "the end of the step")


def test_a_daemon_that_hangs_is_replaced(served: Guest) -> None:
    """By the watchdog; its steps go on."""
    served.drop_in("WatchdogSec=6\nLimitCORE=0")
    served.ok("systemctl", "restart", "phased")
    main = served.property("MainPID")
    execution, pid = start(served, "lasting")
    served.ok("kill", "-STOP", main)
    another(served, main)
    assert lives(served, pid)
    assert "watchdog" in served.journal().lower()
    finish(served, execution)


def test_its_socket_starts_it(served: Guest) -> None:
    """At the first call; the socket stays when the daemon ends."""
    served.ok("systemctl", "stop", "phased")
    served.ok("systemctl", "start", "phased.socket")
    inode = served.ok("stat", "-c", "%i", "/run/phased/phased.sock")
    for _ in range(2):
        assert served.property("ActiveState") == "inactive"
        assert served.value("--socket", "/run/phased/phased.sock", "status")["daemon"]["version"]
        assert served.property("ActiveState") == "active"
        served.ok("systemctl", "stop", "phased")
        assert served.ok("stat", "-c", "%i", "/run/phased/phased.sock") == inode
    served.ok("systemctl", "start", "phased")
    execution, _ = start(served, "lasting")
    served.ok("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "phased")
    wait_for(lambda: served.property("ActiveState") == "active", "it runs again")
    finish(served, execution)


def test_the_journal_has_a_field_for_each_fact(served: Guest) -> None:
    """So that it can be asked for what belongs to one execution."""
    served.drop_in("Environment=PHASED_LOG_LEVEL=info")
    served.ok("systemctl", "restart", "phased")
    execution = served.ok(PROGRAM, "-C", WORKSPACE, "task", "start", "twice", "--dont-wait").strip()

    def said() -> list[dict[str, str]]:
        query = ["journalctl", "-b", "-u", "phased", f"PHASED_EXECUTION_ID={execution}", "-o", "json"]
        return [json.loads(line) for line in served.ok(*query).splitlines()]

    refused, ended = wait_for(lambda: len(found := said()) == 2 and found, "both events")
    (step,) = served.value("--state-dir", "/var/lib/phased", "executions", execution)["status"]["steps"]
    facts = {"PHASED_EVENT": "output_refused", "PRIORITY": "4", "PHASED_STEP_ID": step["id"]}
    assert refused["_SYSTEMD_UNIT"] == "phased.service"
    assert refused["MESSAGE"].startswith("output_refused execution_id=")
    assert {name: refused[name] for name in facts} == facts
    assert (ended["PHASED_EVENT"], ended["PRIORITY"]) == ("execution_ended", "6")
    assert "READY" in served.journal()


def test_a_unit_fires_a_trigger_when_the_daemon_is_up(served: Guest) -> None:
    """The one among the hooks; it starts the daemon, too."""
    hook = "phased-trigger@.service"
    served.write(f"/etc/systemd/system/{hook}", (ROOT / "configs" / "hooks" / hook).read_bytes())
    served.ok("systemctl", "daemon-reload")
    served.ok("systemctl", "stop", "phased")
    try:
        served.ok("systemctl", "start", "phased-trigger@postMachineStart")
        wait_for(lambda: served.run("test", "-e", f"{WORKSPACE}/fired").returncode == 0, "its task has run")
        assert served.property("ActiveState") == "active"
    finally:
        served.run("systemctl", "stop", "phased-trigger@postMachineStart")
        served.run("rm", f"/etc/systemd/system/{hook}")


LOAD = f"""
cd {WORKSPACE} && rm -f enough refused
until test -e enough; do phased task start quick --dont-wait >> begun || echo $? >> refused; done
"""


def test_a_reload_under_load_loses_nothing_and_refuses_nobody(served: Guest) -> None:
    """While executions are started one after another, each runs once."""
    load = served.start("sh", "-c", LOAD)
    try:
        for count in range(3):
            wait_for(lambda: len(lines(served, "ran")) > 2 * count, "some have run")  # noqa: B023 - called here
            started = served.value("status")["daemon"]["startedAt"]
            served.ok("systemctl", "reload", "phased")
            wait_for(lambda: served.value("status")["daemon"]["startedAt"] != started, "the next version")  # noqa: B023
    finally:
        served.write(f"{WORKSPACE}/enough", "")
        load.wait(timeout=120)
    begun = lines(served, "begun")
    wait_for(lambda: len(lines(served, "ran")) >= len(begun), "all have run")
    assert lines(served, "refused") == []
    assert sorted(lines(served, "ran")) == sorted(begun)
    assert {phase(served, one) for one in begun[-5:]} <= {"SUCCEEDED", "RUNNING"}


def lines(guest: Guest, name: str) -> list[str]:
    """Of a file in the workspace."""
    return guest.run("cat", f"{WORKSPACE}/{name}").stdout.split()


def test_a_reload_keeps_the_process_and_what_runs(served: Guest) -> None:
    """The next version takes over in the same process."""
    main = served.property("MainPID")
    execution, pid = start(served, "lasting")
    started = served.value("status")["daemon"]["startedAt"]
    served.ok("systemctl", "reload", "phased")
    wait_for(lambda: served.value("status")["daemon"]["startedAt"] != started, "the next version")
    assert served.property("MainPID") == main
    assert served.property("ActiveState") == "active"
    assert lives(served, pid)
    finish(served, execution)


def test_a_stop_that_runs_out_of_time_leaves_nothing(served: Guest) -> None:
    """The daemon gives up, or hangs and is killed; systemd ends what it left."""
    given_up = "Environment=PHASED_DAEMON_STOP_TIMEOUT=1s PHASED_DAEMON_DRAIN_TIMEOUT=0s"
    hanging = f"TimeoutStopSec=5\n{given_up} PHASED_RUN_STOP_TIMEOUT=1000s PHASED_DAEMON_STOP_TIMEOUT=10s"
    for settings in (given_up, hanging):
        served.drop_in(settings)
        served.ok("systemctl", "restart", "phased")
        main = served.property("MainPID")
        _, pid = start(served, "stubborn")
        served.ok("systemctl", "stop", "--no-block", "phased")
        if settings == hanging:
            wait_for(lambda: served.property("SubState") == "stop-sigterm", "it ends")
            served.run("kill", "-STOP", main)
        wait_for(lambda: served.property("ActiveState") == "failed", "the end")
        assert not lives(served, pid)
        served.ok("systemctl", "reset-failed", "phased")


def test_several_users_share_a_daemon(served: Guest) -> None:
    """As the page says: the socket lets them ask, the settings say who may do what, the kernel who asks."""
    served.ok("systemctl", "stop", "phased")
    served.run("useradd", "--create-home", "guest")
    served.write("/etc/phased/phased.toml", '[access]\nusers = ["rig=MEMBER"]\n')
    folder = "/etc/systemd/system/phased.socket.d"
    served.write(f"{folder}/users.conf", "[Socket]\nSocketMode=0666\n")
    try:
        served.ok("systemctl", "daemon-reload")
        served.ok("systemctl", "start", "phased.socket")
        made = served.ok(PROGRAM, "environment", "create", "-o", "json", user="rig")
        name = json.loads(made)["environment"]["id"]
        listed = served.value("environment", "list", user="rig")["environments"]
        assert [one["id"] for one in listed] == [name]
        assert len(served.value("environment", "list")["environments"]) > 1
        refused = served.run(PROGRAM, "environment", "list", user="guest")
        assert (refused.returncode, refused.stdout) == (4, "")
        served.ok(PROGRAM, "environment", "delete", name, user="rig")
    finally:
        served.run("rm", "-r", "/etc/phased/phased.toml", folder)
        served.run("systemctl", "stop", "phased.socket", "phased")
        served.run("systemctl", "daemon-reload")


def test_the_service_of_a_user_lives_on_with_linger(guest: Guest) -> None:
    """`install-service --user`; doctor says what linger is for."""
    guest.ok("loginctl", "enable-linger", "rig")
    wait_for(lambda: guest.run("test", "-S", "/run/user/1000/bus").returncode == 0, "the user's manager")
    guest.ok(PROGRAM, "install-service", "--user", "--now", user="rig")
    try:
        show = ["systemctl", "--user", "show", "--value", "-p"]
        main = guest.ok(*show, "MainPID", "phased", user="rig").strip()
        assert int(guest.value("status", user="rig")["daemon"]["pid"]) == int(main)
        guest.ok("systemctl", "--user", "kill", "--kill-whom=main", "--signal=KILL", "phased", user="rig")
        wait_for(
            lambda: guest.ok(*show, "MainPID", "phased", user="rig").strip() not in {"0", main}, "another one"
        )
        guest.ok("systemctl", "--user", "restart", "phased", user="rig")
        checks = {one["name"]: one for one in guest.value("doctor", user="rig")["checks"]}
        assert checks["linger"]["state"] == "ok"
        guest.ok("rm", "/var/lib/systemd/linger/rig")
        checks = {one["name"]: one for one in guest.value("doctor", user="rig")["checks"]}
        assert "enable-linger" in checks["linger"]["advice"]
    finally:
        guest.run("touch", "/var/lib/systemd/linger/rig")
        guest.ok(PROGRAM, "install-service", "--user", "--remove", user="rig")


def test_it_is_there_after_a_reboot(served: Guest) -> None:
    """What ran was stopped before, and is history."""
    execution, _ = start(served, "lasting")
    served.run("systemctl", "reboot")
    served.up()
    wait_for(lambda: served.property("ActiveState") == "active", "the service")
    assert phase(served, execution) == "STOPPED"
    assert "shutdown" in served.ok("journalctl", "-b", "-1", "-u", "phased", "--no-pager", "-o", "cat")
