"""What the engine's client is called with. Pure.

Knows the command line that docker and podman share. Must not know runs' fates, files or processes. A
variable's value is never an argument: the client has values in its own environment, and names as `-e NAME`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from phased.errors import RunnerError

RUN_LABEL: Final = "phased.run"
STATE_LABEL: Final = "phased.state"
RUN_VARIABLE: Final = "PHASED_RUN_ID"
LONGEST_SCRIPT: Final = 120_000
"""Bytes: one argument has at most 131071 (execve(2)); a longer script is read from a mounted file."""

_CARRIED: Final = "PHASED_CARRIED_"
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OF_THE_CLIENT: Final = re.compile(
    r"(PATH|HOME|SHELL|USER|LOGNAME|TMPDIR|IFS|ENV|BASH.*|SHELLOPTS|PS4|PWD|OLDPWD|SHLVL|CDPATH|GLOBIGNORE"
    r"|(DOCKER|BUILDKIT|CONTAINERS?|PODMAN|LD|XDG|SSL|SSH|GO|GRPC|OTEL|STORAGE|REGISTRY|CGROUP)[A-Z0-9_]*"
    r"|(?i:.*_proxy))\Z"
)
"""Variables that would change what the client, or the shell before it, does."""
_PULL: Final = {"missing": "missing", "ifnotpresent": "missing", "always": "always", "never": "never"}


@dataclass(frozen=True, slots=True)
class Engine:
    """Which engine, and what every container of it gets (the settings of the section docker)."""

    program: str = "docker"
    network: str = ""
    pull_policy: str = "missing"
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """Those by which the client finds its engine."""


@dataclass(frozen=True, slots=True)
class Box:
    """One container as it is to be."""

    run_id: str
    image: str
    state: str
    """What tells the containers of one state directory from those of others."""
    user: str
    """`UID:GID`."""
    directory: str
    mounts: tuple[str, ...]
    """Paths that it has at the same place."""
    options: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """The file that its id is written to, before it is started; "" for none."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Variables on their way through the client into a container."""

    client: Mapping[str, str]
    """What the client is started with."""
    flags: tuple[str, ...]
    """Its options."""
    prefix: str
    """What the shell in the container does before the script."""


def carry(variables: Mapping[str, str]) -> Carried:
    """Hand these on; those that would disturb the client travel under another name."""
    client: dict[str, str] = {}
    prefix = ""
    for number, (name, value) in enumerate(variables.items()):
        if _OF_THE_CLIENT.match(name) and _IDENTIFIER.match(name):
            other = f"{_CARRIED}{number}"
            client[other] = value
            prefix += f'export {name}="${other}"; unset {other}; '
        else:
            client[name] = value
    names = [*client, RUN_VARIABLE] if RUN_VARIABLE not in client else list(client)
    flags = tuple(word for name in names for word in ("-e", name))
    return Carried(client, flags, prefix)


def run_words(engine: Engine, box: Box, carried: Carried, script: str) -> list[str]:
    """`run` with everything: makes, pulls, starts and follows. Raises RunnerError for an unknown policy."""
    network = box.options.get("network") or engine.network
    words = [engine.program, "run", "--name", box.run_id, "--init", "--sig-proxy=false"]
    words += ["--label", f"{RUN_LABEL}={box.run_id}", "--label", f"{STATE_LABEL}={box.state}"]
    words += ["--pull", pull_policy(box.options.get("pullPolicy") or engine.pull_policy)]
    words += ["--cidfile", box.note] if box.note else []
    words += ["--network", network] if network else []
    words += ["--userns", "keep-id"] if _is_rootless_podman(engine, box) else []
    words += ["--user", box.user, "--workdir", box.directory]
    for path in box.mounts:
        words += ["--mount", f"type=bind,{_column('source', path)},{_column('target', path)}"]
    words += [*carried.flags, *engine.options, "--entrypoint", "sh", box.image]
    return [*words, "-c", carried.prefix + script]


def exec_words(engine: Engine, name: str, box: Box, carried: Carried, script: str) -> list[str]:
    """`exec`: another command in a container that runs already."""
    words = [engine.program, "exec", "--user", box.user, "--workdir", box.directory, *carried.flags, name]
    return [*words, "sh", "-c", carried.prefix + script]


def pull_policy(asked: str) -> str:
    """As the engine spells it. Raises RunnerError."""
    try:
        return _PULL[asked.lower()]
    except KeyError:
        raise RunnerError(
            f"there is no pull policy {asked!r}; there are: missing (IfNotPresent), always, never"
        ) from None


def as_shell_command(words: Sequence[str]) -> str:
    """One command for whichever shell starts it; the client takes the shell's place."""
    return f"exec {shlex.join(words)}"


def script_from(path: str) -> str:
    """A script that reads the real one from a file."""
    return f". {shlex.quote(path)}"


def _column(name: str, value: str) -> str:
    """The value of `--mount` is a line of CSV."""
    text = f"{name}={value}"
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n') else text


def _is_rootless_podman(engine: Engine, box: Box) -> bool:
    return engine.program.rpartition("/")[2] == "podman" and not box.user.startswith("0:")
