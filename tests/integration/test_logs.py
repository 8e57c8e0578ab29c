"""`phased logs` and `phased executions` beside a run, from another process."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, wait_for

UNTIL_GO = "while [ ! -e go ]; do sleep 0.05; done"
FILE = (
    f"tasks:\n  gen: {{command: 'echo one; echo two; touch up; {UNTIL_GO}; echo three'}}\n"
    "  build: {dependsOn: [gen], command: 'echo four; echo five >&2'}\n"
)


@pytest.fixture
def history(phased: Program) -> list[dict[str, Any]]:
    """Two ended executions of `build`, newest first."""
    phased.write(FILE)
    (phased.workspace / "go").touch()
    for _ in range(2):
        assert phased.run("run", "build").returncode == 0
    return phased.executions()


def test_one_execution_is_named_in_many_ways(phased: Program, history: list[dict[str, Any]]) -> None:
    """By its task (the newest), its id, and the beginning of its id; each step by reference and id."""
    whole = "gen | one\ngen | two\ngen | three\nbuild | four\nbuild | five\n"
    newest, oldest = (one["id"] for one in history)
    steps = {step["label"]: step["id"] for group in history[0]["spec"]["plan"] for step in group["steps"]}
    for name in ("build", newest, newest[:13], oldest):
        assert phased.call("logs", name).stdout == whole
    for step in ("build", steps["build"]):
        assert phased.call("logs", newest, "--step", step).stdout == "four\nfive\n"
    assert phased.call("logs", "build", "--step", "gen", "--tail", "2").stdout == "two\nthree\n"
    assert phased.call("logs", "build", "--tail", "1").stdout == "gen | three\nbuild | five\n"
    assert phased.call("logs", "build", "--tail", "0").stdout == ""
    assert phased.call("logs", "build", "--follow").stdout == whole
    assert phased.call("logs", "build", "-o", "json").stdout == whole, "plain text, never JSON"


def test_what_is_not_there_is_4_and_says_what_is(phased: Program, history: list[dict[str, Any]]) -> None:
    """And so does the beginning of several ids."""
    known = history[0]["id"]
    other = f"{known[:13]}{uuid.uuid4()}"[:36]
    with sqlite3.connect(phased.state / "state.db") as connection:
        columns = [
            row[1] for row in connection.execute("PRAGMA table_info(executions)") if row[1] != "number"
        ]
        copied = ", ".join("?" if column == "id" else column for column in columns)
        connection.execute(
            f"INSERT INTO executions ({', '.join(columns)}) SELECT {copied} FROM executions WHERE id = ?",
            (other, known),
        )
        connection.execute(
            "CREATE TEMP TABLE copied AS SELECT * FROM statuses"
            " WHERE execution = (SELECT number FROM executions WHERE id = ?)",
            (known,),
        )
        connection.execute(
            "UPDATE copied SET execution = (SELECT number FROM executions WHERE id = ?)", (other,)
        )
        connection.execute("INSERT INTO statuses SELECT * FROM copied")
    connection.close()
    for arguments, said in (
        (
            ("logs", "nosuch"),
            "cannot find an execution 'nosuch': it is neither an id nor a task ",
        ),
        (("logs", "build", "--step", "nosuch"), "cannot find a step 'nosuch' in "),
        (("logs", known[:13]), f"cannot tell which execution {known[:13]} is: "),
        (("executions", known[:13]), f"cannot tell which execution {known[:13]} is: "),
        (("executions", str(uuid.uuid4())), "cannot find an execution "),
    ):
        result = phased.call(*arguments)
        assert (result.returncode, result.stdout) == (4, ""), result.stderr
        assert f"phased: {said}" in result.stderr
    assert phased.call("logs", known).returncode == 0


def test_a_run_is_followed_from_elsewhere(phased: Program) -> None:
    """From its first line to its end, one step or all; who has seen enough leaves with 130."""
    phased.write(FILE)
    running = phased.start("run", "build")
    wait_for((phased.workspace / "up").exists, "gen runs")
    everything = phased.start("logs", "build", "--follow")
    one = phased.start("logs", "build", "--follow", "--step", "build")
    leaver = phased.start("logs", "build", "--follow", "--tail", "1")
    assert everything.stdout is not None
    assert everything.stdout.readline() == "gen | one\n"
    assert leaver.stdout is not None
    assert leaver.stdout.readline() == "gen | two\n"
    leaver.send_signal(signal.SIGINT)
    assert leaver.wait(120) == 130
    assert phased.executions()[0]["status"]["phase"] == "TASK_EXECUTION_PHASE_RUNNING"
    (phased.workspace / "go").touch()
    assert everything.stdout.read() == "gen | two\ngen | three\nbuild | four\nbuild | five\n"
    assert everything.wait(120) == 0
    assert one.communicate(timeout=120) == ("four\nfive\n", "")
    assert running.wait(120) == 0


def test_after_a_killed_run_what_is_unfinished_says_so_until_the_next(phased: Program) -> None:
    """Nobody works there; the next run ends it with a cause, nothing runs twice, nothing is left."""
    phased.write(
        f"tasks:\n  gen: {{command: 'echo x >> ran; touch up; {UNTIL_GO}'}}\n"
        "  build: {dependsOn: [gen], command: 'echo x >> never'}\n  other: {command: echo}\n"
    )
    running = phased.start("run", "build")
    wait_for((phased.workspace / "up").exists, "gen runs")
    running.kill()
    running.wait(120)
    shown = phased.call("executions")
    assert shown.returncode == 0
    assert "note: nobody works on this state any more" in shown.stderr
    assert phased.run("run", "other", env={"PHASED_RUN_STOP_TIMEOUT": "1"}).returncode == 0
    (left,) = phased.executions("build")
    assert left["status"]["phase"] == "TASK_EXECUTION_PHASE_FAILED"
    assert left["status"]["failureMessage"]
    assert phased.call("executions").stderr == ""
    assert (phased.workspace / "ran").read_text() == "x\n"
    assert not (phased.workspace / "never").exists()
    wait_for(lambda: not phased.ours(), "nothing is left")


@pytest.mark.parametrize("round_", range(3))
def test_a_run_killed_at_any_moment_loses_and_repeats_nothing(phased: Program, round_: int) -> None:
    """After each kill the history is whole, and every step ran at most once for each execution."""
    names = [f"s{number}" for number in range(12)]
    lines = [
        f"  {name}: {{command: 'echo {name} >> ran', dependsOn: [{', '.join(names[max(0, n - 1) : n])}]}}"
        for n, name in enumerate(names)
    ]
    phased.write("tasks:\n" + "\n".join(lines) + "\n  quick: {command: echo}\n")
    running = phased.start("run", names[-1], stderr=subprocess.DEVNULL)
    ran = phased.workspace / "ran"
    wait_for(lambda: len(_lines(ran)) >= 1 + 4 * round_, "some steps have run")
    running.kill()
    running.wait(120)
    assert phased.run("run", "quick", env={"PHASED_RUN_STOP_TIMEOUT": "1"}).returncode == 0
    (left,) = phased.executions(names[-1])
    assert left["status"]["phase"] in {"TASK_EXECUTION_PHASE_FAILED", "TASK_EXECUTION_PHASE_SUCCEEDED"}
    assert _lines(ran) == names[: len(_lines(ran))], "each once, in order"
    wait_for(lambda: not phased.ours(), "nothing is left")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
