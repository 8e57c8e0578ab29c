"""The wall clock of a daemon is set in mid-run: deadlines hold, versions grow. libfaketime around the daemon.

The monotonic clocks stay real, as they do when somebody sets a machine's clock. PHASED_LIBFAKETIME names the
library where it does not lie where Debian's package faketime puts it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import Api, Daemon, daemon, wait_for


def _library() -> str | None:
    named = os.environ.get("PHASED_LIBFAKETIME")
    found = [named] if named else [str(one) for one in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    return found[0] if found else None


LIBRARY = _library()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime here (Debian: faketime)")


class Watch:
    """The clock that the daemon sees."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set("+0")

    def set(self, offset: str) -> None:
        """From now on it is so far from the real one."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self.path)


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with daemon() as made:
        yield made


@pytest.mark.parametrize("offset", ["-1h", "+1h"])
def test_deadlines_hold_and_versions_grow(one: Daemon, offset: str) -> None:
    """A stop that was asked for before ends in its time, and what changes later is newer."""
    watch = Watch(one.home / "clock")
    one.start(
        env={
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(watch.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PHASED_RUN_STOP_TIMEOUT": "2s",
        }
    )
    api = Api(one.client())
    command = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    stubborn, other = (api.start(api.task(name, command)) for name in ("stubborn", "other"))
    for execution in (stubborn, other):
        url = wait_for(lambda e=execution: api.execution(e)["status"].get("logUrl"), "a log")  # type: ignore[misc]
        wait_for(lambda u=url: "ready" in api.client.get(u, params={"follow": "0"}).text, "it is ready")  # type: ignore[misc]
    api.call("gitpod.v1.EnvironmentAutomationService/StopTaskExecution", {"id": stubborn})
    before = {one: int(api.execution(one)["status"]["statusVersion"]) for one in (stubborn, other)}
    watch.set(offset)
    shown = api.run("later", "date +%s")
    started = int(api.client.get(shown["status"]["logUrl"], params={"follow": "0"}).text)
    assert abs(abs(started - time.time()) - 3600) < 1800, "the clock was not set at all"
    ended = api.until(stubborn, "FAILED")
    assert "did not stop within 2 s" in str(ended)
    api.call("gitpod.v1.EnvironmentAutomationService/StopTaskExecution", {"id": other})
    api.until(other, "FAILED")
    for execution, version in before.items():
        assert int(api.execution(execution)["status"]["statusVersion"]) > version
