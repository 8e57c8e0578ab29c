"""`phased run` with real processes, real files and a real state directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from phased.contract.base import from_json
from phased.contract.execution import TaskExecution
from tests.cli.program import Program, wait_for

ROOT = Path(__file__).parents[2]
UNTIL_GO = "while [ ! -e go ]; do sleep 0.05; done"
FOREVER = "while :; do sleep 0.05; done"


def started(phased: Program, name: str = "up") -> None:
    """Wait until a step has made this file."""
    wait_for((phased.workspace / name).exists, f"{name} is there")


def last_line(text: str) -> str:
    """The last line of a text."""
    return text.splitlines()[-1]


def test_the_quickstart_runs_to_its_end(phased: Program) -> None:
    """The quickstart runs to its end."""
    result = phased.run("run", "release", "-f", str(ROOT / "configs" / "examples" / "quickstart.yaml"))
    assert result.returncode == 0, result.stderr
    assert last_line(result.stderr).startswith("==== release succeeded in ")
    (execution,) = phased.executions("release")
    outputs = [step.get("output", {}) for step in execution["status"]["steps"]]
    assert {"FILE": "demo-3.tar"} in outputs
    assert "unit | test 4 of 4 passed\n" in phased.call("logs", "release").stdout


def test_steps_run_in_the_workspace_in_order_with_outputs(phased: Program) -> None:
    """Steps run in the workspace in order with outputs."""
    phased.write(
        "tasks:\n"
        "  gen: {command: 'pwd; echo NAME=world >> $PHASED_OUTPUT; touch made'}\n"
        "  build: {dependsOn: [gen], command: 'test -e made && echo hello $PHASED_OUTPUT_GEN_NAME'}\n"
    )
    result = phased.run("run", "build")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert phased.call("logs", "build", "--step", "build").stdout == "hello world\n"
    assert phased.call("logs", "build").stdout == f"gen | {phased.workspace}\nbuild | hello world\n"


def test_a_failure_is_1_and_shows_the_end_of_the_output(phased: Program) -> None:
    """A failure is 1 and shows the end of the output."""
    phased.write(
        "tasks:\n  good: {command: echo fine}\n  bad: {command: 'echo oops; exit 3'}\n"
        "  after: {dependsOn: [good, bad], command: echo never}\n"
    )
    result = phased.run("run", "after")
    assert result.returncode == 1
    assert "good: succeeded in" in result.stderr
    assert "---- bad failed after" in result.stderr
    assert "exit code 3; the end of its output:\n    oops\n" in result.stderr
    assert "(1 succeeded, 1 failed, 1 never started); step bad failed: exit code 3 [" in last_line(
        result.stderr
    )
    (execution,) = phased.executions()
    assert execution["status"]["failureMessage"] == "step bad failed: exit code 3"
    assert [step["phase"].rpartition("_")[2] for step in execution["status"]["steps"]] == [
        "SUCCEEDED",
        "FAILED",
    ]


def test_json_lines_are_executions_and_the_last_is_the_outcome(phased: Program) -> None:
    """Json lines are executions and the last is the outcome."""
    phased.write("tasks:\n  a: {command: 'sleep 0.3'}\n  b: {dependsOn: [a], command: 'exit 7'}\n")
    result = phased.run("run", "b", "-o", "json")
    assert result.returncode == 1
    found = [from_json(TaskExecution, line) for line in result.stdout.splitlines()]
    assert len(found) >= 2
    assert json.loads(last_line(result.stdout))["status"]["phase"] == "TASK_EXECUTION_PHASE_FAILED"
    assert phased.call("executions", found[0].id, "-o", "json").stdout == last_line(result.stdout) + "\n"


def test_history_by_reference_id_and_order(phased: Program) -> None:
    """History by reference id and order."""
    phased.write("tasks:\n  a: {command: echo a}\n  b: {command: exit 1}\n")
    assert phased.run("run", "a").returncode == 0
    assert phased.run("run", "b").returncode == 1
    newest, oldest = phased.executions()
    assert [one["id"] for one in phased.executions("--sort", "createdAt")] == [oldest["id"], newest["id"]]
    assert [one["id"] for one in phased.executions("a")] == [oldest["id"]]
    assert [one["id"] for one in phased.executions("--limit", "1")] == [newest["id"]]
    shown = phased.call("executions", newest["id"][:13]).stdout
    assert newest["id"] in shown
    assert "exit code 1" in shown
    table = phased.call("executions").stdout.splitlines()
    assert table[0].split() == ["ID", "TASK", "PHASE", "CREATED", "TOOK", "BY", "WHY"]
    assert table[1].startswith(newest["id"][:8])
    nothing = phased.call("executions", "nosuch")
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_a_service_that_a_task_needs_runs_as_long_as_the_run(phased: Program) -> None:
    """A service that a task needs runs as long as the run."""
    phased.write(
        "tasks:\n  a: {dependsOn: [db], command: 'cat db.up'}\n"
        "services:\n  db: {commands: {start: 'echo $$ > db.up; exec sleep 1000', ready: 'test -s db.up'}}\n"
    )
    result = phased.run("run", "a")
    assert result.returncode == 0, result.stderr
    assert "stopping the services that were started for this: db" in result.stderr
    pid = phased.call("logs", "a", "--step", "a").stdout.strip()
    assert pid.isdigit()
    assert not is_alive(int(pid))


def test_what_was_left_in_the_background_is_ended_and_named(phased: Program) -> None:
    """What was left in the background is ended and named."""
    phased.write("tasks:\n  a: {command: 'sleep 1000 & echo $! > pid'}\n")
    result = phased.run("run", "a")
    assert result.returncode == 0, result.stderr
    pid = (phased.workspace / "pid").read_text().strip()
    assert "ending what commands left in the background: " in result.stderr
    assert f"({pid})" in result.stderr
    assert not is_alive(int(pid))


def test_keep_leaves_it(phased: Program) -> None:
    """`--keep` leaves what commands left in the background."""
    phased.write("tasks:\n  a: {command: 'sleep 1000 & echo $! > pid'}\n")
    result = phased.run("run", "a", "--keep")
    assert result.returncode == 0, result.stderr
    assert is_alive(int((phased.workspace / "pid").read_text()))


def is_alive(pid: int) -> bool:
    """A zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_is_left_after_a_run(phased: Program) -> None:
    """No process is left after a run."""
    phased.write("tasks:\n  a: {command: 'echo a'}\n")
    assert phased.run("run", "a").returncode == 0
    wait_for(lambda: not phased.ours(), "the supervisor has ended")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 3), (signal.SIGHUP, 3)],
    ids=["INT", "TERM", "HUP"],
)
def test_a_signal_stops_gracefully(phased: Program, number: signal.Signals, code: int) -> None:
    """A signal stops gracefully."""
    phased.write(
        f"tasks:\n  a: {{command: 'trap \"touch cleaned; exit 0\" TERM; touch up; {FOREVER}'}}\n"
        "  b: {dependsOn: [a], command: touch never}\n"
    )
    process = phased.start("run", "b")
    started(phased)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert (phased.workspace / "cleaned").exists()
    assert not (phased.workspace / "never").exists()
    assert f"stopping ({number.name}); again to kill" in said
    assert "stopping: waiting for a (pid " in said
    (execution,) = phased.executions()
    assert execution["status"]["phase"] == "TASK_EXECUTION_PHASE_STOPPED"
    assert execution["spec"]["desiredPhase"] == "TASK_EXECUTION_PHASE_STOPPED"


