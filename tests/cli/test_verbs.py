"""Verbs that talk to a daemon: what scripts may rely on, through the real program."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import NOBODY, PATIENCE, wait_for
from tests.cli.daemon import Terminal, terminal

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n?")


@pytest.fixture(scope="module")
def shell() -> Iterator[Terminal]:
    """A user's command lines beside a daemon."""
    with terminal() as made:
        yield made


def test_status_shows_what_there_is(shell: Terminal) -> None:
    """The daemon, its environment and services; as JSON the native message."""
    text = shell.ok("status")
    assert f"process {shell.served.pid}" in text
    assert "web" in text
    value = shell.value("status")
    assert value["daemon"]["stateDirectory"] == str(shell.served.state)
    assert [one["metadata"]["reference"] for one in value["services"]] == ["web"]


def test_tasks_are_listed_and_shown(shell: Terminal) -> None:
    """In the file's order; by reference or id."""
    listed = shell.value("task", "list")["tasks"]
    assert [one["metadata"]["reference"] for one in listed] == ["gen", "build", "bad", "slow"]
    table = shell.ok("task", "list")
    assert re.search(r"^build +build +gen +Builds it\.$", table, re.MULTILINE)
    build = listed[1]
    assert shell.value("task", "get", "build") == {"task": build}
    text = shell.ok("task", "get", build["id"])
    assert "needs:       gen\n" in text
    assert "echo building" in text


@pytest.mark.parametrize(("reference", "code", "phase"), [("build", 0, "SUCCEEDED"), ("bad", 1, "FAILED")])
def test_task_start_waits_and_exits_with_the_outcome(
    shell: Terminal, reference: str, code: int, phase: str
) -> None:
    """As JSON: the final execution, and nothing else on standard output."""
    result = shell.run("task", "start", reference, "-o", "json")
    assert result.returncode == code, result.stderr
    execution = json.loads(result.stdout)
    assert execution["status"]["phase"] == f"TASK_EXECUTION_PHASE_{phase}"
    assert f"started {reference} ({execution['id']})" in result.stderr


def test_task_start_says_how_it_ended(shell: Terminal) -> None:
    """In words, with the way to the output."""
    result = shell.run("task", "start", "bad")
    assert (result.returncode, result.stdout.count("\n")) == (1, 1)
    assert re.fullmatch(r"bad: failed after [0-9.]+ s: step bad failed: exit code 3\n", result.stdout)
    assert "its output: phased logs" in result.stderr
    quiet = shell.run("-q", "task", "start", "bad")
    assert quiet.stderr == ""


def test_task_start_without_waiting_prints_the_id_and_stop_ends_it(shell: Terminal) -> None:
    """A start that waits elsewhere exits with 3."""
    waiting = shell.start("task", "start", "slow")
    assert waiting.stderr is not None
    first = re.search(r"\((.*)\)", waiting.stderr.readline())
    assert first is not None
    printed = shell.ok("task", "start", "slow", "--dont-wait")
    assert _ID.fullmatch(printed)
    started = shell.value("task", "start", "slow", "--dont-wait")
    assert started["status"]["phase"] == "TASK_EXECUTION_PHASE_PENDING"
    stopped = shell.ok("task", "stop", "slow")
    assert {*re.findall(r"\((.*)\)", stopped)} == {first[1], printed.strip(), started["id"]}
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, out.split(":")[1].split()[0]) == (3, "stopped")
    assert shell.value("task", "stop", started["id"]) == {}
    why = shell.ok("why", "slow")
    assert "phase:       stopped\n" in why
    assert re.search(r"^why: +stopped by user ", why, re.MULTILINE)


def test_ctrl_c_ends_the_waiting_not_the_work(shell: Terminal) -> None:
    """130, and how to stop it."""
    waiting = shell.start("task", "start", "slow")
    assert waiting.stderr is not None
    found = re.search(r"\((.*)\)", waiting.stderr.readline())
    assert found is not None
    assert "slow running" in waiting.stderr.readline()
    os.kill(waiting.pid, signal.SIGINT)
    _, said = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    assert f"to stop it: phased task stop {found[1]}" in said
    assert shell.value("executions", found[1])["status"]["phase"] == "TASK_EXECUTION_PHASE_RUNNING"
    shell.ok("task", "stop", found[1])


