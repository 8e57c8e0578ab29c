"""Triggers, the processes and the variables of steps, through the real program beside a real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phased.core.firing import TRIGGERS
from tests.api.daemon import ENVIRONMENTS, NATIVE, NOBODY, PATIENCE, Api, wait_for
from tests.cli.daemon import Terminal, terminal

STARTED = "postEnvironmentStart"
FILE = f"""\
tasks:
  gen: {{command: "echo gen >> gen.txt"}}
  a: {{command: "echo a >> a.txt", dependsOn: [gen], triggeredBy: [{STARTED}]}}
  b: {{command: "until [ -e go ]; do sleep 0.05; done", dependsOn: [gen], triggeredBy: [{STARTED}]}}
  bad: {{command: "[ -e mended ]", triggeredBy: [postMachineStart]}}
  good: {{command: "echo good >> good.txt", triggeredBy: [postMachineStart]}}
  child: {{command: "sleep 1000 & echo started"}}
  dump:
    command: |
      cat /proc/self/environ > "dumps/$PHASED_EXECUTION_ID"
      [ ! -e "dumps/once" ] || {{ rm "dumps/once"; exit 9; }}
    env: {{PLAIN: "from the file", TOKEN: {{secret: token}}}}
    retries: {{limit: 1, backoff: 10ms}}
    triggeredBy: [postDevcontainerStart]
  lacking: {{command: "true", env: {{X: {{secret: nowhere}}}}}}
services:
  db:
    commands: {{start: "sleep 1000", ready: "[ -e gen.txt ]"}}
    triggeredBy: [{STARTED}]
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


def parts(firing: dict[str, Any]) -> dict[str, str]:
    """Each part's result."""
    return {one["reference"]: one["result"].removeprefix("FIRING_RESULT_").lower() for one in firing["parts"]}


def lines(shell: Terminal, name: str) -> list[str]:
    """Of a file in the workspace."""
    return (shell.served.workspace / name).read_text().splitlines()


def test_a_trigger_returns_at_once_and_is_waited_for_when_asked(shell: Terminal) -> None:
    """Joined the second time; then listed and shown."""
    firing = shell.ok("trigger", STARTED).strip()
    again = shell.value("trigger", STARTED)["firing"]
    assert {one["reference"] for one in again["parts"] if one.get("joined")} >= {"b"}
    late = shell.run("trigger", STARTED, "--timeout", "200ms")
    assert late.returncode == 1
    assert "timed out after 0.2 s; it goes on: phased trigger show " in late.stderr
    (shell.served.workspace / "go").touch()
    result = shell.run("trigger", STARTED, "--wait")
    assert result.returncode == 0, result.stderr
    assert "  b succeeded" in result.stderr
    assert "  db ready" in result.stderr
    shown = wait_for(
        lambda: (
            found
            if (found := shell.value("trigger", "show", firing)["firing"])["result"].endswith("SUCCEEDED")
            else None
        ),
        "the first one has ended",
    )
    assert parts(shown) == {"a": "succeeded", "b": "succeeded", "db": "succeeded"}
    listed = shell.value("trigger", "list", "--trigger", STARTED)["firings"]
    assert [one["id"] for one in listed][-1] == firing
    assert len(listed) == 4
    assert re.search(rf"^{firing} +{STARTED} +succeeded ", shell.ok("trigger", "list"), re.MULTILINE)
    assert len(lines(shell, "gen.txt")) <= 4  # once a firing


