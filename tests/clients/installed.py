"""Clients that others published, installed from their registries into environments of their own.

Kept below PHASED_TEST_CLIENTS (default .cache/clients in the repository), so that it happens once. Where a
registry cannot be reached the tests are skipped, saying why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 240
"""Seconds that installing one may take."""

PYTHON_OPTIONS: Final = (
    "--quiet",
    "--disable-pip-version-check",
    "--no-input",
    "--retries",
    "1",
    "--timeout",
    "20",
)
NODE_OPTIONS: Final = (
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--loglevel",
    "error",
    "--fetch-retries",
    "1",
)
LEAST_NODE: Final = 18


def folder() -> Path:
    """Where they are kept."""
    return Path(os.environ.get("PHASED_TEST_CLIENTS") or ROOT / ".cache" / "clients").absolute()


def python_with(requirement: str) -> Path:
    """The interpreter of an environment that has this package; skips the test where that cannot be."""

    def install(place: Path) -> None:
        _run([sys.executable, "-m", "venv", str(place)], place)
        _run([str(place / "bin" / "python"), "-m", "pip", "install", *PYTHON_OPTIONS, requirement], place)

    return _installed(requirement, install) / "bin" / "python"


def node_with(requirement: str) -> Path:
    """The folder in whose node_modules this package is; skips the test where that cannot be."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < LEAST_NODE:
        pytest.skip(f"node is {version.strip()}, and the client needs {LEAST_NODE}")

    def install(place: Path) -> None:
        place.mkdir()
        _run([npm, "install", *NODE_OPTIONS, "--prefix", str(place), requirement], place)

    return _installed(requirement, install)


def _installed(requirement: str, install: Callable[[Path], None]) -> Path:
    """Made in one go: what was left half done is thrown away."""
    place = folder() / requirement.strip("@").replace("/", "-").replace("==", "-").replace("@", "-")
    stamp = place / ".installed"
    if not stamp.exists():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            install(place)
            stamp.touch()
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            last = (said.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"cannot install {requirement}: {last}")
    return place


def _run(command: Sequence[str], place: Path) -> None:
    environment = {**os.environ, "npm_config_cache": str(place.parent / "npm"), "PIP_NO_COLOR": "1"}
    subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