def test_a_second_signal_kills(phased: Program) -> None:
    """A second signal kills."""
    phased.write(
        "tasks:\n  a: {command: 'trap \"touch asked\" TERM; touch up; while :; do sleep 0.05; done'}\n"
    )
    process = phased.start("run", "a", env={"PHASED_RUN_STOP_TIMEOUT": "1h"})
    started(phased)
    process.send_signal(signal.SIGINT)
    started(phased, "asked")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "killing what still runs" in said
    (execution,) = phased.executions()
    assert "was killed" in execution["status"]["failureMessage"]


def test_a_stop_that_takes_too_long_is_ended_by_the_limit(phased: Program) -> None:
    """A stop that takes too long is ended by the limit."""
    phased.write("tasks:\n  a: {command: 'trap \"\" TERM; touch up; while :; do sleep 0.05; done'}\n")
    process = phased.start("run", "a", env={"PHASED_RUN_STOP_TIMEOUT": "0.3"})
    started(phased)
    process.terminate()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "did not stop within 0.3 s and was killed" in said


def test_who_ignored_hangups_goes_on_ignoring_them(phased: Program) -> None:
    """As nohup(1) has it."""
    phased.write(f"tasks:\n  a: {{command: 'touch up; {UNTIL_GO}'}}\n")
    process = phased.start("run", "a", preexec_fn=_ignore_hangup)
    started(phased)
    process.send_signal(signal.SIGHUP)
    (phased.workspace / "go").touch()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def _ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_control_c_on_a_terminal_draws_and_stops(phased: Program) -> None:
    """Control c on a terminal draws and stops."""
    phased.write(
        "tasks:\n  gen: {command: echo generated}\n"
        f"  wait: {{dependsOn: [gen], command: 'printf \"now \\033[31mred\\033[0m\\n\"; {FOREVER}'}}\n"
    )
    terminal = phased.terminal("run", "wait")
    terminal.until("group 1: gen", "running", "now red")
    terminal.type(b"\x03")
    code = terminal.end()
    assert code == 130
    assert "stopping (SIGINT); again to kill" in terminal.text
    assert "==== wait stopped after" in terminal.text
    assert "\x1b[31mred" not in terminal.text


