"""Time limits and attempts, over real processes: what is promised is enforced, also against who resists."""

from __future__ import annotations

import json

from tests.cli.program import Program

FILE = """\
tasks:
  deaf:
    command: |
      trap '' TERM
      (trap '' TERM; while :; do sleep 0.05; done) &
      setsid sh -c 'while :; do sleep 0.05; done' &
      echo x >> deaf.txt
      while :; do sleep 0.05; done
    timeout: 300ms
    retries: {limit: 1, backoff: 10ms}
  again:
    command: "echo x >> again.txt; [ $(wc -l < again.txt) -ge 4 ] || exit 75"
    retries: {limit: 5, backoff: 10ms, exitCodes: [75]}
  other:
    command: "echo x >> other.txt; exit 3"
    retries: {limit: 5, backoff: 10ms, exitCodes: [75]}
  never:
    command: "echo x >> never.txt; exit 75"
    retries: {limit: 2, backoff: 10ms, exitCodes: [75]}
"""
LIMITS = {"PHASED_RUN_STOP_TIMEOUT": "0.3"}


def tries(phased: Program, reference: str) -> int:
    """How often its command began."""
    return len((phased.workspace / f"{reference}.txt").read_text().split())


def test_a_time_limit_ends_each_attempt_with_all_its_processes(phased: Program) -> None:
    """They ignore SIGTERM and leave their session; each attempt has the whole of the time."""
    phased.write(FILE)
    result = phased.run("run", "deaf", "-o", "json", env=LIMITS)
    assert result.returncode == 1
    last = json.loads(result.stdout.splitlines()[-1])
    assert "timed out after 0.3 s" in last["status"]["failureMessage"]
    assert tries(phased, "deaf") == 2
    assert phased.ours() == []


def test_attempts_go_on_for_the_exit_codes_that_are_named(phased: Program) -> None:
    """Until one succeeds, the limit is reached, or another code comes."""
    phased.write(FILE)
    assert phased.run("run", "again").returncode == 0
    assert tries(phased, "again") == 4
    assert phased.run("run", "other", "never").returncode == 1
    assert (tries(phased, "other"), tries(phased, "never")) == (1, 3)
