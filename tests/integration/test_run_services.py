"""Services that a run in the foreground starts for its tasks: as long as it lasts, and no longer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.program import Program, wait_for

SERVED = (
    "tasks:\n"
    "  seed: {dependsOn: [db], command: 'cat db.up >> seen'}\n"
    "  hang: {dependsOn: [db], command: 'touch hanging; exec sleep 1000'}\n"
    "services:\n"
    "  db: {commands: {start: 'echo $$ > db.up; exec sleep 1000', ready: 'test -s db.up'}}\n"
)


def pid_in(file: Path) -> int:
    """The pid that a command wrote down last."""
    return int(file.read_text().split()[-1])


def is_gone(pid: int) -> bool:
    """Whether no process has this pid."""
    return not Path(f"/proc/{pid}").exists()


def test_each_run_starts_it_anew(phased: Program) -> None:
    """What an earlier run remembers of it is no obstacle."""
    phased.write(SERVED)
    for _ in range(2):
        result = phased.run("run", "seed")
        assert result.returncode == 0, result.stderr
        assert is_gone(pid_in(phased.workspace / "db.up"))
    first, second = (phased.workspace / "seen").read_text().split()
    assert first != second
    assert phased.ours() == []


def test_a_changed_file_counts_in_the_next_run(phased: Program) -> None:
    """Its definition is the newest."""
    phased.write(SERVED)
    assert phased.run("run", "seed").returncode == 0
    phased.write(SERVED.replace("echo $$ > db.up", "echo $$ > db.up; touch new"))
    assert phased.run("run", "seed").returncode == 0
    assert (phased.workspace / "new").exists()


def test_a_service_that_fails_fails_the_run_and_says_why(phased: Program) -> None:
    """1."""
    phased.write(
        "tasks:\n  seed: {dependsOn: [db], command: 'touch never'}\n"
        "services:\n  db: {commands: {start: 'exit 7', ready: 'sleep 1000'}}\n"
    )
    result = phased.run("run", "seed")
    assert result.returncode == 1
    assert "service db failed: exit code 7" in result.stderr
    assert not (phased.workspace / "never").exists()
    assert phased.ours() == []


def test_ctrl_c_ends_the_services_too(phased: Program) -> None:
    """130, and nothing is left."""
    phased.write(SERVED)
    process = phased.start("run", "hang")
    wait_for((phased.workspace / "hanging").exists, "the task")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert is_gone(pid_in(phased.workspace / "db.up"))
    assert phased.ours() == []


def test_what_a_killed_run_had_started_ends_with_the_next(phased: Program) -> None:
    """The supervisor kept it; nobody else would end it."""
    phased.write(SERVED)
    process = phased.start("run", "hang")
    wait_for((phased.workspace / "hanging").exists, "the task")
    old = pid_in(phased.workspace / "db.up")
    process.kill()
    process.wait()
    assert not is_gone(old)
    result = phased.run("run", "seed")
    assert result.returncode == 0, result.stderr
    assert is_gone(old)
    assert pid_in(phased.workspace / "seen") != old
    assert phased.ours() == []


def test_a_dry_run_starts_no_service(phased: Program) -> None:
    """It goes through the motions."""
    phased.write(SERVED)
    result = phased.run("run", "seed", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert not (phased.workspace / "db.up").exists()
    assert not phased.state.exists()


POSTGRES = next(
    (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)), None
)


@pytest.mark.skipif(POSTGRES is None, reason="PostgreSQL's server is not installed at /usr/lib/postgresql")
def test_postgresql_is_readied_seeded_and_stopped_cleanly(phased: Program) -> None:
    """With no process and no lock file left."""
    folder = Path(str(POSTGRES)).parent
    # PostgreSQL refuses to run as root.
    prefix = "" if os.geteuid() else "setpriv --reuid=65534 --regid=65534 --clear-groups "
    if prefix:
        for path in (phased.home, phased.workspace):
            path.chmod(0o777)
    phased.write(
        f"""
tasks:
  init:
    command: |
      {prefix}{folder}/initdb -D data -A trust -U test > /dev/null
  seed:
    dependsOn: [db]
    command: |
      psql -h "$PWD" -U test -d postgres -Atqc 'create table t (a int)' -c 'insert into t values (7)'
      psql -h "$PWD" -U test -d postgres -Atc 'select a from t'
services:
  db:
    dependsOn: [init]
    commands:
      start: exec {prefix}{folder}/postgres -D data -k "$PWD" -c listen_addresses= -c fsync=off
      ready: {folder}/pg_isready -h "$PWD"
"""
    )
    result = phased.run("run", "seed")
    assert result.returncode == 0, result.stderr
    assert phased.call("logs", "seed", "--step", "seed").stdout.splitlines()[-1] == "7"
    assert not (phased.workspace / "data" / "postmaster.pid").exists()
    assert list(phased.workspace.glob(".s.PGSQL*")) == []
    assert phased.ours() == []
