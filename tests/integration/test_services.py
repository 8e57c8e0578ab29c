"""Services as a user has them: from the command line and over the API, beside a real daemon."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.daemon import TASKS, Api, wait_for
from tests.cli.daemon import Terminal, terminal

FILE = f"""\
tasks:
  init: {{command: "until [ -e go ]; do sleep 0.02; done"}}
  seed: {{command: "echo seeded >> seeded.txt", dependsOn: [late, needy]}}
services:
  db:
    name: Database
    description: Holds people.
    role: editor
    readinessTimeout: 10m
    commands:
      start: "echo one; exec sleep 1000"
      ready: "echo a try; [ -e up ]"
      stop: "echo halting"
    triggeredBy: [manual, postEnvironmentStart]
  needy: {{commands: {{start: "echo needy >> needy.txt; exec sleep 1000"}}, dependsOn: [init]}}
  late: {{commands: {{start: "echo late >> late.txt; exec sleep 1000", ready: "[ -e go ]"}}}}
  flaps: {{commands: {{start: "exit 5"}}, restart: {{policy: on-failure, backoff: 10ms, limit: 2}}}}
  stubborn:
    commands: {{start: "trap '' TERM; touch deaf; while :; do sleep 0.05; done", ready: "[ -e deaf ]"}}
  anew:
    commands:
      start: "echo anew >> anew.txt; exec sleep 1000"
      ready: "[ -e once ] || {{ touch once; {sys.executable} -m phased service restart anew; }}"
  gone: {{commands: {{start: "until [ -e end ]; do sleep 0.02; done; exit 3", ready: "true"}}}}
"""


@pytest.fixture(scope="module")
def shell() -> Iterator[Terminal]:
    """A user's command lines beside a daemon."""
    with terminal(FILE) as made:
        yield made


@pytest.fixture(scope="module")
def api(shell: Terminal) -> Api:
    """Its methods."""
    return Api(shell.served.client())


@pytest.fixture
def workspace(shell: Terminal) -> Path:
    """Where commands run."""
    return shell.served.workspace


def get(shell: Terminal, reference: str) -> dict[str, Any]:
    """One service."""
    return dict(shell.value("service", "get", reference)["service"])


def phase(shell: Terminal, reference: str) -> str:
    """Where it stands."""
    return str(get(shell, reference)["status"]["phase"]).removeprefix("SERVICE_PHASE_")


def reach(shell: Terminal, reference: str, wanted: str) -> dict[str, Any]:
    """Wait until it stands there."""
    wait_for(lambda: phase(shell, reference) == wanted, f"{reference} is {wanted}")
    return get(shell, reference)


def facts(text: str) -> dict[str, str]:
    """Lines of `name: text`."""
    return dict(re.findall(r"^([a-z ]+): +(.*)$", text, re.MULTILINE))


def test_what_is_seen_of_one_through_its_life(shell: Terminal, workspace: Path) -> None:
    """Session, version, what was asked for, role; its ready and stop commands have logs of their own."""
    assert phase(shell, "db") == "STOPPED"
    for _ in range(2):  # the second changes nothing
        assert shell.ok("service", "start", "db") == "starting db\n"
    wait_for(lambda: shell.ok("service", "logs", "db", "--step", "ready").count("a try") > 1, "two tries")
    first = get(shell, "db")
    assert first["metadata"]["role"] == "SERVICE_ROLE_EDITOR"
    assert first["spec"]["desiredPhase"] == "SERVICE_PHASE_RUNNING"
    assert first["spec"]["session"] == first["status"]["session"]
    assert first["status"]["phase"] == "SERVICE_PHASE_STARTING"
    (workspace / "up").touch()
    reach(shell, "db", "RUNNING")
    assert shell.ok("service", "logs", "db") == "one\n"
    shown = facts(shell.ok("service", "get", "db"))
    assert shown["session"] == first["spec"]["session"]
    assert (shown["role"], shown["wanted"], shown["phase"]) == ("editor", "running", "running")
    assert (shown["name"], shown["description"]) == ("Database", "Holds people.")
    assert (shown["ready in"], shown["triggers"]) == ("600 s", "manual, postEnvironmentStart")
    for _ in range(2):
        assert shell.ok("service", "stop", "db") == "stopping db\n"
    stopped = reach(shell, "db", "STOPPED")
    assert stopped["spec"]["desiredPhase"] == "SERVICE_PHASE_STOPPED"
    assert int(stopped["spec"]["specVersion"]) > int(first["spec"]["specVersion"])
    assert int(stopped["status"]["statusVersion"]) > int(first["status"]["statusVersion"])
    assert shell.ok("service", "logs", "db", "--step", "stop") == "halting\n"
    shell.ok("service", "restart", "db")
    again = reach(shell, "db", "RUNNING")
    assert again["spec"]["session"] != first["spec"]["session"]
    refused = shell.run("service", "logs", "db", "--step", "middle")
    assert refused.returncode == 2
    assert "start" in refused.stderr


def test_a_changed_definition_is_marked_until_the_next_start(shell: Terminal, workspace: Path) -> None:
    """Applied while it runs; over the API it is refused then (`semantics: Services`)."""
    (workspace / "up").touch()
    shell.ok("service", "start", "db")
    before = reach(shell, "db", "RUNNING")
    shell.ok("update", "-", stdin=FILE.replace("echo one;", "echo two;"))
    assert shell.value("why", "db")["outdated"]
    assert "as it was defined before" in facts(shell.ok("service", "get", "db"))["outdated"]
    assert get(shell, "db")["status"]["session"] == before["status"]["session"]
    assert shell.ok("service", "logs", "db") == "one\n"
    api = Api(shell.served.client())
    body = {"id": before["id"], "spec": {"commands": {"start": "echo three"}}}
    code, message = api.refused(f"{TASKS}/UpdateService", body)
    assert (code, "stop it first" in message) == ("failed_precondition", True)
    shell.ok("service", "restart", "db")
    wait_for(lambda: shell.ok("service", "logs", "db") == "two\n", "the new one runs")
    assert "outdated" not in shell.value("why", "db")
    assert "outdated" not in facts(shell.ok("service", "get", "db"))
    shell.ok("update")


