"""Bad input and faults as a user meets them: a clear error, or the right phase with its cause."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program, wait_for

FAILED, STOPPED, SUCCEEDED = (f"TASK_EXECUTION_PHASE_{word}" for word in ("FAILED", "STOPPED", "SUCCEEDED"))
LONG = 100_000_000


def steps(execution: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Phase and cause of each step that started, by label."""
    labels = {step["id"]: step["label"] for group in execution["spec"]["plan"] for step in group["steps"]}
    return {
        labels[step["id"]]: (step["phase"], step.get("failureMessage"))
        for step in execution["status"]["steps"]
    }


@contextmanager
def small_disk(phased: Program, place: Path, size: str) -> Iterator[None]:
    """A tmpfs of this size at this place. Skips where it cannot be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        for pid in phased.ours():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", str(place)], check=True)


# ---- the file ------------------------------------------------------------------------------------------

BAD_FILES: dict[str, tuple[bytes, list[str]]] = {
    "cycle": (
        b"tasks:\n  build: {command: x, dependsOn: [gen]}\n  gen: {command: x, dependsOn: [build]}\n",
        [":2:35: error: cannot order what depends on itself: build -> gen -> build", "hint: remove one"],
    ),
    "unknown-reference": (
        b"tasks:\n  a: {command: x, dependsOn: [lnit]}\n  lint: {command: x}\n",
        [":2:31: error: cannot find `lnit` to depend on", "hint: did you mean `lint`?"],
    ),
    "duplicate-key": (
        b"tasks:\n  a: {command: x}\n  b: {command: x}\n  a: {command: y}\n",
        [":4:3: error: cannot have the key `a` twice: it stands in line 2 already", "hint: rename or remove"],
    ),
    "tab": (
        b"tasks:\n  a:\n\tcommand: x\n",
        [":3:1: error: cannot parse the YAML: a tab cannot indent", "hint: indent with spaces"],
    ),
    "not-utf-8": (
        b"tasks:\n  a:\n    command: |\n      caf\xe9 au lait\n",
        [":4:10: error: cannot read this as text: byte 0xe9 is not UTF-8", "hint: save the file as UTF-8"],
    ),
    "several-at-once": (
        b"tasks:\n  a: {comand: x}\n  b: {command: [x], triggeredBy: prebuild}\n",
        [":2:7: error: cannot use the key `comand`", "did you mean `command`?", ":3:16: error: ", ":3:34: "],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_wrong_in_a_file_is_told_with_its_place(phased: Program, name: str) -> None:
    """The same by `validate` and `run`, as text and as values; nothing is run or made."""
    content, said = BAD_FILES[name]
    file = phased.write("")
    file.write_bytes(content)
    validated = phased.run("validate")
    text = validated.stdout + validated.stderr
    assert validated.returncode == 1
    for part in said:
        assert part in text
    values = json.loads(phased.call("validate", "-o", "json").stdout)
    assert values["valid"] is False
    first = values["diagnostics"][0]
    assert f":{first['line']}:{first['column']}: error: {first['message']}" in text
    ran = phased.call("run", "a")
    assert (ran.returncode, ran.stdout) == (1, "")
    for part in said:
        assert part in ran.stderr
    assert not phased.state.exists()


def test_what_cannot_be_read_is_2_and_says_the_way_out(phased: Program) -> None:
    """A huge file, a directory, nothing at all, a workspace that is not there."""
    huge = phased.write("", "huge.yaml")
    huge.write_bytes(b"tasks:\n" + b"".join(b"  t%d: {command: x}\n" % n for n in range(500_000)))
    folder = phased.workspace / ".ona" / "automations.yaml"
    folder.mkdir()
    for arguments, said in (
        (("--file", str(huge)), "it is larger than 4 MiB; move large scripts to files"),
        (("--file", str(folder)), "it is a directory; name a file in it"),
        ((), "cannot "),
        (("--file", "/no/such/file.yaml"), "cannot find the file /no/such/file.yaml; check the path"),
        (("--directory", "/no/such/workspace"), "cannot use the workspace directory /no/such/workspace: "),
    ):
        for verb in (("validate",), ("plan",), ("run", "a")):
            result = phased.call(*verb, *arguments)
            assert (result.returncode, result.stdout) == (2, ""), result.stderr
            assert result.stderr.startswith("phased: cannot ")
            assert said in result.stderr
    assert not phased.state.exists()


# ---- the state -----------------------------------------------------------------------------------------


def test_a_state_of_a_newer_version_is_left_as_it_is(phased: Program) -> None:
    """Every verb that needs it says so."""
    phased.write("tasks:\n  a: {command: 'echo x >> made'}\n")
    assert phased.run("run", "a").returncode == 0
    database = phased.state / "state.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    before = database.read_bytes()
    for verb in (["run", "a"], ["executions"], ["logs", "a"]):
        result = phased.call(*verb)
        assert (result.returncode, result.stdout) == (2, "")
        assert "a newer version wrote it (schema 1000, known up to " in result.stderr
        assert "use that version, or another --state-dir" in result.stderr
    assert database.read_bytes() == before
    assert (phased.workspace / "made").read_text() == "x\n"


def test_a_state_that_is_no_file_is_refused(phased: Program) -> None:
    """A directory in its place; a file in the place of the state directory."""
    phased.write("tasks:\n  a: {command: touch made}\n")
    (phased.state / "state.db").mkdir(parents=True)
    for state in (phased.state, phased.workspace / ".ona" / "automations.yaml"):
        for verb in (["run", "a"], ["executions"]):
            result = phased.call(*verb, "--state-dir", str(state))
            assert (result.returncode, result.stdout) == (2, ""), result.stderr
            assert result.stderr.startswith("phased: cannot ")
    assert not (phased.workspace / "made").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_state_that_may_not_be_read_is_refused(phased: Program) -> None:
    """And is as it was afterwards."""
    phased.write("tasks:\n  a: {command: 'echo x >> made'}\n")
    assert phased.run("run", "a").returncode == 0
    (phased.state / "state.db").chmod(0)
    for verb in (["run", "a"], ["executions"]):
        result = phased.call(*verb)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        assert result.stderr.startswith("phased: cannot ")
    (phased.state / "state.db").chmod(0o600)
    assert len(phased.executions()) == 1
    assert (phased.workspace / "made").read_text() == "x\n"


def test_a_full_disk_loses_no_end_and_runs_nothing_twice(phased: Program) -> None:
    """The run says so; with room again, the next one completes the history from what was kept."""
    phased.write(
        "tasks:\n"
        "  a: {command: 'echo a >> ran; head -c 5000000 /dev/zero'}\n"
        "  b: {dependsOn: [a], command: 'echo b >> ran'}\n"
        "  other: {command: echo}\n"
    )
    with small_disk(phased, phased.state, "2m"):
        result = phased.run("run", "b")
        assert result.returncode == 1
        assert "the disk is full; make room" in result.stderr
        assert "Traceback" not in result.stderr
        wait_for(lambda: not phased.ours(), "nothing is left")
        for log in phased.state.glob("runs/*/*.log"):
            log.unlink()
        result = phased.run("run", "other")
        assert result.returncode == 0, result.stderr
        assert "note: b (" in result.stderr
        (left,) = phased.executions("b")
        assert left["status"]["phase"] == FAILED
        assert left["status"]["failureMessage"]
        assert steps(left)["a"] == (SUCCEEDED, None)
        assert (phased.workspace / "ran").read_text() == "a\n"
        wait_for(lambda: not phased.ours(), "nothing is left")


def test_a_full_disk_for_logs_is_told_and_fails_no_step(phased: Program) -> None:
    """The step goes on, the gap is told beside its status."""
    phased.write("tasks:\n  a: {command: 'head -c 5000000 /dev/zero; touch made'}\n")
    with small_disk(phased, phased.state / "runs", "500k"):
        result = phased.run("run", "a")
        assert result.returncode == 0, result.stderr
        assert "a: output was lost: No space left on device" in result.stderr
        assert "a: output was lost: No space left on device" in phased.call("executions", "a").stdout
        (one,) = phased.executions()
        assert (one["status"]["phase"], one["status"].get("failureMessage")) == (SUCCEEDED, None)
        assert (phased.workspace / "made").exists()
        wait_for(lambda: not phased.ours(), "nothing is left")


# ---- steps ---------------------------------------------------------------------------------------------


def test_output_of_every_kind_is_kept_as_it_was(phased: Program) -> None:
    """Phase, cause and log of each, in one execution."""
    phased.write(
        f"""