def test_no_color_on_a_terminal_sends_no_color(phased: Program) -> None:
    """No color on a terminal sends no color."""
    phased.write("tasks:\n  a: {command: exit 1}\n")
    terminal = phased.terminal("run", "a", env={"NO_COLOR": "1"})
    assert terminal.end() == 1
    assert "\x1b[31m" not in terminal.text
    assert "\x1b[1;31m" not in terminal.text
    colored = phased.terminal("run", "a", rows=6, columns=30)
    assert colored.end() == 1
    assert "\x1b[1;31m" in colored.text


def test_a_dumb_terminal_gets_plain_lines(phased: Program) -> None:
    """A dumb terminal gets plain lines."""
    phased.write("tasks:\n  a: {command: echo}\n")
    terminal = phased.terminal("run", "a", env={"TERM": "dumb"})
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text


def test_a_run_goes_on_when_its_reader_leaves(phased: Program) -> None:
    """A run goes on when its reader leaves."""
    phased.write(
        f"tasks:\n  a: {{command: 'touch up; {UNTIL_GO}'}}\n  b: {{dependsOn: [a], command: touch made}}\n"
    )
    process = phased.start("run", "b", "-o", "json")
    started(phased)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    (phased.workspace / "go").touch()
    assert process.wait(120) == 0
    assert (phased.workspace / "made").exists()


def test_what_an_earlier_run_left_unfinished_ends_with_a_cause(phased: Program) -> None:
    """What an earlier run left unfinished ends with a cause."""
    phased.write("tasks:\n  a: {command: 'touch up; while :; do sleep 0.05; done'}\n  b: {command: echo b}\n")
    process = phased.start("run", "a")
    started(phased)
    process.kill()
    process.wait(120)
    result = phased.run("run", "b", env={"PHASED_RUN_STOP_TIMEOUT": "1"})
    assert result.returncode == 0, result.stderr
    assert "note: a (" in result.stderr
    assert "was left unfinished by an earlier run: " in result.stderr
    (lost,) = phased.executions("a")
    assert lost["status"]["phase"] == "TASK_EXECUTION_PHASE_FAILED"


def test_logs_follow_until_the_end(phased: Program) -> None:
    """Logs follow until the end."""
    phased.write(
        "tasks:\n  a: {command: 'echo one; touch up; while [ ! -e go ]; do sleep 0.05; done; echo two'}\n"
        "  b: {dependsOn: [a], command: echo three}\n"
    )
    running = phased.start("run", "b")
    started(phased)
    follower = phased.start("logs", "b", "--follow")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "a | one\n"
    (phased.workspace / "go").touch()
    rest, said = follower.communicate(timeout=120)
    assert (follower.returncode, rest, said) == (0, "a | two\nb | three\n", "")
    assert running.wait(120) == 0
    assert phased.call("logs", "b", "--tail", "1").stdout == "a | two\nb | three\n"
    assert phased.call("logs", "b", "--step", "a", "--tail", "1").stdout == "two\n"
    missing = phased.call("logs", "b", "--step", "c")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert "there are: a, b" in missing.stderr


def test_logs_are_the_bytes_that_were_written(phased: Program) -> None:
    """Logs are the bytes that were written."""
    phased.write("tasks:\n  a: {command: \"printf 'caf\\\\351\\\\000 no newline'\"}\n")
    assert phased.run("run", "a").returncode == 0
    process = phased.start("logs", "a", text=False)
    assert process.stdout is not None
    assert process.stdout.read() == b"caf\xe9\x00 no newline"


def test_max_parallel_is_a_limit(phased: Program) -> None:
    """Max parallel is a limit."""
    command = "mkdir lock || exit 9; sleep 0.05; rmdir lock"
    steps = "".join(f"  s{number}: {{command: '{command}'}}\n" for number in range(6))
    phased.write(f"tasks:\n{steps}  all: {{dependsOn: [s0, s1, s2, s3, s4, s5]}}\n")
    assert phased.run("run", "all", "--max-parallel", "1").returncode == 0


def test_two_references_share_what_both_need(phased: Program) -> None:
    """Two references share what both need."""
    phased.write(
        "tasks:\n  gen: {command: 'echo x >> count'}\n"
        "  a: {dependsOn: [gen], command: echo a}\n  b: {dependsOn: [gen], command: echo b}\n"
    )
    result = phased.run("run", "a", "b")
    assert result.returncode == 0, result.stderr
    assert (phased.workspace / "count").read_text() == "x\n"
    assert len(phased.executions()) == 2
    assert phased.call("logs", "b").stdout == "b | b\n" or "gen" in phased.call("logs", "b").stdout


