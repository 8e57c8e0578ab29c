"""Runners over a real engine, requests for containers, and what the engine has of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteStream, SocketStream

from phased.engine.clock import SystemClock
from phased.ports import ContainerRequest, RunRequest
from phased.runners.containers import RunnerWithContainers
from phased.settings.sections import DockerSettings
from tests.runners.build import MARKER, Place

ENGINE = os.environ.get("PHASED_TEST_ENGINE", "docker")
"""The client: `docker`, or `podman` (then with catatonit, or docker's init, as its init)."""
IMAGE = os.environ.get("PHASED_TEST_IMAGE", "rig/busybox")
"""It has `sh`, `ps`, `grep` and `sleep`; the rig's has no network."""


class Boxes:
    """One place, one engine."""

    def __init__(self, place: Place, host: str) -> None:
        self.place = place
        self.host = host
        self.settings = DockerSettings(engine=ENGINE, network="none", options=options())

    @asynccontextmanager
    async def runner(self, **settings: Any) -> AsyncIterator[RunnerWithContainers]:
        """As a daemon has it; leaving it ends nothing."""
        base = {"PATH": os.environ["PATH"], MARKER: str(self.place.root), **engine_variables(self.host)}
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


def engine_variables(host: str) -> dict[str, str]:
    """Those by which the client finds its engine."""
    found = {name: value for name, value in os.environ.items() if name.startswith("CONTAINERS_")}
    return {**found, **({"DOCKER_HOST": host} if host else {})}


def options() -> tuple[str, ...]:
    """Of every container."""
    lacks_init = ENGINE == "podman" and shutil.which("catatonit") is None
    return ("--init-path=/usr/bin/docker-init",) if lacks_init else ()


@asynccontextmanager
async def way_to_engine(host: str, path: Path) -> AsyncIterator[None]:
    """Another socket that leads to an engine; afterwards it leads nowhere, and what came by it is cut off."""

    async def pump(source: ByteReceiveStream, sink: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                await sink.send(data)
            await sink.send_eof()

    async def carry(client: SocketStream) -> None:
        engine = await anyio.connect_unix(host.removeprefix("unix://"))
        async with client, engine, anyio.create_task_group() as both:
            both.start_soon(pump, client, engine)
            both.start_soon(pump, engine, client)

    async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, carry)
        yield
        tasks.cancel_scope.cancel()
    os.unlink(path)


def docker(*words: str) -> str:
    """What the client answers."""
    done = subprocess.run([ENGINE, *words], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout
