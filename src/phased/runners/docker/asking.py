"""Asks the engine, itself or through its client: what a container is, to signal it, to remove it.

Knows the client's commands and what it complains of, and the same of the engine's API. Must not know runs.
The engine's word counts, never the exit status of a client that was attached (rule 25).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import anyio

from phased.errors import RunnerError
from phased.runners.docker.commands import RUN_LABEL, RUN_VARIABLE, STATE_LABEL, Engine
from phased.runners.docker.directly import ask, local_socket

_PATIENCE: Final = 30.0
"""Seconds that one question may take."""
_OK, _DONE, _NOT_FOUND = 200, 204, 404
_ABSENT: Final = re.compile(r"no such (container|object)", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"permission denied.*(socket|connect|\.sock)", re.IGNORECASE)
_NO_WAY: Final = (
    r"(cannot|failed to|unable to) connect to (the )?(docker|podman)|is the docker daemon running"
)
_NEVER_REACHED: Final = re.compile(_NO_WAY, re.IGNORECASE)
_UNREACHABLE: Final = re.compile(rf"{_NO_WAY}|error during connect|connection refused|\bEOF\b", re.IGNORECASE)
_NO_IMAGE: Final = re.compile(
    r"no such image|manifest unknown|pull access denied|repository .*not (exist|found)|unable to find image"
    r"|image not known|initializing source|short-name|invalid reference format",
    re.IGNORECASE,
)
_CONFLICT: Final = re.compile(r"name .*is already in use", re.IGNORECASE)
_NO_SHELL: Final = re.compile(
    r"exec:? \"?sh\"?:? .*not found|exec sh failed|\"sh\": executable file not found", re.IGNORECASE
)
_CHATTER: Final = re.compile(r"Run '.*--help'|See '.*--help'|WARNING:|Usage:", re.IGNORECASE)

_SIGNAL_ALL: Final = "kill -{number} -1"
_SIGNAL_ONE: Final = (
    'for p in /proc/[0-9]*; do grep -q "{variable}={run_id}" $p/environ 2> /dev/null'
    " && kill -{number} ${{p#/proc/}}; done"
)


class EngineAway(RunnerError):
    """The engine does not answer; its containers may go on."""


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine says of one."""

    id: str
    status: str
    """`created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`."""
    pid: int
    """Of its first process, as the engine's machine counts; 0 where it does not run."""
    code: int
    error: str
    out_of_memory: bool
    run_id: str
    state: str
    """Its labels: of which run, and of which state directory it is."""


