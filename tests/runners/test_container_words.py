"""What a container engine's client is called with, and what its complaints mean. No engine is needed."""

from __future__ import annotations

import subprocess

import pytest

from phased.errors import RunnerError
from phased.ports import ContainerRequest
from phased.runners.docker import commands
from phased.runners.docker.asking import is_away, is_unreachable, phrase_of

SOCKET = "unix:///run/docker.sock"
REFUSED = "docker: Error response from daemon: "
COMPLAINTS = {
    "permission denied": f"docker: permission denied while trying to connect to the daemon at {SOCKET}",
    "no container engine answers": f"docker: Cannot connect to the Docker daemon at {SOCKET}. Is it up",
    "the image x cannot be had": f"{REFUSED}pull access denied for x, repository does not exist",
    "the image x cannot be had: no such": "docker: no such image: x:latest",
    "another container": 'Conflict. The container name "/a.1" is already in use by container "b".',
    "the image x has no shell": 'OCI runtime create failed: exec: "sh": executable file not found in $PATH',
    "the image x has no shell (sh)": "[FATAL tini (7)] exec sh failed: No such file or directory",
    "refused: Error response": f"{REFUSED}quota exceeded.\n\nRun 'docker run --help' for more information",
}


@pytest.mark.parametrize(("meaning", "complaint"), COMPLAINTS.items(), ids=COMPLAINTS)
def test_what_a_client_complains_of_is_told_in_our_words(meaning: str, complaint: str) -> None:
    """With the image's name where it is about that."""
    assert meaning in phrase_of(complaint, "x")


def test_an_engine_that_was_lost_is_not_one_that_never_was() -> None:
    """Only the second is given up at once."""
    lost = 'time="t" level=error msg="error waiting for container: unexpected EOF"'
    assert is_away(lost)
    assert not is_unreachable(lost)


def test_every_variable_reaches_the_container_and_none_the_clients_own_names() -> None:
    """As the shell in the container sees them."""
    wanted = {
        "PATH": "/odd:/bin:/usr/bin",
        "LD_PRELOAD": "",
        "https_proxy": "p",
        "PLAIN": "a\n'b'",
        "a.b": "dot",
    }
    carried = commands.carry(wanted)
    assert not {"PATH", "LD_PRELOAD", "https_proxy"} & carried.client.keys()
    assert carried.flags[-2:] == ("-e", "PHASED_RUN_ID")
    script = f"{carried.prefix}env -0"
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=dict(carried.client), capture_output=True, check=True
    )
    found = dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)
    assert {name: found.get(name) for name in wanted if name != "a.b"} == {
        name: value for name, value in wanted.items() if name != "a.b"
    }
    assert not any(name.startswith("PHASED_CARRIED") for name in found)


def test_entries_of_a_definition_are_literal_or_handed_on() -> None:
    """One that is not set is left out."""
    asked = ContainerRequest("i", ("A=1=2", "B", "C", "D="))
    assert asked.variables({"B": "b", "Z": "z"}) == {"A": "1=2", "B": "b", "D": ""}


@pytest.mark.parametrize(
    ("asked", "found"), [("IfNotPresent", "missing"), ("Always", "always"), ("never", "never")]
)
def test_pull_policies_have_two_spellings(asked: str, found: str) -> None:
    """That of the engine, and that of orchestrators."""
    assert commands.pull_policy(asked) == found


def test_another_pull_policy_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(RunnerError, match="missing"):
        commands.pull_policy("often")


def test_paths_with_commas_are_mounted() -> None:
    """The value of --mount is a line of CSV."""
    box = commands.Box("r.1", "i", "/s", "1:1", '/a,"b', ('/a,"b',), {"network": "n"})
    words = commands.run_words(commands.Engine(), box, commands.carry({}), "true")
    assert 'type=bind,"source=/a,""b","target=/a,""b"' in words
    assert words[words.index("--network") + 1] == "n"