tasks:
  latin: {{command: "printf 'caf\\\\351 no newline'"}}
  long: {{command: "head -c {LONG} /dev/zero | tr '\\\\0' x; exit 3"}}
  closes: {{command: 'echo before; exec >&- 2>&-; echo after; exit 4'}}
  named: {{command: 'echo one; echo two > /dev/stderr; echo three | tee /dev/stderr; echo four'}}
  megabyte:
    command: |
      : '{"y" * 1_000_000}'
      echo survived
  all: {{dependsOn: [latin, long, closes, named, megabyte]}}
"""
    )
    result = phased.run("run", "all")
    assert result.returncode == 1
    assert len(result.stderr) < 20_000, "a line without an end is cut where a person reads it"
    (one,) = phased.executions()
    assert steps(one) == {
        "latin": (SUCCEEDED, None),
        "long": (FAILED, "exit code 3"),
        "closes": (FAILED, "exit code 4"),
        "named": (SUCCEEDED, None),
        "megabyte": (SUCCEEDED, None),
    }
    logs = {
        label: phased.state / "runs" / one["id"] / f"{step['id']}.log"
        for group in one["spec"]["plan"]
        for step in group["steps"]
        for label in [step["label"]]
    }
    assert logs["latin"].read_bytes() == b"caf\xe9 no newline"
    assert logs["long"].stat().st_size == LONG
    assert phased.call("logs", "all", "--step", "closes").stdout == "before\n"
    assert phased.call("logs", "all", "--step", "named").stdout == "one\ntwo\nthree\nthree\nfour\n"
    assert phased.call("logs", "all", "--step", "megabyte").stdout == "survived\n"


def test_a_stop_ends_what_defends_itself(phased: Program) -> None:
    """One that ignores SIGTERM, one that forks in a loop, one that daemonised: nothing is left of any."""
    phased.write(
        """