def test_history_and_logs_come_from_the_daemon(shell: Terminal) -> None:
    """One execution by the beginning of its id, several of a task, sorted."""
    execution = shell.value("task", "start", "build")
    found = shell.value("executions", "build", "--limit", "1")["taskExecutions"]
    assert found == [execution]
    assert shell.value("task", "executions", execution["id"][:13]) == execution
    oldest = shell.value("executions", "--sort", "createdAt:asc", "--limit", "100")["taskExecutions"]
    times = [one["metadata"]["createdAt"] for one in oldest]
    assert times == sorted(times)
    assert "build" in shell.ok("executions", execution["id"])
    assert shell.ok("logs", "build") == "gen | generating\nbuild | building\n"
    assert shell.ok("task", "logs", execution["id"], "--step", "gen", "--follow") == "generating\n"


def test_a_run_is_carried_out_by_the_daemon_of_its_state_directory(shell: Terminal) -> None:
    """With the outcome of all, and in its history."""
    result = shell.run("run", "build", "bad")
    assert result.returncode == 1, result.stderr
    assert f"joined the run of process {shell.served.pid}" in result.stderr
    phases = {one["status"]["phase"] for one in shell.value("executions", "--limit", "2")["taskExecutions"]}
    assert phases == {"TASK_EXECUTION_PHASE_SUCCEEDED", "TASK_EXECUTION_PHASE_FAILED"}


def test_services_start_and_stop(shell: Terminal) -> None:
    """Without waiting; their log is their own."""

    def phase() -> str:
        return str(shell.value("service", "get", "web")["service"]["status"].get("phase"))

    assert shell.value("service", "start", "web") == {}
    wait_for(lambda: phase() == "SERVICE_PHASE_RUNNING", "web running")
    assert re.search(r"^web +running", shell.ok("service", "list"), re.MULTILINE)
    wait_for(lambda: shell.ok("service", "logs", "web") == "up\n", "the log of web")
    before = shell.value("service", "get", "web")["service"]["spec"]["session"]
    shell.ok("service", "restart", "web")
    wait_for(lambda: phase() == "SERVICE_PHASE_RUNNING", "web running again")
    assert shell.value("service", "get", "web")["service"]["spec"]["session"] != before
    assert shell.ok("service", "stop", "web") == "stopping web\n"
    wait_for(lambda: phase() == "SERVICE_PHASE_STOPPED", "web stopped")


def test_update_applies_a_file_and_prunes(shell: Terminal) -> None:
    """To the environment that is named; from a file or standard input."""
    made = shell.ok("environment", "create", "--name", "updated").strip()
    assert _ID.fullmatch(made)
    one = '{"tasks": {"a": {"command": "true"}, "b": {"command": "true"}}}'
    assert shell.ok("update", "-", "-e", made, stdin=one) == "2 tasks applied\n"
    less = '{"tasks": {"b": {"command": "false"}}}'
    applied = json.loads(shell.ok("update", "-", "-e", "updated", "--prune", "-o", "json", stdin=less))
    assert (len(applied["updatedTaskIds"]), len(applied["deletedTaskIds"])) == (1, 1)
    listed = shell.value("task", "list", "--environment", made)["tasks"]
    assert [task["metadata"]["reference"] for task in listed] == ["b"]
    bad = shell.run("update", "-", "-e", made, stdin="tasks: []")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "error:" in bad.stderr
    shell.ok("environment", "delete", "updated")
    wait_for(lambda: made not in shell.ok("environment", "list"), "the environment is gone")


