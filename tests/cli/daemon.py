"""The program as a user starts it beside a daemon: verbs that talk to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api.daemon import Daemon, daemon

FILE = """\
tasks:
  gen: {command: "echo generating"}
  build: {command: "echo building", dependsOn: [gen], description: Builds it.}
  bad: {command: "echo oops; exit 3"}
  slow: {command: "echo slow; exec sleep 1000"}
services:
  web: {commands: {start: "echo up; exec sleep 1000"}}
"""

Result = subprocess.CompletedProcess[str]


class Terminal:
    """A user's command lines in the workspace of a daemon."""

    def __init__(self, served: Daemon) -> None:
        self.served = served
        self._started: list[subprocess.Popen[str]] = []
        self._quick: subprocess.Popen[str] | None = None

    def arguments(self, *arguments: str) -> list[str]:
        """The command line of the program."""
        return [sys.executable, "-m", "phased", *arguments]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The state directory is known; the socket is found by it."""
        return self.served.environment({"PHASED_STATE_DIR": str(self.served.state), **(extra or {})})

    def run(self, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> Result:
        """Run to its end, in a process that was forked off one that has imported everything."""
        if self._quick is None:
            self._quick = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("quick.py"))],
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._started.append(self._quick)
        files = {name: self.served.home / name for name in ("stdin", "stdout", "stderr")}
        for name, file in files.items():
            file.write_text(stdin or "" if name == "stdin" else "")
        told = {
            "arguments": arguments,
            "environment": self.environment(env),
            "directory": str(self.served.workspace),
            **{name: str(file) for name, file in files.items()},
        }
        assert self._quick.stdin is not None
        assert self._quick.stdout is not None
        self._quick.stdin.write(f"{json.dumps(told)}\n")
        self._quick.stdin.flush()
        code = int(self._quick.stdout.readline())
        return Result(arguments, code, files["stdout"].read_text(), files["stderr"].read_text())

    def ok(self, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
        """What it printed; it has to succeed."""
        result = self.run(*arguments, stdin=stdin, env=env)
        assert result.returncode == 0, (arguments, result.stdout, result.stderr)
        return result.stdout

    def value(self, *arguments: str) -> Any:
        """Its answer as JSON; it has to succeed."""
        return json.loads(self.ok(*arguments, "-o", "json"))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start, with pipes; `close` ends what is left."""
        process = subprocess.Popen(
            self.arguments(*arguments),
            cwd=self.served.workspace,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what was started and not waited for."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()


@contextmanager
def terminal(file: str = FILE) -> Iterator[Terminal]:
    """Beside a daemon that has applied this file."""
    with daemon() as served:
        path = served.workspace / ".ona" / "automations.yaml"
        path.parent.mkdir()
        path.write_text(file)
        served.start("--listen", "127.0.0.1:0")
        made = Terminal(served)
        try:
            yield made
        finally:
            made.close()