def test_a_run_in_the_foreground_joins_what_the_trigger_started(shell: Terminal, api: Api) -> None:
    """It shows and awaits that one; Ctrl-C only lets go of it."""
    (shell.served.workspace / "go").unlink(missing_ok=True)
    firing = shell.value("trigger", STARTED)["firing"]
    fired = next(one["taskExecutionId"] for one in firing["parts"] if one["reference"] == "b")
    wait_for(lambda: api.phase(fired) == "RUNNING", "b runs")
    leaves = shell.start("run", "--trigger", STARTED)
    assert leaves.stderr is not None
    said = iter(leaves.stderr)
    assert f"joining b ({fired})" in next(line for line in said if "joining b" in line)
    leaves.send_signal(signal.SIGINT)
    assert leaves.wait(PATIENCE) == 130
    assert api.phase(fired) == "RUNNING"
    stays = shell.start("run", "--trigger", STARTED, "-o", "json")

    def noted() -> Any:
        return next(
            (
                one
                for one in shell.value("trigger", "list", "--limit", "1")["firings"]
                if {part["reference"] for part in one["parts"] if part.get("joined")} == {"b"}
                and one["result"].endswith("RUNNING")
            ),
            None,
        )

    second = wait_for(noted, "the second one has joined")["id"]

    def results() -> dict[str, str]:
        return parts(shell.value("trigger", "show", second)["firing"])

    wait_for(lambda: results()["a"] == "succeeded", "a has ended")
    shell.ok("trigger", "stop", second)  # what it joined is not its own to stop
    assert api.phase(fired) == "RUNNING"
    (shell.served.workspace / "go").touch()
    out, err = stays.communicate(timeout=PATIENCE)
    assert stays.returncode == 0, err
    last = {one["id"]: one["status"]["phase"] for one in map(json.loads, out.splitlines())}
    assert last[fired] == "TASK_EXECUTION_PHASE_SUCCEEDED"
    ended = [one["result"] for one in shell.value("trigger", "list", "--limit", "2")["firings"]]
    assert ended == ["FIRING_RESULT_SUCCEEDED", "FIRING_RESULT_STOPPED"]


def test_a_run_in_the_foreground_is_stopped_as_the_firing_that_it_is(shell: Terminal) -> None:
    """By its id, from elsewhere."""
    (shell.served.workspace / "go").unlink(missing_ok=True)
    running = shell.start("run", "--trigger", STARTED)

    def newest() -> dict[str, Any]:
        return dict(shell.value("trigger", "list", "--limit", "1")["firings"][0])

    def runs() -> bool:
        found = newest()
        started = all("taskExecutionId" in one for one in found.get("parts", ()))
        return found["result"].endswith("RUNNING") and started

    wait_for(runs, "it is on record, with its executions")
    shell.ok("trigger", "stop", newest()["id"])
    assert running.wait(PATIENCE) == 3
    assert newest()["result"] == "FIRING_RESULT_STOPPED"


def test_what_had_not_succeeded_is_resumed(shell: Terminal) -> None:
    """By the trigger's name, or the firing's id."""
    failed = shell.run("trigger", "postMachineStart", "--wait", "-o", "json")
    assert failed.returncode == 1
    first = json.loads(failed.stdout)["firing"]
    assert parts(first) == {"bad": "failed", "good": "succeeded"}
    assert shell.run("trigger", first["id"], "--resume", "--wait").returncode == 1
    (shell.served.workspace / "mended").touch()
    resumed = shell.run("trigger", "postMachineStart", "--resume", "--wait", "-o", "json")
    assert resumed.returncode == 0
    assert parts(json.loads(resumed.stdout)["firing"]) == {"bad": "succeeded"}
    assert lines(shell, "good.txt") == ["good"]
    again = shell.value("trigger", "postMachineStart", "--resume")["firing"]
    assert again["id"] == json.loads(resumed.stdout)["firing"]["id"]  # nothing is left to run


def test_what_cannot_be_fired_is_said(shell: Terminal) -> None:
    """A wrong name, an id without --resume, a firing that is not there."""
    wrong = shell.run("trigger", "postEnviromentStart")
    assert (wrong.returncode, "did you mean postEnvironmentStart?" in wrong.stderr) == (2, True)
    assert shell.run("trigger", NOBODY).returncode == 2
    assert shell.run("trigger", "show", NOBODY).returncode == 4
    assert shell.run("trigger", NOBODY, "--resume").returncode == 4
    nothing = shell.run("trigger", "beforeSnapshot")
    assert nothing.returncode == 0
    assert "nothing is started at beforeSnapshot here" in nothing.stderr


def test_a_firing_is_stopped(shell: Terminal) -> None:
    """Its tasks; who waits exits with 3."""
    (shell.served.workspace / "go").unlink(missing_ok=True)
    waiting = shell.start("trigger", STARTED, "--wait")
    firing = wait_for(
        lambda: next(
            (
                one
                for one in shell.value("trigger", "list", "--limit", "1")["firings"]
                if one["result"].endswith("RUNNING") and parts(one).get("a") == "succeeded"
            ),
            None,
        ),
        "it runs",
    )
    shell.ok("trigger", "stop", firing["id"])
    assert waiting.wait(PATIENCE) == 3


def test_an_environment_fires_when_it_is_started(shell: Terminal, api: Api) -> None:
    """All that a first start fires, as one firing."""
    (shell.served.workspace / "go").touch()
    api.call(f"{ENVIRONMENTS}/StopEnvironment", {"environmentId": api.environment})
    stopped = {"environmentId": api.environment}

    def phase() -> str:
        found = api.call(f"{ENVIRONMENTS}/GetEnvironment", stopped)["environment"]["status"]["phase"]
        return str(found).removeprefix("ENVIRONMENT_PHASE_")

    wait_for(lambda: phase() == "STOPPED", "it is stopped")
    refused = shell.run("trigger", STARTED)
    assert refused.returncode == 4
    assert "start it first" in refused.stderr
    before = {one["id"] for one in shell.value("trigger", "list").get("firings", ())}
    api.call(f"{ENVIRONMENTS}/StartEnvironment", stopped)
    wait_for(lambda: phase() == "RUNNING", "it is at work")
    (fresh,) = [one for one in shell.value("trigger", "list")["firings"] if one["id"] not in before]
    assert STARTED in fresh["triggers"]

    def outcome() -> dict[str, str]:
        firing = shell.value("trigger", "show", fresh["id"])["firing"]
        return {} if firing["result"].endswith("RUNNING") else parts(firing)

    found = wait_for(outcome, "all of it has ended")
    assert {one: found[one] for one in ("a", "b", "db")} == dict.fromkeys(("a", "b", "db"), "succeeded")


def _named(command: str, *triggers: str) -> dict[str, Any]:
    return {"command": command, "triggeredBy": triggers}


THREE = "until [ -e one ]; do sleep 0.02; done; touch three; exec sleep 1000"
TOGETHER = json.dumps({
    "tasks": {
        "one": _named("touch one; until [ -e two ]; do sleep 0.02; done", *TRIGGERS),
        "two": _named("touch two; until [ -e three ]; do sleep 0.02; done", *TRIGGERS),
    },
    "services": {
        "three": {
            "commands": {"start": THREE, "ready": "[ -e three ]"},
            "triggeredBy": [one for one in TRIGGERS if one != "beforeSnapshot"],
        },
    },
})  # fmt: skip


def test_each_trigger_starts_all_that_it_names_at_once() -> None:
    """Each of the three waits for another one, so none of them is before the rest; in either environment."""
    with terminal(TOGETHER) as shell:
        api = Api(shell.served.client())
        other = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {})["environment"]["id"]

        def applied() -> bool:
            done = shell.run("update", "-", "--environment", other, stdin=TOGETHER)
            return done.returncode == 0

        wait_for(applied, "the other environment is at work")
        here = ("--environment", api.environment)
        for trigger in TRIGGERS:
            for name in ("one", "two", "three"):
                (shell.served.workspace / name).unlink(missing_ok=True)
            shell.run("service", "stop", "three", *here)
            if trigger == "beforeSnapshot":
                (shell.served.workspace / "three").touch()
            result = shell.run("trigger", trigger, "--wait", "-o", "json", *here)
            assert result.returncode == 0, result.stderr
            named = {"one", "two"} if trigger == "beforeSnapshot" else {"one", "two", "three"}
            assert parts(json.loads(result.stdout)["firing"]) == dict.fromkeys(named, "succeeded"), trigger
        assert shell.run("trigger", "manual", "--wait", "--environment", other).returncode == 0
        fired = [one["environmentId"] for one in shell.value("trigger", "list", *here)["firings"]]
        assert fired.count(api.environment) >= len(TRIGGERS)
        assert other not in fired
        (only,) = shell.value("trigger", "list", "--trigger", "manual", "--environment", other)["firings"]
        assert only["environmentId"] == other


