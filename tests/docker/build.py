"""Runners over a real engine, requests for containers, and what the engine has of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from phased.engine.clock import SystemClock
from phased.ports import ContainerRequest, RunRequest
from phased.runners.containers import RunnerWithContainers
from phased.settings.sections import DockerSettings
from tests.runners.build import MARKER, Place

IMAGE = os.environ.get("PHASED_TEST_IMAGE", "rig/busybox")
"""It has `sh`, `ps`, `grep` and `sleep`; the rig's has no network."""


class Boxes:
    """One place, one engine."""

    def __init__(self, place: Place, host: str) -> None:
        self.place = place
        self.host = host
        self.settings = DockerSettings(network="none")

    @asynccontextmanager
    async def runner(self, **settings: Any) -> AsyncIterator[RunnerWithContainers]:
        """As a daemon has it; leaving it ends nothing."""
        base = {"PATH": os.environ["PATH"], MARKER: str(self.place.root), "DOCKER_HOST": self.host}
        chosen = replace(self.settings, **settings)
        async with (
            self.place.runner(environment=base) as processes,
            RunnerWithContainers(processes, self.place.state, base, chosen, SystemClock()) as runner,
        ):
            yield runner

    def request(
        self,
        command: str,
        *,
        image: str = IMAGE,
        given: Sequence[str] = (),
        inside: str = "",
        **environment: str,
    ) -> RunRequest:
        """A run in a container."""
        made = self.place.request(command, **environment)
        return replace(made, container=ContainerRequest(image, tuple(given), {}, inside))

    def names(self) -> list[str]:
        """The containers of this place, running or not."""
        label = f"label=phased.state={self.place.state}"
        return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine says of one."""
        found: list[dict[str, Any]] = json.loads(docker("container", "inspect", name))
        return found[0]

    def runs(self, name: str) -> bool:
        """Whether it is there and runs."""
        return name in self.names() and bool(self.inspect(name)["State"]["Running"])

    def remove_all(self) -> None:
        """Whatever a failed test has left."""
        for name in self.names():
            docker("rm", "--force", name)


def docker(*words: str) -> str:
    """What the client answers."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout
