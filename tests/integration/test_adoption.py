"""A daemon is killed, or its supervisor, or both: steps go on, and the next daemon takes them over."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from phased.supervisor.census import look
from tests.api.daemon import PATIENCE, TASKS, Api, Daemon, daemon, wait_for

_SERVICES = "gitpod.v1.EnvironmentAutomationService"


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with daemon() as made:
        yield made


def held(folder: Path, name: str, code: int = 0) -> str:
    """A command that notes its start, says so, and ends once somebody opens its gate; it has a last word."""
    return (
        f"echo started >> {folder}/{name}.runs\n"
        f"echo $$ > {folder}/{name}.new && mv {folder}/{name}.new {folder}/{name}.pid\n"
        f"echo first\n"
        f"while [ ! -e {folder}/{name}.gate ]; do sleep 0.05; done\n"
        f"echo last\n"
        f"exit {code}"
    )


def opened(folder: Path, name: str) -> None:
    """It may end now."""
    (folder / f"{name}.gate").touch()


def pid_of(folder: Path, name: str) -> int:
    """The pid of a command that is held, once it runs."""
    path = folder / f"{name}.pid"
    return int(wait_for(lambda: path.exists() and path.read_text(), f"{name} runs"))


def runs(folder: Path, name: str) -> int:
    """How often it was started."""
    return (folder / f"{name}.runs").read_text().count("started")


def kill(process: subprocess.Popen[str]) -> None:
    """Without a chance to do anything."""
    process.kill()
    process.wait(PATIENCE)


def supervisors(one: Daemon) -> list[int]:
    """Their pids."""
    found = []
    for pid in one.ours():
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"supervisor/__main__.py" in command.read_bytes():
            found.append(pid)
    return found


def kill_supervisors(one: Daemon) -> None:
    """And wait until they are gone."""
    for pid in supervisors(one):
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: (found := look(pid)) is None or not found.living, "it is gone")  # type: ignore[misc]


def define(one: Daemon, tasks: dict[str, Any], services: dict[str, Any] | None = None) -> None:
    """The workspace's file, before the daemon starts."""
    (one.workspace / ".ona").mkdir()
    body = json.dumps({"tasks": tasks, "services": services or {}})
    (one.workspace / ".ona" / "automations.yaml").write_text(body)


def start(api: Api, reference: str) -> str:
    """Start a task of the file; the execution's id."""
    tasks = api.call(f"{TASKS}/ListTasks")["tasks"]
    return api.start(next(task["id"] for task in tasks if task["metadata"]["reference"] == reference))


def steps(execution: dict[str, Any]) -> list[str]:
    """The phases of the steps, in the order of the plan."""
    return [
        str(step["phase"]).removeprefix("TASK_EXECUTION_PHASE_")
        for step in execution["status"].get("steps", [])
    ]


def log_of(api: Api, execution: dict[str, Any]) -> str:
    """The output of its only step."""
    return api.client.get(execution["status"]["logUrl"], params={"follow": "0"}).text


def test_a_killed_daemon_costs_nothing(one: Daemon) -> None:
    """The step goes on, its log is unbroken, its exit true, later groups run, and nothing twice."""
    folder = one.home
    define(
        one,
        {
            "first": {"command": held(folder, "first")},
            "then": {"command": f"echo started >> {folder}/then.runs", "dependsOn": ["first"]},
            "fails": {"command": held(folder, "fails", 7)},
        },
    )
    process = one.start()
    api = Api(one.client())
    good, bad = start(api, "then"), start(api, "fails")
    leaders = pid_of(folder, "first"), pid_of(folder, "fails")
    kill(process)
    one.start()
    api = Api(one.client())
    assert steps(api.execution(good)) == ["RUNNING"]
    assert all((found := look(pid)) is not None and found.living for pid in leaders)
    opened(folder, "first")
    opened(folder, "fails")
    assert steps(api.until(good, "SUCCEEDED")) == ["SUCCEEDED", "SUCCEEDED"]
    failed = api.until(bad, "FAILED")
    assert failed["status"]["failureMessage"] == "step fails failed: exit code 7"
    assert log_of(api, failed) == "first\nlast\n"
    assert [runs(folder, name) for name in ("first", "then", "fails")] == [1, 1, 1]


def test_what_ends_while_nobody_is_there_is_known(one: Daemon) -> None:
    """The supervisor keeps it."""
    process = one.start()
    api = Api(one.client())
    execution = api.start(api.task("held", held(one.home, "held", 5)))
    leader = pid_of(one.home, "held")
    kill(process)
    opened(one.home, "held")
    wait_for(lambda: look(leader) is None, "it has ended")
    one.start()
    found = Api(one.client()).until(execution, "FAILED")
    assert found["status"]["failureMessage"] == "step held failed: exit code 5"
    assert log_of(Api(one.client()), found) == "first\nlast\n"


def test_services_and_their_ready_tries_go_on(one: Daemon) -> None:
    """The task that waits for the service runs once that is ready, under the next daemon."""
    folder = one.home
    service = {
        "commands": {
            "start": f"echo started >> {folder}/db.runs; echo $$ > {folder}/db.pid; exec sleep 1000",
            "ready": f"echo started >> {folder}/ready.runs; test -e {folder}/db.gate",
        }
    }
    define(
        one,
        {"use": {"command": f"echo started >> {folder}/use.runs", "dependsOn": ["db"]}},
        {"db": service},
    )
    process = one.start()
    api = Api(one.client())
    execution = start(api, "use")
    leader = pid_of(folder, "db")
    wait_for((folder / "ready.runs").exists, "it was asked")
    kill(process)
    one.start()
    api = Api(one.client())
    opened(folder, "db")
    assert steps(api.until(execution, "SUCCEEDED")) == ["SUCCEEDED", "SUCCEEDED"]
    assert (runs(folder, "db"), runs(folder, "use")) == (1, 1)
    (found,) = api.call(f"{_SERVICES}/ListServices")["services"]
    assert found["status"]["phase"] == "SERVICE_PHASE_RUNNING"
    api.call(f"{_SERVICES}/StopService", {"id": found["id"]})
    wait_for(lambda: (process := look(leader)) is None or not process.living, "it has ended")


