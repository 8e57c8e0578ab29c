"""A booted machine with the service installed; never part of `make test`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.guest import PROGRAM, Guest


@pytest.fixture(scope="session")
def machine() -> Iterator[Guest]:
    """Booted, the wheel installed."""
    tools = os.environ.get("PHASED_TEST_SYSTEMD")
    if not tools or not (Path(tools) / "systemd-up").exists():
        pytest.skip("run by `make test-systemd`, which needs root and programs that boot a systemd")
    made = Guest(Path(tools).absolute())
    try:
        made.up()
        made.install()
        yield made
    finally:
        made.close()


@pytest.fixture
def guest(machine: Guest) -> Iterator[Guest]:
    """The service is installed and runs; what a test added to the unit is gone after it."""
    machine.ok(PROGRAM, "install-service", "--now")
    machine.drop_in("")
    machine.ok("systemctl", "restart", "phased")
    yield machine
    machine.drop_in("")
    machine.run("systemctl", "disable", "--now", "phased.socket")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=CONT", "phased")
    machine.run("systemctl", "stop", "phased")
    machine.run("systemctl", "reset-failed", "phased")
