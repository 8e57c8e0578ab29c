"""Where a step or a service's command runs: on this machine, or in a container.

Knows `runsOn` and the runner's port. Must not know engines of containers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from phased.contract.runs_on import RunsOn
from phased.ports import ContainerRequest

OptionsOf = Callable[[str], Mapping[str, str]]
"""What an environment's class says of its containers, by the environment's id."""


def container_of(
    runs_on: RunsOn | None, options: Mapping[str, str], inside: str = ""
) -> ContainerRequest | None:
    """The container that is asked for, None for this machine; `inside`: the run whose container it is."""
    docker = runs_on.docker if runs_on else None
    if docker is None:
        return None
    return ContainerRequest(docker.image, tuple(docker.environment or ()), options, inside)