# ---- processes -----------------------------------------------------------------------------------


def test_ps_shows_every_process_also_those_left_behind(shell: Terminal) -> None:
    """With whose they are, what they use, and how old they are."""
    shell.ok("service", "start", "db")
    execution = json.loads(shell.ok("task", "start", "child", "-o", "json"))
    by_reference: dict[str, dict[str, Any]] = {}

    def both() -> bool:
        by_reference.update({one["reference"]: one for one in shell.value("ps")["processes"]})
        return {"db", "child"} <= by_reference.keys()

    wait_for(both, "both are shown")
    child, service = by_reference["child"], by_reference["db"]
    assert child["leftBehind"]
    assert child["taskExecutionId"] == execution["id"]
    assert not service.get("leftBehind")
    assert (service["leader"], service["part"]) == (True, "start")
    for one in (child, service):
        assert one["command"] == "sleep"
        assert int(one["memoryBytes"]) > 0
        assert float(one["age"].removesuffix("s")) >= 0
        assert Path(f"/proc/{one['pid']}").exists()
    text = shell.ok("ps")
    assert re.search(rf"^{child['pid']} +child .* sleep +left behind$", text, re.MULTILINE)
    os.kill(int(child["pid"]), signal.SIGKILL)


# ---- variables -----------------------------------------------------------------------------------


def variables(shell: Terminal, execution_id: str) -> dict[str, str]:
    """What a step of `dump` found."""
    text = (shell.served.workspace / "dumps" / execution_id).read_text()
    return dict(line.split("=", 1) for line in text.split("\0") if line)


def test_a_step_has_the_same_environment_whoever_starts_it(shell: Terminal, api: Api) -> None:
    """From the command line, in the foreground, over the API, by a trigger, at a retry; and as explained."""
    dumps = shell.served.workspace / "dumps"
    dumps.mkdir(exist_ok=True)
    shell.ok("secret", "set", "token", "--environment", api.environment, stdin="hunter2-hunter2")
    task = next(one for one in shell.value("task", "list")["tasks"] if one["metadata"]["reference"] == "dump")
    started = {
        "cli": shell.value("task", "start", "dump")["id"],
        "foreground": json.loads(shell.ok("run", "dump", "-o", "json").splitlines()[-1])["id"],
        "api": api.start(task["id"]),
    }
    fired = shell.run("trigger", "postDevcontainerStart", "--wait", "-o", "json")
    started["trigger"] = json.loads(fired.stdout)["firing"]["parts"][0]["taskExecutionId"]
    (dumps / "once").touch()
    started["retry"] = shell.value("task", "start", "dump")["id"]
    api.until(started["api"], "SUCCEEDED")
    assert api.phase(started["retry"]) == "SUCCEEDED"
    others = {"PHASED_EXECUTION_ID", "PHASED_STEP_ID", "PHASED_OUTPUT", "PHASED_RUN_ID"}
    found = {name: variables(shell, execution) for name, execution in started.items()}
    assert found["retry"]["PHASED_RUN_ID"].endswith(".2")
    same = {
        name: {key: value for key, value in one.items() if key not in others} for name, one in found.items()
    }
    for name, one in same.items():
        assert one == same["cli"], name
    explained = {one["name"]: one for one in shell.value("env", "explain", "dump")["variables"]}
    of_the_shell = {"_", "SHLVL", "OLDPWD"}
    assert found["cli"].keys() - of_the_shell <= explained.keys()
    for name, one in explained.items():
        if "value" in one and name not in of_the_shell:
            assert found["cli"].get(name) == one["value"], name
    assert (explained["TOKEN"].get("value"), explained["TOKEN"]["secret"]) == (None, "token")
    assert found["cli"]["TOKEN"] == "hunter2-hunter2"
    assert explained["PLAIN"]["origin"] == "env of its definition"
    assert "value" not in explained["PHASED_TOKEN"]
    assert "hunter2" not in shell.ok("env", "explain", "dump")