class Client:
    """Calls the client in this process's own name."""

    def __init__(self, engine: Engine, environment: Mapping[str, str]) -> None:
        """`environment` is what the client is started with, beside what finds its engine."""
        self._engine = engine
        self._environment = {**environment, **engine.variables}
        self._socket = local_socket(engine.program, self._environment)

    async def inspect(self, name: str) -> Container | None:
        """What a container is; None where there is none. Raises EngineAway, RunnerError."""
        status, body = await self._ask("GET", f"/containers/{name}/json")
        if status == _NOT_FOUND:
            return None
        if status == _OK:
            with suppress(ValueError, LookupError, TypeError):
                return _container(json.loads(body))
        code, out, complaint = await self._call("container", "inspect", name)
        if code == 0:
            try:
                return _container(json.loads(out)[0])
            except (ValueError, LookupError, TypeError) as error:
                raise RunnerError(f"the container engine's answer is not understood: {error!r}") from error
        if _ABSENT.search(complaint):
            return None
        raise _failure(complaint)

    async def remove(self, name: str) -> None:
        """Remove a container with its unnamed volumes, running or not. Raises EngineAway, RunnerError."""
        status, _ = await self._ask("DELETE", f"/containers/{name}?force=1&v=1")
        if status in {_DONE, _NOT_FOUND}:
            return
        code, _, complaint = await self._call("rm", "--force", "--volumes", name)
        if code and not _ABSENT.search(complaint):
            raise _failure(complaint)

    async def signal_first(self, name: str, number: int) -> None:
        """A signal to the first process: SIGKILL ends all. None runs: no error. Raises EngineAway."""
        code, _, complaint = await self._call("kill", "--signal", str(number), name)
        if code and _UNREACHABLE.search(complaint):
            raise _failure(complaint)

    async def signal_all(self, name: str, number: int) -> bool:
        """A signal to every process but the first, which is the engine's own; whether it was sent."""
        script = _SIGNAL_ALL.format(number=number)
        code, _, _ = await self._call("exec", "--user", "0:0", name, "sh", "-c", script)
        return code == 0

    async def signal_command(self, name: str, run_id: str, number: int) -> None:
        """A signal to what one further command started in a container."""
        script = _SIGNAL_ONE.format(variable=RUN_VARIABLE, run_id=run_id, number=number)
        await self._call("exec", "--user", "0:0", name, "sh", "-c", script)

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        """The engine itself; 0 where only its client can be asked."""
        if not self._socket:
            return 0, b""
        with anyio.move_on_after(_PATIENCE):
            status, body = await ask(self._socket, method, path) or (0, b"")
            is_sure = status != _NOT_FOUND or _ABSENT.search(body.decode(errors="replace"))
            return (status, body) if is_sure else (0, b"")
        raise EngineAway("the container engine does not answer")

    async def _call(self, *words: str) -> tuple[int, bytes, str]:
        try:
            with anyio.fail_after(_PATIENCE):
                done = await anyio.run_process(
                    [self._engine.program, *words],
                    stdin=subprocess.DEVNULL,
                    check=False,
                    env=self._environment,
                )
        except TimeoutError:
            raise EngineAway("the container engine does not answer") from None
        except OSError as error:
            raise EngineAway(f"its client {self._engine.program} cannot be started: {error}") from error
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def _container(found: Mapping[str, Any]) -> Container:
    state = found["State"]
    labels = found["Config"].get("Labels") or {}
    return Container(
        found["Id"],
        state["Status"],
        int(state.get("Pid") or 0),
        int(state.get("ExitCode") or 0),
        str(state.get("Error") or ""),
        bool(state.get("OOMKilled")),
        labels.get(RUN_LABEL, ""),
        labels.get(STATE_LABEL, ""),
    )


def _failure(complaint: str) -> RunnerError:
    if _UNREACHABLE.search(complaint) or _FORBIDDEN.search(complaint):
        return EngineAway(phrase_of(complaint, ""))
    return RunnerError(phrase_of(complaint, ""))


def is_unreachable(complaint: str) -> bool:
    """Whether a client says that it never reached an engine, or none that it may talk to."""
    return bool(_NEVER_REACHED.search(complaint) or _FORBIDDEN.search(complaint))


def is_away(complaint: str) -> bool:
    """Whether a client says that it lost the engine, or found none."""
    return bool(_UNREACHABLE.search(complaint))


def is_conflict(complaint: str) -> bool:
    """Whether a client says that there is a container of that name."""
    return bool(_CONFLICT.search(complaint))


def lacks_shell(complaint: str) -> bool:
    """Whether the last words of a container are that it has no `sh`."""
    return bool(_NO_SHELL.search(complaint))


def phrase_of(complaint: str, image: str) -> str:
    """What a client complains of, for people, with the way out."""
    if _FORBIDDEN.search(complaint):
        return (
            "the container engine may not be used: permission denied; add the user of the steps to the group "
            "of its socket (docker), or choose another docker.host"
        )
    if _NO_SHELL.search(complaint):
        return f"the image {image} has no shell (sh); choose one that has"
    if _CONFLICT.search(complaint):
        return "another container has its name; remove it (docker rm)"
    if _NO_IMAGE.search(complaint):
        return f"the image {image} cannot be had: {_last_line(complaint)}"
    if _UNREACHABLE.search(complaint):
        return "no container engine answers; start it, or name another one with docker.host"
    return f"the container engine refused: {_last_line(complaint)}"


def _last_line(complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip() and not _CHATTER.match(line)]
    return lines[-1].removeprefix("docker: ")[:300] if lines else "it gave no reason"


def find_program(program: str, path: str) -> str | None:
    """The client's file, or None."""
    folders = [""] if "/" in program else path.split(":")
    candidates: Sequence[str] = [os.path.join(folder, program) for folder in folders]
    return next((one for one in candidates if os.access(one, os.X_OK) and os.path.isfile(one)), None)
