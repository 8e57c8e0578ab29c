"""Clients that others wrote and published work against the daemon as they are.

Each is driven by a script that runs in an environment of its own, over TCP, and says how each check ended.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.api.daemon import Api, Daemon, daemon
from tests.clients.installed import node_with, python_with

pytestmark = pytest.mark.timeout(1500)

HERE = Path(__file__).parent
PATIENCE = 300
"""Seconds that a script may take: it has many checks, and the machine may be slow."""

Outcomes = Mapping[str, str]


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """One daemon for all of them, as it is for its users."""
    with daemon() as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


def names(script: str, pattern: str) -> list[str]:
    """The checks that a script has."""
    found = re.findall(pattern, (HERE / script).read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found


def drive(served: Daemon, command: Sequence[str], directory: Path) -> Outcomes:
    """How each check ended."""
    with served.client() as client:
        api = Api(client)
        token = api.token("ORG_ADMIN")
        done = subprocess.run(
            [*command, served.address, token, api.environment],
            cwd=directory,
            env=served.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def first(served: Daemon) -> Outcomes:
    """gitpod-sdk 0.11: JSON over HTTP."""
    python = python_with("gitpod-sdk==0.11.0")
    return drive(served, [str(python), str(HERE / "first_generation.py")], HERE)


@pytest.fixture(scope="module")
def second(served: Daemon) -> Outcomes:
    """gitpod-sdk 1.2: binary Connect."""
    python = python_with("gitpod-sdk==1.2.0")
    return drive(served, [str(python), str(HERE / "second_generation.py")], HERE)


@pytest.fixture(scope="module")
def node(served: Daemon) -> Outcomes:
    """@gitpod/sdk 0.6 for JavaScript."""
    place = node_with("@gitpod/sdk@0.6.0")
    program = shutil.which("node")
    assert program is not None
    return drive(served, [program, str(HERE / "on_node.mjs")], place)


@pytest.mark.parametrize("check", names("first_generation.py", r"^        (\w+),$"))
def test_the_first_generation_works_as_it_is(first: Outcomes, check: str) -> None:
    """Its methods, its helpers, its pages, its errors."""
    assert first[check] == "ok", first[check]


@pytest.mark.parametrize("check", names("second_generation.py", r"^        (\w+),$"))
def test_the_second_generation_works_as_it_is(second: Outcomes, check: str) -> None:
    """Binary, with its stream."""
    assert second[check] == "ok", second[check]


@pytest.mark.parametrize("check", names("on_node.mjs", r"^  async (\w+)\(\)"))
def test_the_client_for_javascript_works_as_it_is(node: Outcomes, check: str) -> None:
    """Create, start, watch, logs."""
    assert node[check] == "ok", node[check]


def test_the_daemon_is_none_the_worse(served: Daemon) -> None:
    """It still answers, and has logged no error."""
    with served.client() as client:
        assert client.get("/readyz").text == "ok\n"
