"""Steps that call the daemon back, and what they hand on to others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, TASKS, Api, Daemon, daemon, wait_for

MANY = 600
"""Outputs of a step, each of as many characters as are allowed."""


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon that runs one step of an execution at a time, with `phased` on the PATH of its steps."""
    with daemon() as made:
        folder = made.home / "bin"
        folder.mkdir()
        phased = folder / "phased"
        phased.write_text(f'#!/bin/sh\nexec {sys.executable} -m phased "$@"\n')
        phased.chmod(0o755)
        path = made.environment().get("PATH", "/usr/bin:/bin")
        made.start(env={"PATH": f"{folder}:{path}", "PHASED_RUN_MAX_PARALLEL": "1"})
        yield made


@pytest.fixture(scope="module")
def api(served: Daemon) -> Api:
    """Its methods."""
    return Api(served.client())


def apply(api: Api, file: dict[str, object], environment: str = "") -> None:
    """Define this."""
    body = {"environmentId": environment or api.environment, "content": json.dumps(file)}
    api.call(f"{NATIVE}/ApplyFile", body)


def start(api: Api, reference: str) -> str:
    """Start a task; the execution's id."""
    tasks = api.call(f"{TASKS}/ListTasks", {"filter": {"references": [reference]}})["tasks"]
    return api.start(next(one for one in tasks if one["environmentId"] == api.environment)["id"])


def run(api: Api, reference: str) -> str:
    """Run a task to its end; its log."""
    execution = api.until(start(api, reference), "SUCCEEDED", "FAILED", "STOPPED")
    log = api.client.get(execution["status"]["logUrl"], params={"follow": "0"}).text
    assert execution["status"]["phase"].endswith("SUCCEEDED"), (execution["status"], log)
    return log


def test_steps_start_services_and_tasks_and_apply_files(api: Api, served: Daemon) -> None:
    """One inside another, though only one step at a time may run: each execution counts for itself."""
    made = json.dumps({"tasks": {"generated": {"command": "echo generated >> order.txt"}}})
    apply(api, {
        "tasks": {
            "outer": {"command": "phased service start db && phased task start middle"
                                 " && echo outer >> order.txt"},
            "middle": {"command": "phased task start inner && echo middle >> order.txt"},
            "inner": {"command": f"echo '{made}' | phased update - && phased task start generated"
                                 " && phased trigger postMachineStart --wait && echo inner >> order.txt"},
            "fired": {"command": "echo fired >> order.txt", "triggeredBy": ["postMachineStart"]},
        },
        "services": {"db": {"commands": {"start": "touch db.up; exec sleep 1000", "ready": "[ -e db.up ]"}}},
    })  # fmt: skip
    run(api, "outer")
    order = (served.workspace / "order.txt").read_text().split()
    assert order == ["generated", "fired", "inner", "middle", "outer"]
    (service,) = api.call(f"{TASKS}/ListServices")["services"]
    wait_for(
        lambda: api.call(f"{TASKS}/GetService", {"id": service["id"]})["service"]["status"]["phase"].endswith(
            "RUNNING"
        ),
        "the service is ready",
    )


def test_a_step_reaches_its_own_environment_alone(api: Api, served: Daemon) -> None:
    """Another one is not even there for it."""
    other = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {})["environment"]["id"]
    wait_for(
        lambda: api.call(f"{ENVIRONMENTS}/GetEnvironment", {"environmentId": other})["environment"]["status"][
            "phase"
        ].endswith("RUNNING"),
        "the other is at work",
    )
    apply(api, {"tasks": {"secretive": {"command": "true", "triggeredBy": ["prebuild"]}}}, other)
    apply(api, {"tasks": {"nosy": {"command": (
        f"phased task list --environment {other}; phased task start secretive --environment {other};"
        f" phased trigger prebuild --environment {other}; phased ps -o json > ps.json;"
        " phased environment list -o json > seen.json"
    )}}})  # fmt: skip
    execution = api.until(start(api, "nosy"), "SUCCEEDED", "FAILED")
    log = api.client.get(execution["status"]["logUrl"], params={"follow": "0"}).text
    assert log.count("cannot find") >= 2, log
    listed = api.call(f"{NATIVE}/ListFirings", {"environmentIds": [other], "triggers": ["prebuild"]})
    assert "firings" not in listed
    seen = json.loads((served.workspace / "seen.json").read_text())["environments"]
    assert [one["id"] for one in seen] == [api.environment]
    processes = json.loads((served.workspace / "ps.json").read_text())["processes"]
    assert {one["environmentId"] for one in processes} == {api.environment}


def test_outputs_reach_what_depends_on_a_step(api: Api) -> None:
    """Set by the command, or by the file; an empty value removes; names that clash are refused."""
    apply(api, {"tasks": {
        "make-it": {"command": "phased output set version=1.2 gone=x; phased output set gone=;"
                               " phased output set VERSION=2 || echo refused;"
                               " echo path=/x=y >> $PHASED_OUTPUT"},
        "use": {"command": "env | grep ^PHASED_OUTPUT_ | sort", "dependsOn": ["make-it"]},
    }})  # fmt: skip
    log = run(api, "use")
    said = [line.rpartition("| ")[2] for line in log.splitlines()]
    assert [line for line in said if line.startswith("PHASED_OUTPUT_MAKE_IT_")] == [
        "PHASED_OUTPUT_MAKE_IT_PATH=/x=y", "PHASED_OUTPUT_MAKE_IT_VERSION=1.2",
    ]  # fmt: skip
    assert "refused" in log


def test_many_large_outputs_are_handed_on_by_a_file(api: Api) -> None:
    """Beyond what an environment can hold; sourced, each is there."""
    value = "v" * 4096
    apply(api, {"tasks": {
        "much": {"command": f"v=$(head -c 4096 /dev/zero | tr '\\0' v); i=0; while [ $i -lt {MANY} ]; do"
                            " echo key$i=$v; i=$((i + 1)); done >> $PHASED_OUTPUT;"
                            ' echo "last=it\'s" >> $PHASED_OUTPUT'},
        "all": {"command": '[ -z "$PHASED_OUTPUT_MUCH_KEY0" ] && . "$PHASED_OUTPUTS" && ls / > /dev/null'
                           f' && echo "${{#PHASED_OUTPUT_MUCH_KEY0}} ${{#PHASED_OUTPUT_MUCH_KEY{MANY - 1}}}'
                           ' $PHASED_OUTPUT_MUCH_LAST"', "dependsOn": ["much"]},
    }})  # fmt: skip
    execution = start(api, "all")
    ended = api.until(execution, "SUCCEEDED", "FAILED")
    log = api.client.get(ended["status"]["logUrl"], params={"follow": "0"}).text
    assert "4096 4096 it's" in log, (ended["status"]["phase"], log)
    much = max(ended["status"]["steps"], key=lambda step: len(step.get("output", {})))
    assert len(much["output"]) == MANY + 1
    assert much["output"]["key0"] == value
