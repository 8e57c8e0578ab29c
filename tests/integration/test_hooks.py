"""The hooks of configs/hooks, each tried as what calls it would: what they start outlives them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.daemon import PATIENCE, wait_for
from tests.cli.program import Program, program

HOOKS = Path(__file__).parents[2] / "configs" / "hooks"
FILE = """\
tasks:
  up: {command: "echo up >> up.txt; sleep 1; echo later >> up.txt", triggeredBy: [postEnvironmentStart]}
  made: {command: "echo made >> made.txt", triggeredBy: [postDevcontainerStart]}
  machine: {command: "echo machine >> machine.txt", triggeredBy: [postMachineStart]}
  build: {command: "echo build >> build.txt", triggeredBy: [prebuild], prebuildRequiresSuccess: true}
services:
  web: {commands: {start: "echo $$ > web.pid; exec sleep 1000"}, triggeredBy: [postEnvironmentStart]}
"""


class Machine:
    """A workspace, and a PATH on which `phased` is."""

    def __init__(self, made: Program) -> None:
        self.program = made
        self.workspace = made.workspace
        self.bin = made.home / "bin"
        self.bin.mkdir()
        phased = self.bin / "phased"
        phased.write_text(f'#!/bin/sh\nexec {sys.executable} -m phased "$@"\n')
        phased.chmod(0o755)
        shutil.copytree(HOOKS, self.workspace / "configs" / "hooks")
        made.write(FILE)

    def environment(self, **extra: str) -> dict[str, str]:
        """Short, as where hooks run."""
        given = self.program.environment({"TMPDIR": str(self.program.home), **extra})
        return {**given, "PATH": f"{self.bin}:{given.get('PATH', '/usr/bin:/bin')}"}

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run in the workspace, in a session that ends with it."""
        options.setdefault("env", self.environment())
        options.setdefault("cwd", self.workspace)
        log = self.program.home / "out"
        with log.open("w") as out:  # no pipe: what outlives the hook would hold it open
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=2 * PATIENCE,
                check=False,
                start_new_session=True,
                **options,
            )
        return subprocess.CompletedProcess(done.args, done.returncode, log.read_text(), "")

    def ok(self, *command: str, **options: Any) -> str:
        """It has to succeed."""
        done = self.run(*command, **options)
        assert done.returncode == 0, (command, done.stdout)
        return done.stdout

    def wrote(self, name: str, *lines: str) -> None:
        """Wait until a task has written these lines."""
        path = self.workspace / name
        wait_for(lambda: path.exists() and path.read_text().split() == list(lines), f"{name}: {lines}")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One that leaves nothing behind."""
    with program() as made:
        yield Machine(made)


def test_a_dev_container_starts_what_it_names(machine: Machine) -> None:
    """Its commands as the devcontainer CLI runs them: `/bin/sh -c`, in the workspace, each for itself."""
    said = json.loads((HOOKS / "devcontainer.json").read_text())
    machine.ok("/bin/sh", "-c", said["postCreateCommand"])
    machine.wrote("made.txt", "made")
    machine.ok("/bin/sh", "-c", said["postStartCommand"])
    machine.wrote("up.txt", "up", "later")  # the hook has ended before
    pid = int((machine.workspace / "web.pid").read_text())
    assert os.getsid(pid) == pid  # no session of a hook's
    machine.ok("/bin/sh", "-c", said["postStartCommand"])  # a later start
    machine.wrote("up.txt", "up", "later", "up", "later")
    assert (machine.workspace / "web.pid").read_text() == f"{pid}\n"


def test_what_a_hook_starts_outlives_its_terminal(machine: Machine) -> None:
    """The terminal hangs up while it runs: SIGHUP goes to all that it controls (tty(4))."""
    said = json.loads((HOOKS / "devcontainer.json").read_text())
    ours, theirs = os.openpty()
    hook = subprocess.Popen(
        ["setsid", "--ctty", "/bin/sh", "-c", f"{said['postStartCommand']}; touch fired; read line"],
        cwd=machine.workspace, env=machine.environment(), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    try:
        wait_for((machine.workspace / "fired").exists, "the hook has fired")
        wait_for((machine.workspace / "web.pid").exists, "the service runs")
    finally:
        os.close(ours)
        hook.wait(PATIENCE)
    machine.wrote("up.txt", "up", "later")
    pid = int((machine.workspace / "web.pid").read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")
    machine.ok("phased", "status")


def test_an_entrypoint_starts_all_and_then_the_command(machine: Machine) -> None:
    """Which is the process that stays; and gets its arguments and its exit code."""
    done = machine.run("sh", "configs/hooks/entrypoint.sh", "sh", "-c", 'echo "args: $1"; exit 7', "x", "y")
    assert (done.returncode, done.stdout) == (7, "args: y\n")
    machine.wrote("machine.txt", "machine")
    machine.wrote("up.txt", "up", "later")


def test_a_git_hook_applies_the_file_and_fires(machine: Machine) -> None:
    """At a real checkout; and it does not stop one where no daemon runs."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git here")
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")

    def call(*arguments: str) -> str:
        return machine.ok(git, *who, *arguments, env=machine.environment(GIT_CONFIG_GLOBAL=os.devnull))

    call("init", "-q")
    call("add", ".")
    call("commit", "-q", "-m", "one")
    call("checkout", "-q", "-b", "other")
    machine.program.write(FILE.replace("echo up >> up.txt; sleep 1; echo later", "echo other"))
    call("commit", "-q", "-a", "-m", "two")
    call("checkout", "-q", "main")
    shutil.copy(HOOKS / "post-checkout", machine.workspace / ".git" / "hooks" / "post-checkout")
    (machine.workspace / ".git" / "hooks" / "post-checkout").chmod(0o755)
    call("checkout", "-q", "other")  # no daemon yet
    assert not (machine.workspace / "up.txt").exists()
    call("checkout", "-q", "main")
    machine.ok("sh", "configs/hooks/start-daemon.sh")
    call("checkout", "-q", "other")
    machine.wrote("up.txt", "other")