def test_why_says_what_one_waits_for_and_who_ended_it(shell: Terminal, workspace: Path) -> None:
    """While it needs something, while it is not ready, when it was stopped, when it has given up."""
    (workspace / "go").unlink(missing_ok=True)
    shell.ok("service", "start", "needy")
    wait_for(lambda: facts(shell.ok("why", "needy")).get("waits for") == "init", "it waits")
    shell.ok("service", "start", "late")
    last = wait_for(lambda: shell.value("why", "late").get("lastReadyTry"), "a try has failed")
    assert last == "exit code 1"
    shell.ok("service", "stop", "late")
    reach(shell, "late", "STOPPED")
    assert facts(shell.ok("why", "late"))["why"].startswith("stopped by ")
    shell.ok("service", "start", "flaps")
    reach(shell, "flaps", "FAILED")
    why = shell.value("why", "flaps")
    assert (why["restarts"], why["cause"]) == (2, "the limit of restarts was reached (2): exit code 5")
    (workspace / "go").touch()
    reach(shell, "needy", "RUNNING")
    for reference in ("needy", "flaps"):
        shell.ok("service", "stop", reference)


def test_a_graph_of_both_is_planned_and_run(shell: Terminal, workspace: Path) -> None:
    """The plan shows services as steps; what two need starts once, and is there before what needs it."""
    (workspace / "go").touch()
    shell.ok("service", "stop", "needy")
    reach(shell, "needy", "STOPPED")
    for name in ("needy.txt", "late.txt"):
        (workspace / name).unlink(missing_ok=True)
    (plan,) = shell.value("plan", "seed")
    groups = [[step["label"] for step in group["steps"]] for group in plan["spec"]["plan"]]
    assert groups == [["init", "late"], ["needy"], ["seed"]]
    steps = {step["label"]: step for group in plan["spec"]["plan"] for step in group["steps"]}
    assert {label for label, step in steps.items() if "serviceId" in step} == {"late", "needy"}
    assert "needy (service)" in shell.ok("plan", "seed")
    waiting = [shell.start("task", "start", "seed") for _ in range(2)]
    assert [one.wait(120) for one in waiting] == [0, 0]
    for name in ("needy", "late"):
        assert (workspace / f"{name}.txt").read_text().split() == [name]
        assert phase(shell, name) == "RUNNING"


def test_what_was_ready_and_ends_is_not_running_any_more(shell: Terminal, workspace: Path) -> None:
    """Its exit code is the cause; it stays down until somebody starts it."""
    (workspace / "end").unlink(missing_ok=True)
    shell.ok("service", "start", "gone")
    reach(shell, "gone", "RUNNING")
    (workspace / "end").touch()
    ended = reach(shell, "gone", "FAILED")
    assert ended["status"]["failureMessage"] == "exit code 3"
    assert ended["spec"]["desiredPhase"] == "SERVICE_PHASE_RUNNING"


def test_one_restarts_itself_though_the_stop_ends_who_asks(shell: Terminal, workspace: Path) -> None:
    """From its ready command, which the stop kills; it is asked for in one call, so nothing is half done."""
    shell.ok("service", "start", "anew")
    wait_for((workspace / "once").exists, "it asks for that")
    reach(shell, "anew", "RUNNING")
    assert (workspace / "anew.txt").read_text().split() == ["anew", "anew"]
    assert shell.ok("service", "restart", "anew") == "restarting anew\n"
    wait_for(lambda: (workspace / "anew.txt").read_text().split() == ["anew"] * 3, "and another time")


def test_deleting_stops_first_and_force_does_not_wait(shell: Terminal, api: Api) -> None:
    """What others need is kept; the stubborn one is killed at once; both are gone then, processes too."""
    shell.ok("service", "start", "stubborn")
    stubborn = reach(shell, "stubborn", "RUNNING")
    pids = [one["pid"] for one in shell.value("ps")["processes"] if one["reference"] == "stubborn"]
    assert pids
    code, message = api.refused(f"{TASKS}/DeleteService", {"id": get(shell, "late")["id"]})
    assert (code, "seed depends on it" in message) == ("failed_precondition", True)
    api.call(f"{TASKS}/DeleteService", {"id": stubborn["id"]})
    assert phase(shell, "stubborn") == "STOPPING"
    refused = shell.run("service", "start", "stubborn")
    assert (refused.returncode, "it is being deleted" in refused.stderr) == (4, True)
    api.call(f"{TASKS}/DeleteService", {"id": stubborn["id"], "force": True})
    wait_for(lambda: shell.run("service", "get", "stubborn").returncode == 4, "it is forgotten")
    wait_for(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "its processes have ended")
    db = get(shell, "db")
    api.call(f"{TASKS}/DeleteService", {"id": db["id"]})
    wait_for(lambda: shell.run("service", "get", "db").returncode == 4, "so is the other")
    left = {one["reference"] for one in shell.value("ps").get("processes", ())}
    assert not left & {"db", "stubborn"}, json.dumps(sorted(left))
