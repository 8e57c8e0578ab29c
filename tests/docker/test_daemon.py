"""Steps in containers as a user has them: a whole daemon, killed and started again."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phased.access.identity import Installation
from tests.api.daemon import NATIVE, TASKS, Api, Daemon, daemon, wait_for
from tests.docker.build import ENGINE, IMAGE, docker, options

FILE = f"""
services:
  db:
    name: db
    commands:
      start: touch began; until [ -e go ]; do sleep 0.1; done; touch /tmp/up; echo up; sleep 1000
      ready: test -e /tmp/up
    runsOn: {{docker: {{image: {IMAGE}}}}}
tasks:
  make:
    name: make
    command: echo KEY=value >> "$PHASED_OUTPUT"
    runsOn: {{docker: {{image: {IMAGE}}}}}
  use:
    name: use
    dependsOn: [make]
    command: echo "$PHASED_OUTPUT_MAKE_KEY $IMAGES"; test -S "$PHASED_SOCKET" && test -n "$PHASED_TOKEN"
    runsOn: {{docker: {{image: {IMAGE}, environment: [IMAGES=own]}}}}
  long:
    name: long
    command: echo one; touch at-work; until [ -e go ]; do sleep 0.1; done; echo two; exit 5
    runsOn: {{docker: {{image: {IMAGE}}}}}
"""


@pytest.fixture
def one(engine: str) -> Iterator[Daemon]:
    """A daemon over an engine of containers; not started yet, its file is there."""
    assert engine is not None
    with daemon() as made:
        (made.workspace / ".ona").mkdir()
        (made.workspace / ".ona" / "automations.yaml").write_text(FILE)
        try:
            yield made
        finally:
            for name in names_of(made):
                docker("rm", "--force", name)


def names_of(made: Daemon) -> list[str]:
    """Its containers."""
    return docker(
        "ps", "-a", "--filter", f"label=phased.state={made.state}", "--format", "{{.Names}}"
    ).split()


def phased(made: Daemon, *words: str) -> str:
    """What a verb of the command line says, at this daemon."""
    places = ["-C", str(made.workspace), "--state-dir", str(made.state)]
    done = subprocess.run(
        [sys.executable, "-m", "phased", *places, *words],
        env=made.environment({"PHASED_SOCKET": str(made.socket)}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(made: Daemon, **env: str) -> Api:
    """Its containers have no network: not every engine has one."""
    settings = {
        "PHASED_DOCKER_NETWORK": "none",
        "PHASED_DOCKER_ENGINE": ENGINE,
        "PHASED_DOCKER_OPTIONS": ",".join(options()),
    }
    made.start(env={**settings, **env})
    return Api(made.client())


def id_of(api: Api, reference: str) -> str:
    """A task's id."""
    tasks = api.call(f"{TASKS}/ListTasks")["tasks"]
    return str(next(task["id"] for task in tasks if task["metadata"]["reference"] == reference))


def service_is(api: Api, phase: str) -> bool:
    """Whether the one service is in this phase."""
    (service,) = api.call(f"{TASKS}/ListServices")["services"]
    return bool(service["status"]["phase"] == f"SERVICE_PHASE_{phase}")


def log_of(made: Daemon, name: str) -> str:
    """What a file of a log has, found by the name of its folder or its own."""
    return "".join(path.read_text() for path in made.state.glob("runs/*/*.log") if name in str(path))


def test_a_task_hands_outputs_on_and_finds_the_way_back(one: Daemon) -> None:
    """As on the machine itself; afterwards no container is left."""
    api = start(one)
    execution = api.start(id_of(api, "use"))
    api.until(execution, "SUCCEEDED")
    assert log_of(one, execution) == "value own\n"
    explained = json.loads(phased(one, "-o", "json", "env", "explain", "use"))
    assert "runsOn.docker.environment" in json.dumps(explained)
    wait_for(lambda: not names_of(one), "no container is left")


@pytest.mark.skipif(os.geteuid() != 0 or ENGINE != "docker", reason="needs root, and docker's socket")
def test_a_user_who_may_not_use_the_engine_is_told_the_way_out(one: Daemon) -> None:
    """A daemon of root runs the client as the workspace's owner, who is not in the socket's group."""
    one.home.chmod(0o711)
    nobody = pwd.getpwnam("nobody")
    for path in (one.workspace, *one.workspace.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    api = start(one, PHASED_DOCKER_HOST=os.environ["DOCKER_HOST"])
    ended = api.until(api.start(id_of(api, "make")), "FAILED")
    said = ended["status"]["failureMessage"]
    assert "the container engine may not be used: permission denied; add the user of the steps to" in said
    assert names_of(one) == []


def test_an_environments_class_says_what_its_containers_get(one: Daemon) -> None:
    """Its network, before that of the settings; the settings' further options too."""
    options_too = ",".join([*options(), "--hostname=boxed"])
    classes = json.dumps([{"name": "boxed", "configuration": {"network": "host", "pullPolicy": "never"}}])
    api = start(one, PHASED_ENVIRONMENTS_CLASSES=classes, PHASED_DOCKER_OPTIONS=options_too)
    found = json.loads(phased(one, "-o", "json", "environment", "create", "--class", class_id(one, "boxed")))
    spec = {"command": "hostname; exec sleep 1000", "runsOn": {"docker": {"image": IMAGE}}}
    body = {"environmentId": found["environment"]["id"], "metadata": {"reference": "box"}, "spec": spec}
    task = api.call(f"{TASKS}/CreateTask", body)["task"]["id"]
    execution = api.start(task)
    wait_for(lambda: log_of(one, execution) == "boxed\n", "its output")
    (name,) = names_of(one)
    mode = docker("container", "inspect", "--format", "{{.HostConfig.NetworkMode}}", name)
    assert mode == "host\n"
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    wait_for(lambda: not names_of(one), "no container is left")


def class_id(made: Daemon, name: str) -> str:
    """An environment class's id, by its name: a UUIDv5 of the installation's."""
    return Installation((made.state / "installation").read_text().strip()).class_id(name)


def test_a_daemon_that_was_killed_takes_containers_over(one: Daemon) -> None:
    """A task and a service go on; their log is whole, their end is known."""
    api = start(one)
    phased(one, "service", "start", "db")
    execution = api.start(id_of(api, "long"))
    wait_for(lambda: (one.workspace / "began").exists() and (one.workspace / "at-work").exists(), "both run")
    wait_for(lambda: log_of(one, execution) == "one\n", "its first line")
    os.kill(one.pid, signal.SIGKILL)
    one.process.wait()
    api = start(one)
    shown = api.call(f"{NATIVE}/ListProcesses")["processes"]
    assert {"long", "db"} <= {process["reference"] for process in shown}
    (one.workspace / "go").touch()
    ended = api.until(execution, "FAILED")
    assert "exit code 5" in ended["status"]["failureMessage"]
    wait_for(lambda: service_is(api, "RUNNING"), "the service is ready")
    assert log_of(one, execution) == "one\ntwo\n"
    phased(one, "service", "stop", "db")
    wait_for(lambda: service_is(api, "STOPPED"), "the service is stopped")
    wait_for(lambda: not names_of(one), "no container is left")


@pytest.mark.skipif(
    ENGINE != "docker" or "PHASED_TEST_RESTART" not in os.environ,
    reason="PHASED_TEST_RESTART names no command that restarts docker",
)
def test_an_engine_that_crashes_and_comes_back_loses_nothing(one: Daemon) -> None:
    """PHASED_TEST_RESTART kills the engine and starts it again; it has live-restore."""
    api = start(one)
    execution = api.start(id_of(api, "long"))
    wait_for(lambda: log_of(one, execution) == "one\n", "its first line")
    subprocess.run(os.environ["PHASED_TEST_RESTART"], shell=True, check=True, timeout=120)
    Path(one.workspace / "go").touch()
    ended = api.until(execution, "FAILED")
    assert "exit code 5" in ended["status"]["failureMessage"]
    said = log_of(one, execution).splitlines()
    assert (said[0], said[-1]) == ("one", "two")
    assert (said.count("one"), said.count("two")) == (1, 1)
    wait_for(lambda: not names_of(one), "no container is left")


@pytest.mark.skipif(ENGINE != "docker", reason="the benchmark is of docker")
def test_the_benchmark_has_every_row(engine: str, tmp_path: Path) -> None:
    """How long a step takes is no test's business."""
    assert engine
    file = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks.docker", "--rounds", "1", "--json", str(file)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert [one["limit"] for one in json.loads(file.read_text())] == [0, 0, 60, 60]
