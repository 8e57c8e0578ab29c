"""The tutorial is done as a newcomer would: files are saved, commands run, their output compared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block, blocks

LIMIT = 240
"""Seconds that one command may take on a machine that is very busy."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short name, since sockets below it have a longest one."""
    folder = Path(tempfile.mkdtemp(prefix="phased-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    """A newcomer's: a home of their own, `phased` on the path."""
    program = place / "bin" / "phased"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m phased "$@"\n')
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PHASED_", "XDG_"))}
    path = f"{program.parent}:{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "HOME": str(place / "home"), "LC_ALL": "C.UTF-8"}


def test_the_tutorial_works_as_it_is_written(place: Path, environment: dict[str, str]) -> None:
    """Every block in order, in one workspace."""
    workspace = place / "first-steps"
    workspace.mkdir()
    done = 0
    for block in blocks((DOCS / "tutorial.md").read_text(encoding="utf-8")):
        if block.saved_as:
            path = workspace / block.saved_as
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
        elif block.language == "console":
            carry_out(block, workspace, environment)
            done += 1
    assert done >= 8


def carry_out(block: Block, workspace: Path, environment: dict[str, str]) -> None:
    """Run the line after `$`; the lines below it are patterns that its output must have, in that order."""
    command, *expected = block.text.splitlines()
    assert command.startswith("$ "), command
    code = 0
    if expected and expected[-1].startswith("[exit code "):
        code = int(expected.pop().removeprefix("[exit code ").removesuffix("]"))
    ran = subprocess.run(
        ["/bin/sh", "-c", command.removeprefix("$ ")],
        cwd=workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    told = f"{command}\n{ran.stdout}\n{ran.stderr}"
    assert ran.returncode == code, told
    lines = iter((ran.stdout + ran.stderr).splitlines())
    for pattern in expected:
        assert any(fnmatchcase(line, pattern) for line in lines), f"missing {pattern!r} in: {told}"