def test_the_worst_outcome_counts(phased: Program) -> None:
    """The worst outcome counts."""
    phased.write("tasks:\n  a: {command: echo}\n  b: {command: exit 1}\n")
    assert phased.run("run", "a", "b").returncode == 1


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("tasks:\n  a: {command: x, dependsOn: [b]}\n  b: {command: x, dependsOn: [a]}\n", "a -> b -> a"),
        ("tasks:\n  a: {command: x, dependsOn: [c]}\n", "c"),
        ("tasks:\n  a: {command: x}\n  a: {command: y}\n", ":3:3:"),
        ("tasks:\n\ta: {command: x}\n", ":2:1:"),
    ],
    ids=["cycle", "unknown", "duplicate", "tab"],
)
def test_a_bad_file_runs_nothing(phased: Program, file: str, said: str) -> None:
    """A bad file runs nothing."""
    phased.write(file)
    result = phased.call("run", "a")
    assert (result.returncode, result.stdout) == (1, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not phased.state.exists()


def test_bytes_that_are_no_text_and_a_huge_file(phased: Program) -> None:
    """Bytes that are no text and a huge file."""
    path = phased.write("")
    path.write_bytes(b"tasks:\n  a: {command: '\xff'}\n")
    assert phased.call("run", "a").returncode == 1
    path.write_bytes(b"# " + b"x" * 10_000_000 + b"\n")
    result = phased.call("run", "a")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_command_of_a_megabyte_runs(phased: Program) -> None:
    """A command of a megabyte runs."""
    phased.write("tasks:\n  a:\n    command: |\n      : '" + "x" * 1_000_000 + "'\n      echo survived\n")
    assert phased.run("run", "a").returncode == 0
    assert phased.call("logs", "a").stdout == "survived\n"


def test_a_shell_that_does_not_exist_fails_the_step(phased: Program) -> None:
    """A shell that does not exist fails the step."""
    phased.write("tasks:\n  a: {command: echo}\n")
    result = phased.run("run", "a", env={"PHASED_RUN_SHELL": "/no/such/shell"})
    assert result.returncode == 1
    assert "could not start" in result.stderr
    assert "/no/such/shell" in result.stderr


def test_a_workspace_that_vanishes_fails_the_step(phased: Program) -> None:
    """A workspace that vanishes fails the step."""
    phased.write("tasks:\n  a: {command: 'rm -r \"$PWD\"'}\n  b: {dependsOn: [a], command: echo}\n")
    result = phased.run("run", "b")
    assert result.returncode == 1
    assert "could not start" in result.stderr


@pytest.mark.parametrize(
    "content", [b"this is no database, for certain\n" * 40, b"SQLite format 3\0" + b"x" * 4096]
)
def test_an_unreadable_state_file_is_left_as_it_is(phased: Program, content: bytes) -> None:
    """An unreadable state file is left as it is."""
    phased.write("tasks:\n  a: {command: touch made}\n")
    phased.state.mkdir()
    database = phased.state / "state.db"
    database.write_bytes(content)
    for verb in (["run", "a"], ["executions"]):
        result = phased.call(*verb)
        assert result.returncode == 2, result.stderr
        assert "phased: cannot " in result.stderr
        assert "Traceback" not in result.stderr
    assert database.read_bytes() == content
    assert not (phased.workspace / "made").exists()


def test_a_state_directory_that_is_a_file_is_refused(phased: Program) -> None:
    """A state directory that is a file is refused."""
    phased.write("tasks:\n  a: {command: echo}\n")
    phased.state.write_text("")
    result = phased.call("run", "a")
    assert result.returncode == 2
    assert "cannot use the state directory" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_ends_the_run_with_a_cause(phased: Program) -> None:
    """A full disk ends the run with a cause."""
    phased.state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(phased.state)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        phased.write(
            "tasks:\n  a: {command: 'head -c 50000000 /dev/zero; echo done; touch made'}\n"
            "  b: {dependsOn: [a], command: echo}\n"
        )
        result = phased.run("run", "b")
        assert "Traceback" not in result.stderr
        assert (phased.workspace / "made").exists()
        assert result.returncode in {0, 1}
        for pid in phased.ours():
            os.kill(pid, signal.SIGKILL)
    finally:
        wait_for(
            lambda: (
                subprocess.run(["umount", str(phased.state)], capture_output=True, check=False).returncode
                == 0
            ),
            "the tmpfs can be unmounted",
        )
