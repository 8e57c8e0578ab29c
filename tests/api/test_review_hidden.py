"""What a step sets or prints of a secret is hidden in every view: outputs, events, files without a daemon."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, PATIENCE, SECRETS, Api, Daemon
from tests.cli.daemon import Terminal, terminal

VALUE = "correct-horse-battery"
STARS = "*" * len(VALUE)
FILE = """\
tasks:
  leak:
    command: |
      echo "it is $LEAKED indeed"
      echo "TOLD=<$LEAKED>" >> "$PHASED_OUTPUT"
  heed: {command: 'test "$PHASED_OUTPUT_LEAK_TOLD" = "<$LEAKED>"', dependsOn: [leak]}
  fail: {command: "echo failing with $LEAKED; exit 3"}
"""


@contextmanager
def leaking() -> Iterator[tuple[Terminal, Api]]:
    """A daemon whose environment has a secret."""
    with terminal(FILE) as made:
        api = Api(made.served.client())
        scope = {"projectId": api.environment}
        body = {"name": "LEAKED", "value": VALUE, "environmentVariable": True, "scope": scope}
        api.call(f"{SECRETS}/CreateSecret", body)
        yield made, api


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Terminal, Api]]:
    """One for all."""
    with leaking() as made:
        yield made


def test_outputs_are_masked_and_dependents_get_them_as_they_are(both: tuple[Terminal, Api]) -> None:
    """By every method that shows a status, and by the stream of statuses."""
    here, api = both
    with here.served.client() as other, other.stream("GET", "/events") as response:
        lines = response.iter_lines()
        next(lines)
        here.ok("task", "start", "heed")
        told: list[str] = []
        while not (told and '"TOLD"' in told[-1]):
            told.append(next(lines))
    assert VALUE not in "".join(told)
    assert f"<{STARS}>" in told[-1]
    shown = here.ok("executions", "heed", "-o", "json")
    assert VALUE not in shown
    assert f"<{STARS}>" in shown
    queried = api.call(f"{NATIVE}/QueryTaskExecutions", {"references": ["heed"]})
    assert f"<{STARS}>" in json.dumps(queried)


def test_a_run_that_joins_a_daemon_shows_no_secret(both: tuple[Terminal, Api]) -> None:
    """The end of a log that it shows, and the outputs that it tells."""
    here, _ = both
    failed = here.run("run", "fail")
    assert failed.returncode == 1
    assert f"failing with {STARS}" in failed.stderr
    told = here.ok("run", "leak", "-o", "json")
    assert f"<{STARS}>" in told
    assert VALUE not in told + failed.stderr + failed.stdout


def test_nothing_is_started_in_an_environment_that_is_stopped(both: tuple[Terminal, Api]) -> None:
    """Not by a run that joins the daemon either."""
    here, api = both
    body = {"environmentId": api.environment}
    api.call(f"{ENVIRONMENTS}/StopEnvironment", body)
    refused = here.run("run", "leak")
    assert refused.returncode == 4
    assert "start it first" in refused.stderr
    api.call(f"{ENVIRONMENTS}/StartEnvironment", body)


def test_without_a_daemon_logs_and_outputs_are_masked_too() -> None:
    """Who reads the state directory itself sees what the daemon would show; the file is as printed."""
    with leaking() as (here, api):
        here.ok("task", "start", "heed")
        execution = api.call(f"{NATIVE}/QueryTaskExecutions", {"references": ["heed"]})["taskExecutions"][0]
        _stop(here.served)
        logs = [
            here.ok("logs", "heed"),
            here.ok("logs", execution["id"], "--step", "leak"),
            here.ok("logs", execution["id"], "--step", "leak", "--follow"),
            here.ok("executions", "heed", "-o", "json"),
            here.ok("executions", execution["id"], "-o", "yaml"),
        ]
        for text in logs:
            assert VALUE not in text
            assert STARS in text
        kept = [file for file in here.served.state.rglob("*.log") if VALUE.encode() in file.read_bytes()]
        assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]
        key = here.served.state / "phased.key"
        key.rename(key.with_suffix(".away"))
        refused = here.run("logs", "heed")
        assert refused.returncode != 0
        assert "phased.key" in refused.stderr


def _stop(served: Daemon) -> None:
    process = served.process
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
