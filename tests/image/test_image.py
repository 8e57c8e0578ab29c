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
def base() -> str:
    """The image that others are built from."""
    found = os.environ.get("PHASED_TEST_IMAGE_BASE")
    if not found or not os.environ.get("DOCKER_HOST"):
        pytest.skip("run by `make test-image`, which needs a container engine and the name of a base image")
    return found


@pytest.fixture(scope="session")
def context(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to build in: the wheel and those of its dependencies, for the base's Python."""
    folder = tmp_path_factory.mktemp("context")
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / name, folder / name)
    wheels = folder / "dist"
    call("hatchling", "build", "-t", "wheel", "--directory", str(wheels))
    (own,) = wheels.glob("*.whl")
    ask = 'import sys; print("%d.%d" % sys.version_info[:2])'
    version = docker("run", "--rm", "--network=none", base, "python3", "-c", ask)
    wanted = ["--only-binary", ":all:", "--python-version", version, "-c", str(ROOT / "constraints.txt")]
    call("pip", "download", "-q", "--retries", "10", "-d", str(wheels), *wanted, str(own))
    return folder


@pytest.fixture(scope="session")
def image(base: str, context: Path) -> Iterator[str]:
    """Built from the wheel and those of its dependencies."""
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

    def said(self) -> str:
        """What the container has written."""
        done = subprocess.run(
            ["docker", "logs", self.id], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout + done.stderr

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
    assert "killed" not in box.said()


def test_docker_stop_is_in_time_where_a_step_does_not_listen(run: Callable[..., Box]) -> None:
    """Its state is there for the next container."""
    volume = f"phased-test-{uuid4().hex[:8]}"
    try:
        box = run("-v", f"{volume}:/var/lib/phased")
        box.ready()
        execution = box.start("stubborn")
        docker("stop", "-t", "60", box.id)  # its own limit is below docker's ten seconds
        code = docker("inspect", "-f", "{{.State.ExitCode}}", box.id)
        assert code == "0" or "does not end in time; all is killed" in box.said()
        other = run("-v", f"{volume}:/var/lib/phased")
        other.ready()
        assert other.phase(execution) in {"FAILED", "STOPPED"}
        docker("rm", "-f", box.id, other.id)
    finally:
        docker("volume", "rm", "-f", volume, check=False)


def test_its_health_is_the_daemons(run: Callable[..., Box]) -> None:
    """One that hangs makes the container unhealthy."""
    box = run(
        "--health-interval=1s", "--health-timeout=20s", "--health-retries=1", "--health-start-period=0s"
    )
    pid = box.ready()["pid"]
    health = ["inspect", "-f", "{{.State.Health.Status}}", box.id]
    wait_for(lambda: docker(*health) == "healthy", "it is healthy")
    docker("exec", box.id, "sh", "-c", f"kill -STOP {pid}")
    wait_for(lambda: docker(*health) == "unhealthy", "it is not")


def test_it_is_small(run: Callable[..., Box]) -> None:
    """With nothing to do: process 1 and the daemon take less than 90 MB."""
    box = run("--no-healthcheck")
    box.ready()
    found = docker("exec", box.id, "sh", "-c", "cat /proc/[0-9]*/status | grep VmRSS")
    cat = 1  # the command that reads is there, too, and small
    sizes = sorted(int(line.split()[1]) for line in found.splitlines())
    print(f"resident with nothing to do: {sum(sizes[cat:]) * 1.024 / 1000:.1f} MB")
    assert sum(sizes[cat:]) * 1.024 < 90_000, sizes


FEATURE: Final = """\
ARG BASE
FROM ${BASE}
COPY dist /wheels
COPY feature /feature
RUN cd /feature && PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels sh ./install.sh
RUN install -d -o 1000 -g 1000 /workspace /home/user
ENV HOME=/home/user
USER 1000:1000
WORKDIR /workspace
CMD ["sleep", "infinity"]
"""
HOOKS: Final = """\
tasks:
  made: {command: touch made, triggeredBy: [postDevcontainerStart]}
  up: {command: touch up, triggeredBy: [postEnvironmentStart]}
"""


def test_the_dev_container_feature_starts_the_daemon_and_fires_its_triggers(
    base: str, context: Path, tmp_path: Path
) -> None:
    """As a dev container's tool does it: install.sh as root, then its two commands as the user."""
    shutil.copytree(ROOT / "configs" / "devcontainer-feature", tmp_path / "feature")
    shutil.copytree(context / "dist", tmp_path / "dist")
    feature = json.loads((tmp_path / "feature" / "devcontainer-feature.json").read_text())
    assert {"id", "version", "name"} <= feature.keys()
    (tmp_path / "Dockerfile").write_text(FEATURE)
    name = f"phased-test-{uuid4().hex[:8]}"
    docker("build", "--network=none", "--build-arg", f"BASE={base}", "-t", name, str(tmp_path))
    box = Box(name, "--init")
    try:
        write = "mkdir -p .ona && cat > .ona/automations.yaml"
        docker("exec", box.id, "sh", "-c", f"{write} << 'END'\n{HOOKS}END")
        for command in (feature["postCreateCommand"], feature["postStartCommand"]):
            docker("exec", box.id, "sh", "-c", command)
        wait_for(lambda: {"made", "up"} <= set(docker("exec", box.id, "ls").split()), "both tasks have run")
        assert box.value("status")["daemon"]["version"]
    finally:
        docker("rm", "-f", "-v", box.id, check=False)
        docker("image", "rm", "-f", name, check=False)


def test_the_example_starts_the_daemon_and_fires_its_triggers(image: str, base: str) -> None:
    """In an image of somebody else's, beside its own command."""
    name = f"{image}-example"
    configs = ROOT / "configs"
    arguments = ["--build-arg", f"PHASED={image}", "--build-arg", f"BASE={base}", "-t", name]
    file = str(configs / "image" / "Dockerfile")
    docker("build", "--network=none", "-f", file, *arguments, str(configs))
    box = Box(name, "--init")
    try:
        ask = ["exec", box.id, "ps", "-eo", "args"]
        wait_for(lambda: "sleep infinity" in docker(*ask, check=False).splitlines(), "its command")
        fired = box.phased("trigger", "list")
        assert "postMachineStart" in fired
        assert "postEnvironmentStart" in fired
    finally:
        docker("rm", "-f", "-v", box.id)
        docker("image", "rm", "-f", name)
