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

from tests.api.daemon import Daemon, daemon, wait_for
from tests.docker.build import IMAGE, docker

FILE = f"""
services:
  db:
    name: db
    commands:
      start: echo starting; until [ -e go ]; do sleep 0.1; done; touch /tmp/up; sleep 1000
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
    command: echo one; until [ -e go ]; do sleep 0.1; done; echo two; exit 5
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


def phased(made: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb of the command line, at this daemon."""
    return subprocess.run(
        [*command(made), *words],
        env=made.environment({"PHASED_SOCKET": str(made.socket)}),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def command(made: Daemon) -> list[str]:
    """The program, in this daemon's directories."""
    return [sys.executable, "-m", "phased", "-C", str(made.workspace), "--state-dir", str(made.state)]


def start(made: Daemon) -> None:
    """Its containers have no network: not every engine has one."""
    made.start(env={"PHASED_DOCKER_NETWORK": "none"})


def test_a_task_hands_outputs_on_and_finds_the_way_back(one: Daemon) -> None:
    """As on the machine itself; afterwards no container is left."""
    start(one)
    done = phased(one, "task", "start", "use")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "value own" in phased(one, "logs", "use").stdout
    explained = json.loads(phased(one, "-o", "json", "env", "explain", "use").stdout)
    assert "runsOn.docker.environment" in json.dumps(explained)
    wait_for(lambda: not names_of(one), "no container is left")


def test_a_daemon_that_was_killed_takes_containers_over(one: Daemon) -> None:
    """A task and a service go on; their log is whole, their end is known."""
    start(one)
    assert phased(one, "service", "start", "db").returncode == 0
    waiting = subprocess.Popen(
        [*command(one), "task", "start", "long"],
        env=one.environment({"PHASED_SOCKET": str(one.socket)}),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: phased(one, "logs", "long").stdout == "one\n", "its first line")
        wait_for(lambda: len(names_of(one)) == 2, "both containers")
        os.kill(one.pid, signal.SIGKILL)
        one.process.wait()
        start(one)
        assert {"long", "db"} <= set(phased(one, "ps").stdout.split())
        (one.workspace / "go").touch()
        wait_for(lambda: "exit code 5" in phased(one, "executions").stdout, "its end")
        wait_for(lambda: "running" in phased(one, "service", "list").stdout, "it is ready")
        assert phased(one, "logs", "long").stdout == "one\ntwo\n"
        assert phased(one, "service", "stop", "db").returncode == 0
        wait_for(lambda: not names_of(one), "no container is left")
    finally:
        waiting.kill()
        waiting.wait()


@pytest.mark.skipif("PHASED_TEST_RESTART" not in os.environ, reason="PHASED_TEST_RESTART is no command")
def test_an_engine_that_crashes_and_comes_back_loses_nothing(one: Daemon) -> None:
    """PHASED_TEST_RESTART kills the engine and starts it again; it has live-restore."""
    start(one)
    asked = phased(one, "service", "start", "db")
    assert asked.returncode == 0
    wait_for(lambda: "starting" in phased(one, "logs", "db").stdout, "its first line")
    subprocess.run(os.environ["PHASED_TEST_RESTART"], shell=True, check=True, timeout=120)
    Path(one.workspace / "go").touch()
    wait_for(lambda: "running" in phased(one, "service", "list").stdout, "it is ready")
    assert phased(one, "service", "stop", "db").returncode == 0
    wait_for(lambda: not names_of(one), "no container is left")
