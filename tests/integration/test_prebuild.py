"""`phased prebuild` as a prebuild job calls it: with a daemon and without one, to its end or not."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.daemon import Api
from tests.cli.daemon import Terminal, terminal
from tests.cli.program import PATIENCE, Program, program, wait_for

FILE = """\
tasks:
  build:
    command: "env > build.env; echo build >> order.txt; [ ! -e broken ]"
    triggeredBy: [prebuild]
    prebuildRequiresSuccess: true
  warm: {command: "echo warm >> order.txt; exit 5", triggeredBy: [prebuild]}
  seed: {command: "[ -e ready ] && echo seed >> order.txt", dependsOn: [db], triggeredBy: [prebuild]}
  clean: {command: "env > clean.env; echo clean >> order.txt", triggeredBy: [beforeSnapshot]}
  slow: {command: "echo $$ > slow.pid; exec sleep 1000", triggeredBy: [manual]}
services:
  db:
    commands: {start: "env > db.env; echo $$ > db.pid; touch ready; exec sleep 1000", ready: "[ -e ready ]"}
    triggeredBy: [prebuild]
  mine: {commands: {start: "exec sleep 1000"}}
"""
SLOW = FILE.replace("triggeredBy: [manual]", "triggeredBy: [prebuild]")


@pytest.fixture
def phased() -> Iterator[Program]:
    """phased, in a workspace and a state directory of its own."""
    with program() as made:
        made.write(FILE)
        yield made


@pytest.fixture(scope="module")
def shell() -> Iterator[Terminal]:
    """A user's command lines beside a daemon."""
    with terminal(FILE) as made:
        yield made


def order(workspace: Path) -> list[str]:
    """What ran, in order."""
    return (workspace / "order.txt").read_text().split()


def ended(workspace: Path, name: str) -> bool:
    """Whether the process that wrote its pid there has ended."""
    pid = int((workspace / name).read_text())
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def results(firing: dict[str, Any]) -> dict[str, str]:
    """Each part's result."""
    return {one["reference"]: one["result"].removeprefix("FIRING_RESULT_").lower() for one in firing["parts"]}


def test_without_a_daemon_it_runs_here(phased: Program) -> None:
    """Two waves, a warning, a report; the service is stopped."""
    result = phased.run("prebuild", "--report", "report.json", "-o", "json")
    assert result.returncode == 0, result.stderr
    firing = json.loads(result.stdout)
    report = json.loads((phased.workspace / "report.json").read_text())
    assert report == {**firing, "exitCode": 0}
    assert results(firing) == {
        "build": "succeeded", "warm": "failed", "seed": "succeeded", "db": "succeeded", "clean": "succeeded",
    }  # fmt: skip
    assert firing["warnings"] == ["warm: step warm failed: exit code 5"]
    assert firing["prebuild"]
    assert order(phased.workspace)[-1] == "clean"
    assert ended(phased.workspace, "db.pid")
    assert "  db ready" in result.stderr


def test_what_is_required_fails_it(phased: Program) -> None:
    """The exit code is 1; what comes before the snapshot runs all the same."""
    (phased.workspace / "broken").touch()
    result = phased.run("prebuild", "--report", "report.json")
    assert result.returncode == 1
    assert "result:      failed" in result.stdout
    report = json.loads((phased.workspace / "report.json").read_text())
    assert (report["result"], report["exitCode"]) == ("FIRING_RESULT_FAILED", 1)
    assert order(phased.workspace)[-1] == "clean"


def test_its_time_is_up(phased: Program) -> None:
    """Then all of it ends, with 1."""
    phased.write(SLOW)
    started = phased.start("prebuild", "--timeout", "1500ms")
    out, err = started.communicate(timeout=PATIENCE)
    assert started.returncode == 1, err
    assert "cause:       timed out after 1.5 s" in out
    assert not (phased.workspace / "db.pid").exists() or ended(phased.workspace, "db.pid")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 3)])
def test_whoever_ends_it_ends_all_of_it(phased: Program, number: signal.Signals, code: int) -> None:
    """No task and no service is left; the report says so."""
    phased.write(SLOW)
    started = phased.start("prebuild", "--report", "report.json")
    wait_for((phased.workspace / "slow.pid").exists, "it runs")
    wait_for((phased.workspace / "db.pid").exists, "so does its service")
    started.send_signal(number)
    _, err = started.communicate(timeout=PATIENCE)
    assert started.returncode == code, err
    assert ended(phased.workspace, "slow.pid")
    assert ended(phased.workspace, "db.pid")
    report = json.loads((phased.workspace / "report.json").read_text())
    assert report["result"] == "FIRING_RESULT_STOPPED"
    assert results(report)["slow"] == "stopped"
    assert "clean" not in order(phased.workspace)