def test_a_stop_that_was_asked_for_is_carried_out(one: Daemon) -> None:
    """By the next daemon, to the end: nothing is left."""
    process = one.start(env={"PHASED_RUN_STOP_TIMEOUT": "2s"})
    api = Api(one.client())
    command = f"trap '' TERM; setsid sleep 1000 & {held(one.home, 'stubborn')}"
    execution = api.start(api.task("stubborn", command))
    leader = pid_of(one.home, "stubborn")
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    kill(process)
    one.start()
    found = Api(one.client()).until(execution, "FAILED")
    assert "was killed" in found["status"]["failureMessage"]
    assert look(leader) is None
    wait_for(lambda: b"sleep\x001000" not in commands(one), "nothing is left")


def commands(one: Daemon) -> bytes:
    """The command lines of all that is alive."""
    found = b""
    for pid in one.ours():
        path = Path(f"/proc/{pid}/cmdline")
        found += path.read_bytes() if path.exists() else b""
    return found


def test_a_killed_supervisor_costs_no_status(one: Daemon) -> None:
    """Its steps come to the daemon, which is a subreaper, and learns how they end."""
    one.start()
    api = Api(one.client())
    execution = api.start(api.task("held", held(one.home, "held", 9)))
    leader = pid_of(one.home, "held")
    kill_supervisors(one)
    opened(one.home, "held")
    found = api.until(execution, "FAILED")
    assert found["status"]["failureMessage"] == "step held failed: exit code 9"
    wait_for(lambda: log_of(api, found) == "first\nlast\n", "the rest of its output is there")
    assert api.run("later", "true")["status"]["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"
    assert look(leader) is None
    assert runs(one.home, "held") == 1


def test_both_killed(one: Daemon) -> None:
    """The process is watched; how it ended is said to be unknown unless the kernel tells."""
    process = one.start()
    api = Api(one.client())
    execution = api.start(api.task("held", held(one.home, "held", 9)))
    leader = pid_of(one.home, "held")
    kill(process)
    kill_supervisors(one)
    found = look(leader)
    assert found is not None
    assert found.living
    one.start()
    api = Api(one.client())
    assert steps(api.execution(execution)) == ["RUNNING"]
    opened(one.home, "held")
    ended = api.until(execution, "FAILED")
    assert ended["status"]["failureMessage"] in {
        "step held failed: exit status unknown",
        "step held failed: exit code 9",
    }
    assert log_of(api, ended).startswith("first\n")
    assert runs(one.home, "held") == 1


def test_both_killed_and_the_process_is_gone(one: Daemon) -> None:
    """There is no record, and that is said."""
    process = one.start()
    api = Api(one.client())
    execution = api.start(api.task("held", held(one.home, "held")))
    leader = pid_of(one.home, "held")
    kill(process)
    kill_supervisors(one)
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: look(leader) is None or not look(leader).living, "it is gone")  # type: ignore[union-attr]
    one.start()
    found = Api(one.client()).until(execution, "FAILED")
    assert "ended while the daemon was away and left no exit code" in found["status"]["failureMessage"]


def rebooted(one: Daemon) -> Sequence[str] | None:
    """The daemon's command on a machine that has booted again; None where that cannot be pretended."""
    boot_id = one.home / "boot_id"
    boot_id.write_text(f"{uuid4()}\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
    inside = [shutil.which("unshare") or "unshare", "-m", "sh", "-c", script, str(boot_id)]
    try:
        tried = subprocess.run([*inside, "true"], capture_output=True, check=False, timeout=PATIENCE)
    except FileNotFoundError:
        return None
    return None if tried.returncode else [*inside, *one.command()]


def test_after_a_reboot_nothing_is_taken_for_what_ran(one: Daemon) -> None:
    """Steps fail with that cause, a service stays down, and nothing is signalled."""
    command = rebooted(one)
    if command is None:
        pytest.skip("a mount namespace of its own is needed, for which this user has no right")
    process = one.start()
    api = Api(one.client())
    execution = api.start(api.task("held", held(one.home, "held")))
    leader = pid_of(one.home, "held")
    kill(process)
    kill_supervisors(one)
    one.start(command=list(command))
    api = Api(one.client())
    found = api.execution(execution)
    assert found["status"]["failureMessage"] == "step held failed: the machine rebooted"
    process_now = look(leader)
    assert process_now is not None
    assert process_now.living
    assert api.run("later", "true")["status"]["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"


def test_a_killed_run_in_the_foreground_goes_on_under_a_daemon(one: Daemon) -> None:
    """The next daemon takes it over as its own."""
    define(one, {"held": {"command": held(one.home, "held", 4)}})
    run = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "phased",
            "run",
            "held",
            "-C",
            str(one.workspace),
            "--state-dir",
            str(one.state),
        ],
        env=one.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        pid_of(one.home, "held")
    finally:
        kill(run)
    one.start()
    api = Api(one.client())
    (execution,) = api.call(f"{TASKS}/ListTaskExecutions")["taskExecutions"]
    opened(one.home, "held")
    found = api.until(execution["id"], "FAILED")
    assert found["status"]["failureMessage"] == "step held failed: exit code 4"
    assert runs(one.home, "held") == 1