def test_secrets_are_set_from_standard_input_and_never_shown(shell: Terminal) -> None:
    """Made, changed, deleted."""
    assert shell.ok("secret", "set", "TOKEN", stdin="hunter22\n") == "made TOKEN\n"
    assert shell.ok("secret", "set", "TOKEN", stdin="hunter23\n") == "changed TOKEN\n"
    listed = shell.ok("secret", "list", "-o", "json")
    assert [one["name"] for one in json.loads(listed)["secrets"]] == ["TOKEN"]
    assert "hunter" not in listed
    assert shell.ok("secret", "delete", "TOKEN") == "deleted TOKEN\n"
    refused = shell.run("secret", "set", "TOKEN")
    assert (refused.returncode, "standard input" in refused.stderr) == (4, True)


def test_tokens_let_in_over_tcp(shell: Terminal) -> None:
    """From a file or a variable; on the command line with a warning; revoked: no more."""
    token = shell.ok("token", "create", "--role", "ENVIRONMENT_VIEWER", "--expires", "1h").strip()
    file = shell.served.home / "token"
    file.write_text(f"{token}\n")
    address = ("--address", shell.served.address)
    assert shell.ok("status", *address, "--token-file", str(file))
    environment = {"PHASED_ADDRESS": shell.served.address, "PHASED_TOKEN": token}
    assert "gen" in shell.ok("task", "list", env=environment)
    shown = shell.run("task", "start", "gen", *address, "--token", token)
    assert shown.returncode == 4
    assert "warning: everybody can read --token" in shown.stderr
    (listed,) = shell.value("token", "list")["tokens"]
    shell.ok("token", "revoke", listed["id"])
    late = shell.run("status", env=environment)
    assert (late.returncode, token in late.stderr) == (4, False)


def test_a_step_calls_back(shell: Terminal) -> None:
    """Its own environment says where and as whom; its outputs are those of its step."""
    path = os.pathsep.join((str(shell.served.home / "bin"), os.environ.get("PATH", "")))
    program = shell.served.home / "bin" / "phased"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shell.arguments()[0]} -m phased "$@"\n')
    program.chmod(0o755)
    command = f"export PATH={path}; phased output set version=1.2 && phased task start gen && phased logs gen"
    file = json.dumps({"tasks": {"back": {"command": command}}})
    shell.ok("update", "-", stdin=file)
    result = shell.run("task", "start", "back", "-o", "json")
    assert result.returncode == 0, shell.ok("logs", "back")
    (step,) = json.loads(result.stdout)["status"]["steps"]
    assert step["output"] == {"version": "1.2"}
    assert shell.ok("logs", "back").endswith("generating\n")


def test_events_tell_what_changes(shell: Terminal) -> None:
    """As JSON: one event a line, of the public stream or the native one."""
    changes = shell.start("events", "-o", "json")
    assert changes.stderr is not None
    assert "watching" in changes.stderr.readline()
    statuses = shell.start("events", "--statuses", "-o", "json")
    assert statuses.stdout is not None
    snapshot = json.loads(statuses.stdout.readline())
    assert snapshot["event"] == "snapshot"
    execution = shell.value("task", "start", "gen")["id"]
    assert changes.stdout is not None
    event = json.loads(changes.stdout.readline())
    assert (event["resourceType"], event["resourceId"]) == ("RESOURCE_TYPE_TASK_EXECUTION", execution)
    assert json.loads(statuses.stdout.readline())["data"]["resourceId"] == execution
    resumed = shell.start("events", "--statuses", "--since", snapshot["id"])
    assert resumed.stdout is not None
    assert execution in resumed.stdout.readline()


def test_status_is_watched(shell: Terminal) -> None:
    """A new picture when something changes."""
    watching = shell.start("status", "--watch", "-o", "json")
    assert watching.stdout is not None
    assert "taskExecutions" not in json.loads(watching.stdout.readline())
    started = shell.ok("task", "start", "slow", "--dont-wait").strip()
    pictures = (json.loads(line) for line in watching.stdout)
    assert any(started in {one["id"] for one in picture.get("taskExecutions", ())} for picture in pictures)
    shell.ok("task", "stop", started)


