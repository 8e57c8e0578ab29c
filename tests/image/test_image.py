"""The image of this repository, built without a network and run: as process 1, and under another init.

Needs a container engine at DOCKER_HOST, and in PHASED_TEST_IMAGE_BASE the name of an image that it has, with
the Python of this suite and its venv module. Never part of `make test`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0
FILE: Final = """\
tasks:
  lasting: {command: "while ! test -e go; do sleep 0.1; done"}
  stubborn: {command: "trap '' TERM; while :; do sleep 0.1; done"}
"""


def docker(*arguments: str, check: bool = True) -> str:
    """What the engine's client prints."""
    done = subprocess.run(
        ["docker", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert not check or done.returncode == 0, (arguments, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout.strip()


def call(*module: str) -> None:
    """A program of this Python, which has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def wait_for(holds: Callable[[], Any], what: str) -> Any:
    """Wait until this holds; the one place that looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Built from the wheel and those of its dependencies."""
    base = os.environ.get("PHASED_TEST_IMAGE_BASE")
    if not base or not os.environ.get("DOCKER_HOST"):
        pytest.skip("run by `make test-image`, which needs a container engine and the name of a base image")
    context = tmp_path_factory.mktemp("context")
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / name, context / name)
    wheels = context / "dist"
    call("hatchling", "build", "-t", "wheel", "--directory", str(wheels))
    (own,) = wheels.glob("*.whl")
    call("pip", "download", "-q", "-d", str(wheels), "-c", str(ROOT / "constraints.txt"), str(own))
    name = f"phased-test-{uuid4().hex[:8]}"
    arguments = ["--build-arg", f"BASE={base}", "--build-arg", "PIP_OPTIONS=--no-index"]
    docker("build", "--network=none", *arguments, "-t", name, str(context))
    yield name
    docker("image", "rm", "-f", name, check=False)


class Box:
    """A container of the image, and the program in it."""

    def __init__(self, image: str, *options: str) -> None:
        self.id = docker("run", "-d", "--network=none", *options, image)

    def phased(self, *arguments: str) -> str:
        """What the program prints."""
        return docker("exec", self.id, "phased", *arguments)

    def value(self, *arguments: str) -> Any:
        """The same as JSON."""
        return json.loads(self.phased(*arguments, "-o", "json"))

    def ready(self) -> Any:
        """Wait until the daemon answers; what it says of itself."""

        def status() -> Any:
            return docker("exec", self.id, "phased", "status", "-o", "json", check=False)

        return json.loads(wait_for(status, "a daemon that answers"))["daemon"]

    def start(self, task: str) -> str:
        """Define the tasks and start one; its execution's id, once it runs."""
        write = "mkdir -p .ona && cat > .ona/automations.yaml"
        docker("exec", self.id, "sh", "-c", f"{write} << 'END'\n{FILE}END")
        self.phased("update")
        execution = self.phased("task", "start", task, "--dont-wait")
        wait_for(lambda: self.phase(execution) == "RUNNING", "it runs")
        return execution

    def phase(self, execution: str) -> str:
        """Of an execution."""
        value = self.value("executions", execution)
        return str(value["status"].get("phase", "")).removeprefix("TASK_EXECUTION_PHASE_")


@pytest.fixture
def run(image: str) -> Iterator[Callable[..., Box]]:
    """Starts containers; they are removed at the end."""
    made: list[Box] = []

    def run(*options: str) -> Box:
        made.append(Box(image, *options))
        return made[-1]

    yield run
    for box in made:
        docker("rm", "-f", "-v", box.id, check=False)


def test_as_process_1_a_crash_loses_no_step(run: Callable[..., Box]) -> None:
    """And nothing runs as root."""
    box = run()
    first = box.ready()
    assert "init.py" in docker("exec", box.id, "cat", "/proc/1/cmdline")
    assert docker("exec", box.id, "id", "-u") == "1000"
    execution = box.start("lasting")
    docker("exec", box.id, "sh", "-c", f"kill -9 {first['pid']}")
    wait_for(lambda: box.ready()["pid"] != first["pid"], "another daemon")
    assert box.phase(execution) == "RUNNING"
    docker("exec", box.id, "touch", "go")
    wait_for(lambda: box.phase(execution) == "SUCCEEDED", "its end")


@pytest.mark.parametrize("options", [(), ("--init",)])
def test_docker_stop_is_a_graceful_end(run: Callable[..., Box], options: tuple[str, ...]) -> None:
    """The container ends by itself, and its exit code says so."""
    box = run(*options)
    box.ready()
    box.start("lasting")
    docker("stop", "-t", "60", box.id)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", box.id) == "0"
    said = docker("logs", box.id, check=False)
    assert "killed" not in said


def test_docker_stop_is_in_time_where_a_step_does_not_listen(run: Callable[..., Box]) -> None:
    """Its state is there for the next container."""
    volume = f"phased-test-{uuid4().hex[:8]}"
    try:
        box = run("-v", f"{volume}:/var/lib/phased")
        box.ready()
        execution = box.start("stubborn")
        docker("stop", box.id)
        assert docker("inspect", "-f", "{{.State.OOMKilled}}", box.id) == "false"
        other = run("-v", f"{volume}:/var/lib/phased")
        other.ready()
        assert other.phase(execution) in {"FAILED", "STOPPED"}
        docker("rm", "-f", box.id, other.id)
    finally:
        docker("volume", "rm", "-f", volume, check=False)


def test_it_is_small(run: Callable[..., Box]) -> None:
    """With nothing to do: process 1 and the daemon take less than 90 MB."""
    box = run()
    box.ready()
    found = docker("exec", box.id, "sh", "-c", "cat /proc/[0-9]*/status | grep VmRSS")
    cat = 1  # the command that reads is there, too, and small
    sizes = sorted(int(line.split()[1]) for line in found.splitlines())
    assert sum(sizes[cat:]) < 90_000, sizes


def test_the_example_starts_the_daemon_and_fires_its_triggers(image: str) -> None:
    """In an image of somebody else's, beside its own command."""
    base = os.environ["PHASED_TEST_IMAGE_BASE"]
    name = f"{image}-example"
    configs = ROOT / "configs"
    arguments = ["--build-arg", f"PHASED={image}", "--build-arg", f"BASE={base}", "-t", name]
    file = str(configs / "image" / "Dockerfile")
    docker("build", "--network=none", "-f", file, *arguments, str(configs))
    box = Box(name, "--init")
    try:
        wait_for(lambda: "sleep" in docker("exec", box.id, "ps", "-eo", "comm", check=False), "its command")
        fired = box.phased("trigger", "list")
        assert "postMachineStart" in fired
        assert "postEnvironmentStart" in fired
    finally:
        docker("rm", "-f", "-v", box.id)
        docker("image", "rm", "-f", name)
