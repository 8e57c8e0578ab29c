"""A daemon that starts where something is amiss."""

from __future__ import annotations

import subprocess

import pytest

from tests.api.daemon import PATIENCE, Api, daemon
from tests.chaos.ground import ground


def test_the_next_daemon_starts_on_a_full_disk() -> None:
    """What runs is taken over; there need be no room for that."""
    with ground() as under:
        if not under.mounted:
            pytest.skip("a small disk cannot be mounted here")
        process = under.one.start()
        api = Api(under.one.client())
        execution = api.start(
            api.task("holds", f"while [ ! -e {under.one.home}/go ]; do sleep 0.05; done; exit 5")
        )
        api.until(execution, "RUNNING")
        with under.full_disk():
            process.kill()
            process.wait()
            under.one.start()
            api = Api(under.one.client())
            assert api.phase(execution) == "RUNNING"
        (under.one.home / "go").touch()
        assert api.until(execution, "FAILED")["status"]["failureMessage"].endswith("exit code 5")
        assert not list(under.one.state.glob("installation.*"))


def test_an_id_of_the_installation_that_is_none_is_refused() -> None:
    """Local users' ids follow from it: it is not replaced by itself."""
    with daemon() as one:
        one.state.mkdir()
        (one.state / "installation").write_text("not an id\n")
        done = subprocess.run(
            one.command(),
            env=one.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode != 0
        assert "cannot read the id of this installation" in done.stderr
        assert "put back what was there" in done.stderr
        assert (one.state / "installation").read_text() == "not an id\n"