@pytest.mark.parametrize("name", ["gitpod", "ona"])
def test_it_may_be_started_under_other_names(shell: Terminal, name: str) -> None:
    """By a link."""
    program = Path(sys.executable).with_name("phased")
    if not program.exists():
        pytest.skip("the program is not installed beside the interpreter")
    link = shell.served.home / name
    link.symlink_to(program)
    done = subprocess.run(
        [link, "automations", "task", "start", "gen", "--dont-wait", "-o=json"],
        cwd=shell.served.workspace,
        env=shell.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"]["phase"] == "TASK_EXECUTION_PHASE_PENDING"


def test_other_spellings_do_the_same(shell: Terminal) -> None:
    """As commands in real files have them."""
    assert shell.ok("automations", "task", "list") == shell.ok("environment", "task", "list")
    assert shell.ok("automations", "service", "list", "-o=json") == shell.ok("service", "list", "-o", "json")
    assert shell.ok("automations", "task", "start", "gen").startswith("gen: succeeded")
    assert shell.ok("automations", "validate") == shell.ok("validate")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["task", "start", "biuld"], 4, "cannot find a task 'biuld'; did you mean build?"),
        (["service", "start", "wbe"], 4, "did you mean web?"),
        (["task", "get", NOBODY], 4, "cannot find"),
        (["why", "nosuch"], 4, "cannot find an execution 'nosuch'"),
        (["task", "stop", "nosuch"], 4, "cannot find a task 'nosuch'"),
        (["executions", "nosuch"], 4, "cannot find a task 'nosuch'"),
        (["task", "list", "-e", "nosuch"], 4, "cannot tell which environment 'nosuch' is"),
        (["task", "list", "-e", NOBODY], 0, ""),
        (["task", "strat", "build"], 2, "did you mean start?"),
        (["status", "--socket", "/nowhere.sock"], 4, "start one with `phased serve`"),
        (["logs", "gen", "--socket", "/nowhere.sock"], 4, "start one with `phased serve`"),
        (["status", "--address", "ftp://x"], 4, "cannot use the address"),
        (["status", "--address", "x:1", "--socket", "y"], 2, "cannot use both"),
        (["status", "--token-file", "/nowhere"], 2, "cannot read the token in /nowhere"),
        (["output", "set", "a=b"], 2, "give --execution and --step"),
        (["output", "set", "a"], 2, "an output is KEY=VALUE"),
        (["token", "create", "--role", "NOSUCH"], 4, "cannot use the role"),
        (["token", "create", "--expires", "soon"], 2, "--expires"),
        (["events", "--since", "1"], 2, "--statuses"),
        (["secret", "delete", "NOSUCH"], 4, "cannot find a secret"),
    ],
)
def test_what_cannot_be_done_says_so_with_its_exit_code(
    shell: Terminal, arguments: list[str], code: int, said: str
) -> None:
    """And nothing on standard output, and no traceback."""
    result = shell.run(*arguments)
    assert (result.returncode, said in result.stderr) == (code, True), result.stderr
    assert code == 0 or result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_socket_that_nobody_listens_on_is_passed_over(shell: Terminal) -> None:
    """The lock of the state directory names the daemon; without one the directory itself is read."""
    stale = shell.served.home / "stale.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(stale))
    environment = {"PHASED_SOCKET": str(stale)}
    assert str(shell.served.pid) in shell.ok("status", env=environment)
    nothing = {**environment, "PHASED_STATE_DIR": str(shell.served.home / "other")}
    result = shell.run("executions", env=nothing)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "no executions yet\n")


def test_an_environment_of_another_product_is_passed_over(shell: Terminal) -> None:
    """A variable of that name may be set where this runs."""
    assert "gen" in shell.ok("task", "list", env={"GITPOD_ENVIRONMENT_ID": NOBODY})


def test_init_writes_a_file_that_is_valid(shell: Terminal) -> None:
    """Once; what is there is never written over."""
    file = str(shell.served.home / "new.yaml")
    assert shell.ok("automations", "init", file) == f"{file}\n"
    shell.ok("validate", file)
    again = shell.run("automations", "init", file)
    assert (again.returncode, "it is there already" in again.stderr) == (4, True)