def test_a_line_for_cron_runs_as_cron_runs_it(machine: Machine) -> None:
    """`/bin/sh`, hardly any environment, no terminal (crontab(5)); without a daemon."""
    text = (HOOKS / "crontab").read_text()
    line = next(one for one in text.splitlines() if one and not one.startswith(("#", "PATH=")))
    command = line.split(None, 5)[5]
    home = machine.program.home
    (home / "workspace").symlink_to(machine.workspace)
    given = {
        "HOME": str(home), "LOGNAME": "x", "SHELL": "/bin/sh", "PATH": f"{machine.bin}:/usr/bin:/bin",
    }  # fmt: skip
    done = machine.run("/bin/sh", "-c", command, env=given, cwd=home)
    log = home / "prebuild.log"
    assert done.returncode == 0, (done.stdout, log.exists() and log.read_text())
    machine.wrote("build.txt", "build")
    assert json.loads((home / "prebuild.json").read_text())["exitCode"] == 0


def test_the_unit_file_is_one(tmp_path: Path) -> None:
    """Every line is a section, a key with a value, or a comment; and systemd takes it where there is one."""
    unit = HOOKS / "phased-trigger@.service"
    text = unit.read_text()
    assert re.findall(r"^\[(\w+)\]$", text, re.MULTILINE) == ["Unit", "Service", "Install"]
    for line in filter(None, text.splitlines()):
        assert re.fullmatch(r"#.*|\[\w+\]|[A-Z]\w+=\S.*", line), line
    verify = shutil.which("systemd-analyze")
    if verify is None:
        return
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    copied = folder / "phased-trigger@postMachineStart.service"
    copied.write_text(text.replace("Requires=phased.service\nAfter=phased.service\n", ""))
    done = subprocess.run(
        [verify, "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False
    )
    assert "phased-trigger" not in done.stderr, done.stderr


def test_every_hook_is_tried() -> None:
    """A new one needs a test here."""
    assert {path.name for path in HOOKS.iterdir()} == {
        "devcontainer.json", "start-daemon.sh", "entrypoint.sh", "post-checkout", "crontab",
        "phased-trigger@.service",
    }  # fmt: skip


def test_a_daemon_that_cannot_start_is_said(machine: Machine) -> None:
    """With what it said itself."""
    done = machine.run("sh", "configs/hooks/start-daemon.sh", "/nowhere")
    assert done.returncode == 1
    assert "cannot start the daemon of /nowhere; it said:" in done.stdout
    assert "cannot use the workspace directory /nowhere" in done.stdout
