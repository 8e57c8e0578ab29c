"""The lines with curl that the documentation has do what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.api.daemon import PATIENCE, Api, Daemon, daemon
from tests.docs.pages import DOCS, blocks

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")

COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)


def lines() -> list[str]:
    """The commands of the page about the API, each with what goes on after a backslash."""
    text = (DOCS / "how-to" / "api.md").read_text(encoding="utf-8")
    consoles = [block.text for block in blocks(text) if block.language == "console"]
    return [command for console in consoles for command in COMMAND.findall(console)]


DEFINED = [line for line in lines() if line.startswith("call() ")]
ASKING = [line for line in lines() if line.startswith(("curl ", "call "))]


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """On its socket and on TCP."""
    with daemon() as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


def test_the_page_has_such_lines() -> None:
    """Else the others would test nothing."""
    assert len(DEFINED) == 1
    assert len(ASKING) >= 6


@pytest.mark.parametrize("line", ASKING, ids=lambda line: f"line{ASKING.index(line)}")
def test_a_line_of_the_page_works(served: Daemon, line: str) -> None:
    """With the words in capitals replaced; a stream is ended after a while."""
    with served.client() as client:
        api = Api(client)
        task = api.task(f"curl-{ASKING.index(line)}", "echo out")
        execution = api.until(api.start(task), "SUCCEEDED")["id"]
        token = api.token("ENVIRONMENT_USER")
    command = line.replace("http://127.0.0.1:7000", served.address)
    for word, meant in (("TASK", task), ("EXECUTION", execution), ("ENVIRONMENT", api.environment)):
        command = re.sub(rf'(?<=["/]){word}(?=["\s]|$)', meant, command)
    endless = "WatchEvents" in line
    script = "\n".join(
        [
            f"SOCKET={served.socket} TOKEN={token}",
            f'curl() {{ command curl -sS --fail --max-time {1 if endless else PATIENCE} "$@"; }}',
            *DEFINED,
            command,
        ]
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env=served.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == (28 if endless else 0), (command, done.stdout, done.stderr)
    assert done.stdout
