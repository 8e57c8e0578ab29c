"""A booted machine with the service installed; never part of `make test`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.guest import Guest

AFTERWARDS = """
systemctl disable --now phased.socket
systemctl kill --kill-whom=main --signal=CONT phased
systemctl stop phased
systemctl reset-failed phased
exit 0
"""


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
    """What a test has added to the unit, started or left is gone after it."""
    yield machine
    machine.drop_in("")
    machine.ok("sh", "-c", AFTERWARDS)
