"""Copies repositories into a workspace by git(1), in a process group of its own that a cancel ends.

Knows how to call git so that it asks nobody, runs no hook and no program that an address or a repository
names, and keeps credentials out of messages. Must not know environments.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

from phased.engine.environments.sources import PROTOCOLS, Source
from phased.errors import CloneFailed

_SAID_AT_MOST: Final = 16 * 1024
"""Bytes of what git says that are kept, the last ones."""
_TOLD_AT_MOST: Final = 500
_SAFE: Final = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "credential.interactive=never",
)
_KEPT: Final = ("GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_", "GIT_SSH")
"""Variables for git that say how to reach a host; all others would change what it does."""


async def fill(workspace: Path, sources: Sequence[Source], environment: Mapping[str, str]) -> None:
    """Clone every source into an empty workspace. Raises CloneFailed; a cancel ends git and leaves a part."""
    variables = _variables(environment)
    for source in sources:
        target = workspace / source.location
        arguments = ["clone", "--template=", "--no-recurse-submodules"]
        arguments += ["--branch", source.branch] if source.branch else []
        arguments += ["--no-checkout"] if source.commit else []
        await _git(workspace, [*arguments, "--", source.address, str(target)], variables, source)
        if source.commit:
            await _git(target, ["checkout", "--detach", source.commit, "--"], variables, source)
        if source.new_branch:
            await _git(target, ["checkout", "-b", source.new_branch, "--"], variables, source)
        if source.upstream:
            await _git(target, ["remote", "add", "--", "upstream", source.upstream], variables, source)


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    return kept | {
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_ASKPASS": "/bin/false",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_SSH_COMMAND": kept.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "SSH_ASKPASS": "/bin/false",
    }


async def _git(
    directory: Path, arguments: Sequence[str], environment: Mapping[str, str], source: Source
) -> None:
    try:
        process = await anyio.open_process(
            ["git", *_SAFE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        reason = "there is no git on this machine" if isinstance(error, FileNotFoundError) else error.strerror
        raise CloneFailed(f"cannot clone {source.shown}: {reason}") from error
    said = bytearray()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_listen, process, said)
            code = await process.wait()
            _kill_group(process)  # a helper that stays (a cache of credentials) would hold the pipe open
    finally:
        _kill_group(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    if code:
        told = _told(bytes(said), source) or f"git ended with {code}"
        raise CloneFailed(f"cannot clone {source.shown}: {told}")


async def _listen(process: Process, said: bytearray) -> None:
    if process.stderr is not None:
        async for block in process.stderr:
            said += block
            del said[:-_SAID_AT_MOST]


def _kill_group(process: Process) -> None:
    """Git's helpers outlive it when it is killed."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _told(said: bytes, source: Source) -> str:
    """The lines of git that say why, without the credentials of any address."""
    text = said.decode("utf-8", "replace")
    for address in (source.address, source.upstream):
        if address:
            text = text.replace(address, Source(address).shown)
    lines = [line for line in text.splitlines() if line.startswith(("fatal:", "error:"))]
    return "; ".join(line.partition(": ")[2] for line in lines)[:_TOLD_AT_MOST]
