"""Makes the run of a client from the request for a container: what is mounted, as whom, with which variables.

Knows paths, users and the client's commands. Must not know what becomes of a run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phased.errors import RunnerError
from phased.ports import ContainerRequest, RunRequest
from phased.runners.docker import commands
from phased.runners.docker.asking import find_program
from phased.runners.docker.records import note_of
from phased.runners.surroundings import steps_environment

if TYPE_CHECKING:
    from phased.runners.identity import Person

_OUTPUTS: Final = ("PHASED_OUTPUT", "PHASED_OUTPUTS")
_SOCKET: Final = "PHASED_SOCKET"


@dataclass(frozen=True, slots=True)
class House:
    """Where containers of this daemon come from and belong."""

    engine: commands.Engine
    state: Path
    """The state directory."""
    environment: Mapping[str, str]
    """The base environment of steps of this process's own user."""
    patience: float
    """Seconds that an engine may be away before its containers are given up."""
    person_of: Callable[[str], Person | None] = lambda _: None
    """As whom steps in a directory run; None: as this process."""


def client_of(house: House, request: RunRequest, container: ContainerRequest) -> RunRequest:
    """The client's run for a container, or for a command in one.

    Raises RunnerError, with a phrase that says why it cannot be, and OSError.
    """
    who = house.person_of(request.directory)
    base = house.environment if who is None else who.environment(house.environment)
    program = house.engine.program
    if find_program(program, base.get("PATH", os.defpath)) is None:
        raise RunnerError(f"there is no {program} on this machine; install it, or set docker.engine")
    carried = commands.carry({**container.variables(steps_environment(base)), **request.environment})
    box = _box(house, request, container, who)
    script = _script(request, who)
    if container.inside:
        words = commands.exec_words(house.engine, container.inside, box, carried, script)
    else:
        words = commands.run_words(house.engine, box, carried, script)
    variables = {**carried.client, **house.engine.variables}
    return RunRequest(
        request.run_id, commands.as_shell_command(words), variables, request.directory, request.log,
        request.lasting,
    )  # fmt: skip


def _box(house: House, request: RunRequest, container: ContainerRequest, who: Person | None) -> commands.Box:
    uid, gid = (os.geteuid(), os.getegid()) if who is None else (who.uid, who.gid)
    mounts = [request.directory]
    folders = {os.path.dirname(request.environment.get(name, "")) for name in _OUTPUTS}
    folders.add(os.path.dirname(request.log))
    mounts += sorted(folder for folder in folders if folder)
    socket = request.environment.get(_SOCKET, "")
    if socket and os.path.exists(socket):
        mounts.append(_way_to(socket))
    return commands.Box(
        request.run_id, container.image, str(house.state), f"{uid}:{gid}", request.directory,
        tuple(dict.fromkeys(mounts)), container.options,
        str(note_of(house.state, request.run_id)) if who is None else "",
    )  # fmt: skip


def _script(request: RunRequest, who: Person | None) -> str:
    script = os.fsencode(request.command)
    if len(script) < commands.LONGEST_SCRIPT:
        return request.command
    path = f"{request.log}.script"
    with suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        if who is not None:
            os.fchown(descriptor, who.uid, who.gid)
        file.write(script)
    return commands.script_from(path)


def _way_to(socket: str) -> str:
    """What is mounted for a socket: its folder, where nothing else lies in it, so that a new one is seen."""
    folder = os.path.dirname(socket)
    try:
        return folder if os.listdir(folder) == [os.path.basename(socket)] else socket
    except OSError:
        return socket