def test_a_secret_that_is_missing_is_seen_before_anything_fails(shell: Terminal) -> None:
    """And a reference that is none is refused, with the likeliest one."""
    text = shell.ok("env", "explain", "lacking")
    assert re.search(r"^X +\(the secret nowhere is missing\)", text, re.MULTILINE)
    refused = shell.run("env", "explain", "lackin")
    assert (refused.returncode, "did you mean lacking?" in refused.stderr) == (4, True)
    assert "PHASED_SERVICE " in shell.ok("env", "explain", "db")


# ---- crashes -------------------------------------------------------------------------------------

CUT_OFF = f"""\
tasks:
  done: {{command: "echo done >> done.txt", triggeredBy: [{STARTED}]}}
  exits:
    command: "echo exits >> exits.txt; [ ! -e armed ] || until [ -e killed ]; do sleep 0.02; done"
    triggeredBy: [{STARTED}]
  cut:
    command: |
      echo cut >> cut.txt
      [ -e armed ] || exit 0
      until [ -e done.txt ] && [ -e exits.txt ] && [ -e tried ]; do sleep 0.02; done
      rm armed
      kill -9 $PPID $(cat daemon.pid)
      touch killed
    triggeredBy: [{STARTED}]
services:
  db: {{commands: {{start: "exec sleep 1000", ready: "touch tried; [ -e up ]"}}, triggeredBy: [{STARTED}]}}
"""


def test_what_was_cut_off_before_it_succeeded_does_not_count_as_done() -> None:
    """Daemon and supervisor are killed by a task of the firing: no exit code of it, no ready service.

    What had succeeded is not run again, what had not is: by `--resume`.
    """
    with terminal(CUT_OFF) as shell:
        api = Api(shell.served.client())
        workspace = shell.served.workspace
        (workspace / "armed").touch()
        (workspace / "daemon.pid").write_text(str(shell.served.pid))
        firing = shell.ok("trigger", STARTED).strip()
        assert shell.served.process.wait(PATIENCE) == -signal.SIGKILL
        shell.served.start()
        shown = shell.value("trigger", "show", firing)["firing"]
        assert (shown["result"], parts(shown)["db"]) == ("FIRING_RESULT_RUNNING", "running")
        (workspace / "up").touch()
        shown = api.call(f"{NATIVE}/GetFiring", {"id": firing, "wait": "60s"})["firing"]
        while shown["result"].endswith("RUNNING"):
            shown = api.call(f"{NATIVE}/GetFiring", {"id": firing, "wait": "60s"})["firing"]
        assert shown["result"] == "FIRING_RESULT_INTERRUPTED"
        assert parts(shown)["done"] == "succeeded"
        assert parts(shown)["cut"] == "interrupted"
        resumed = shell.run("trigger", STARTED, "--resume", "--wait", "-o", "json")
        assert resumed.returncode == 0, resumed.stderr
        rest = json.loads(resumed.stdout)["firing"]
        assert rest["resumes"] == firing
        assert parts(rest)["cut"] == "succeeded"
        assert "done" not in parts(rest)
        assert (lines(shell, "done.txt"), lines(shell, "cut.txt")) == (["done"], ["cut", "cut"])


# ---- many ----------------------------------------------------------------------------------------


def test_a_hundred_tasks_are_fired_by_one_call() -> None:
    """All of them run; their number in one file of their own."""
    tasks = {
        f"t{number}": {"command": "echo x >> count.txt", "triggeredBy": [STARTED], "dependsOn": ["gen"]}
        for number in range(100)
    }
    with terminal(json.dumps({"tasks": {"gen": {"command": "echo gen >> gen.txt"}, **tasks}})) as shell:
        api = Api(shell.served.client())
        body = {"environmentId": api.environment, "trigger": STARTED}
        began = time.monotonic()
        firing = api.call(f"{NATIVE}/FireTrigger", body)["firing"]
        print(f"answered in {time.monotonic() - began:.3f} s")  # a number for who reads it; no threshold here
        while firing["result"].endswith("RUNNING"):
            firing = api.call(f"{NATIVE}/GetFiring", {"id": firing["id"], "wait": "30s"})["firing"]
        assert firing["result"].endswith("SUCCEEDED")
        assert len(lines(shell, "count.txt")) == 100
        assert lines(shell, "gen.txt") == ["gen"]