def test_after_a_crash_the_next_one_cleans_up(phased: Program) -> None:
    """What the killed one had started is ended first."""
    phased.write(SLOW)
    started = phased.start("prebuild")
    wait_for((phased.workspace / "slow.pid").exists, "it runs")
    wait_for((phased.workspace / "db.pid").exists, "so does its service")
    first = [(phased.workspace / name).read_text() for name in ("slow.pid", "db.pid")]
    started.kill()
    started.wait(PATIENCE)
    phased.write(FILE)
    result = phased.run("prebuild", "-o", "json")
    assert result.returncode == 0, result.stderr
    (phased.workspace / "slow.pid").write_text(first[0])
    assert ended(phased.workspace, "slow.pid")
    (phased.workspace / "db.pid").write_text(first[1])
    assert ended(phased.workspace, "db.pid")


def test_a_daemon_does_it_where_there_is_one(shell: Terminal) -> None:
    """A service that ran before goes on; no user's secret is there."""
    api = Api(shell.served.client())
    shell.ok("service", "start", "mine")
    shell.ok("secret", "set", "OURS", stdin="of-the-environment")
    shell.ok("secret", "set", "MINE", "--user", stdin="of-a-user")
    result = shell.run("prebuild", "--report", "report.json")
    assert result.returncode == 0, result.stderr
    assert "warning: warm: step warm failed: exit code 5" in result.stdout
    assert order(shell.served.workspace)[-1] == "clean"
    assert ended(shell.served.workspace, "db.pid")
    phases = {
        one["metadata"]["reference"]: one["status"]["phase"]
        for one in shell.value("service", "list")["services"]
    }
    assert phases == {"db": "SERVICE_PHASE_STOPPED", "mine": "SERVICE_PHASE_RUNNING"}
    report = json.loads((shell.served.workspace / "report.json").read_text())
    assert report["exitCode"] == 0
    build = next(one for one in report["parts"] if one["reference"] == "build")
    execution = api.execution(build["taskExecutionId"])
    assert execution["metadata"]["startedBy"] == "prebuild"
    for name in ("build.env", "db.env", "clean.env"):
        found = (shell.served.workspace / name).read_text()
        assert "OURS=of-the-environment\n" in found
        assert "MINE=" not in found
    assert shell.run("task", "start", "build").returncode == 0
    assert "MINE=of-a-user\n" in (shell.served.workspace / "build.env").read_text()
    listed = shell.value("trigger", "list")["firings"]
    assert [one["id"] for one in listed] == [report["id"]]


def test_who_ends_the_command_ends_the_prebuild_in_the_daemon(shell: Terminal) -> None:
    """With SIGTERM as with Ctrl-C."""
    path = shell.served.workspace / ".ona" / "automations.yaml"
    path.write_text(SLOW)
    shell.ok("update")
    (shell.served.workspace / "db.pid").unlink(missing_ok=True)
    (shell.served.workspace / "slow.pid").unlink(missing_ok=True)
    started = shell.start("prebuild")
    wait_for((shell.served.workspace / "slow.pid").exists, "it runs")
    wait_for((shell.served.workspace / "db.pid").exists, "so does its service")
    os.kill(started.pid, signal.SIGTERM)
    out, err = started.communicate(timeout=PATIENCE)
    assert started.returncode == 130, (out, err)
    assert "result:      stopped" in out
    assert ended(shell.served.workspace, "slow.pid")
    assert ended(shell.served.workspace, "db.pid")


def test_a_report_that_cannot_be_written_is_said(phased: Program) -> None:
    """With 2, as any file."""
    result = phased.run("prebuild", "--report", "nowhere/report.json")
    assert result.returncode == 2
    assert "cannot write the report nowhere/report.json: No such file or directory" in result.stderr


def test_run_by_a_trigger_is_a_firing_too(phased: Program) -> None:
    """It is on record, with how each task ended; a daemon shows it later."""
    result = phased.run("run", "--trigger", "prebuild")
    assert result.returncode == 1  # warm fails
    from phased.store.sqlite import SqliteStore  # noqa: PLC0415 - only here

    async def records() -> list[Any]:
        store = SqliteStore.open(phased.state / "state.db")
        try:
            return list(await store.firings.list_firings())
        finally:
            await store.close()

    import anyio  # noqa: PLC0415 - only here

    (record,) = anyio.run(records)
    assert record.triggers == ("prebuild",)
    assert record.result.value == "failed"
    assert {part.reference: part.result.value for part in record.parts} == {
        "build": "succeeded", "warm": "failed", "seed": "succeeded",
    }  # fmt: skip
    assert all(part.execution_id for part in record.parts)