tasks:
  ignores: {command: 'trap "" TERM; touch ignores; while :; do sleep 0.05; done'}
  forks: {command: 'touch forks; while :; do (trap "" TERM; sleep 30) & sleep 0.02; done'}
  leaves:
    command: |
      (env -i setsid -f sleep 1000 > /dev/null 2>&1 &)
      touch leaves
      while :; do sleep 0.05; done
  all: {dependsOn: [ignores, forks, leaves]}
"""
    )
    process = phased.start("run", "all", env={"PHASED_RUN_STOP_TIMEOUT": "1"})
    for name in ("ignores", "forks", "leaves"):
        wait_for((phased.workspace / name).exists, f"{name} runs")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stopping: waiting for " in said
    (one,) = phased.executions()
    assert one["status"]["phase"] == FAILED
    assert one["spec"]["desiredPhase"] == STOPPED
    assert steps(one) == {
        "ignores": (FAILED, "did not stop within 1 s and was killed"),
        "forks": (STOPPED, None),
        "leaves": (STOPPED, None),
    }
    wait_for(lambda: not phased.ours(), "nothing is left")
    assert not _in(phased.workspace)


def test_what_daemonised_is_named_and_ended_with_the_run(phased: Program) -> None:
    """Without session, parent and environment of its step."""
    phased.write("tasks:\n  a: {command: 'env -i setsid -f sleep 1000 > /dev/null 2>&1'}\n")
    result = phased.run("run", "a")
    assert result.returncode == 0, result.stderr
    assert "ending what commands left in the background: " in result.stderr
    assert not _in(phased.workspace)


def _in(folder: Path) -> list[int]:
    """Living processes whose working directory is this one: `env -i` hides nothing of that."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


# ---- the question --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("plan", "db"), "cannot plan db: it is a service; name a task that needs it"),
        (("run", "db"), "cannot run db: it is a service; name a task that needs it"),
        (("run",), "cannot run: name a task, or give --trigger; there are: build, lint"),
        (("run", "biuld"), "cannot find a task 'biuld'; did you mean build?"),
        (("plan", "--trigger", "prebiuld"), "there is no trigger 'prebiuld'; did you mean prebuild?"),
        (("run", "build", "--max-parallel", "0"), "cannot understand the command line: "),
        (("executions", "--sort", "createdat"), "there is no field 'createdat'; did you mean createdAt?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_question_is_2_and_says_the_way_out(
    phased: Program, asked: tuple[str, ...], said: str
) -> None:
    """Nothing is run or made."""
    phased.write(
        "tasks:\n  build: {command: touch made}\n  lint: {command: touch made}\n"
        "services:\n  db: {commands: {start: sleep 100}}\n"
    )
    result = phased.call(*asked)
    assert (result.returncode, result.stdout) == (2, "")
    assert "phased: cannot " in result.stderr
    assert said in result.stderr
    assert not phased.state.exists()
