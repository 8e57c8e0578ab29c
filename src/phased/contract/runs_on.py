"""Where a task or service runs: on the machine, or in a container."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.values import NotEmpty


class Docker(Message, proto="gitpod.v1.RunsOn.Docker"):
    """A container of `image`; `environment` holds `KEY=VALUE`, or `KEY` to pass one through if it is set."""

    image: Annotated[NotEmpty, Wire(1, "string")]
    environment: Annotated[tuple[str, ...], Wire(2, "repeated string")] = ()


class Machine(Message, proto="gitpod.v1.RunsOn.Machine"):
    """The host itself; it says nothing more."""


class RunsOn(Message, proto="gitpod.v1.RunsOn"):
    """Exactly one target is set. A task without a RunsOn runs on the machine."""

    docker: Annotated[Docker | None, Wire(10, "RunsOn.Docker", "target")] = None
    machine: Annotated[Machine | None, Wire(30, "RunsOn.Machine", "target")] = None
