"""Steps in containers as a user has them: a whole daemon, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import NATIVE, TASKS, Api, Daemon, daemon, wait_for
from tests.docker.build import IMAGE, docker

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
    assert engine
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


def start(made: Daemon) -> Api:
    """Its containers have no network: not every engine has one."""
    made.start(env={"PHASED_DOCKER_NETWORK": "none"})
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


@pytest.mark.skipif("PHASED_TEST_RESTART" not in os.environ, reason="PHASED_TEST_RESTART names no command")
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
