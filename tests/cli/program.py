"""The program as a user starts it: real processes, in a workspace and a state directory of their own."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from phased.cli import main

PATIENCE = 120.0
"""Seconds to wait for what must happen; the machine may be slow."""

Result = subprocess.CompletedProcess[str]


class Program:
    """Starts phased; whatever it leaves behind is ended by `close`."""

    def __init__(self) -> None:
        # Short: a socket's path has less than 108 bytes (unix(7)).
        self.home = Path(tempfile.mkdtemp(prefix="phc-", dir="/tmp"))
        self.workspace = self.home / "w"
        self.state = self.home / "s"
        self.workspace.mkdir()
        self._started: list[subprocess.Popen[Any]] = []

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of ours, no colour decided, a home of its own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PHASED_", "_PHASED_", "XDG_"))
            and name not in {"NO_COLOR", "TERM", "COLUMNS"}
        }
        own = {
            "HOME": str(self.home),
            "PHASED_STATE_DIR": str(self.state),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        return {**inherited, **own, "PYTHONUNBUFFERED": "", **(extra or {})}

    def write(self, text: str, name: str = "automations.yaml") -> Path:
        """An automations file where it is found by itself."""
        path = self.workspace / ".ona" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> Result:
        """Run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "phased", *arguments],
            cwd=cwd or self.workspace,
            env=self.environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def call(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> Result:
        """The same within this process, for what needs no process of its own: a tenth of the time."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
        typed = io.TextIOWrapper(io.BytesIO((stdin or "").encode()))
        before, directory, keyboard = dict(os.environ), Path.cwd(), sys.stdin
        try:
            os.environ.clear()
            os.environ.update(self.environment(env))
            os.chdir(cwd or self.workspace)
            sys.stdin = typed
            with redirect_stdout(out), redirect_stderr(err):
                code = main(arguments)
        finally:
            sys.stdin = keyboard
            os.chdir(directory)
            os.environ.clear()
            os.environ.update(before)
        said = [_written(stream) for stream in (out, err)]
        return Result(arguments, code, *said)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start, with pipes; in a session of its own, so that no terminal reaches it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "phased", *arguments],
            cwd=self.workspace,
            env=self.environment(options.pop("env", None)),
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=options.pop("text", True),
            start_new_session=True,
            **options,
        )
        self._started.append(process)
        return process

    def terminal(
        self, *arguments: str, rows: int = 24, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> Terminal:
        """Start on a terminal of its own, as its controlling one: Ctrl-C typed there arrives."""
        leader, follower = pty.openpty()
        _resize(follower, rows, columns)
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *arguments],
            cwd=self.workspace,
            env=self.environment(env),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self._started.append(process)
        return Terminal(process, leader)

    def executions(self, *arguments: str) -> list[dict[str, Any]]:
        """The history, newest first."""
        result = self.call("executions", *arguments, "-o", "json")
        assert result.returncode == 0, result.stderr
        return list(json.loads(result.stdout)["taskExecutions"])

    def ours(self) -> list[int]:
        """Pids of living processes that know this home: the program, its supervisors and their steps."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if (
                        str(self.home).encode()
                        in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    ):
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End what was started, by pid, until nothing is left."""
        deadline = time.monotonic() + PATIENCE
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        while time.monotonic() < deadline and (pids := self.ours()):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        shutil.rmtree(self.home, ignore_errors=True)


class Terminal:
    """What a person sees and types."""

    def __init__(self, process: subprocess.Popen[Any], leader: int) -> None:
        self.process = process
        self._leader = leader
        self.shown = b""

    def type(self, data: bytes) -> None:
        """Press keys."""
        os.write(self._leader, data)

    def until(self, *texts: str) -> str:
        """Read until all of these were shown."""
        deadline = time.monotonic() + PATIENCE
        while not all(text.encode() in self.shown for text in texts):
            assert self._read(deadline), f"{texts} not in {self.text[-2000:]}"
        return self.text

    def end(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        os.close(self._leader)
        return self.process.wait(PATIENCE)

    @property
    def text(self) -> str:
        """Everything shown so far, escapes and all."""
        return self.shown.decode("utf-8", "replace")

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._leader], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more came; so far: {self.text[-2000:]}"
        try:
            block = os.read(self._leader, 65536)
        except OSError:  # EIO: nobody has the other end any more (pty(7))
            return False
        self.shown += block
        return bool(block)


_ON_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from phased.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode() if isinstance(stream.buffer, io.BytesIO) else ""


def _resize(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def wait_for(holds: Callable[[], Any], what: str) -> Any:
    """Wait until this holds; the one place that looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return found


@contextmanager
def program() -> Iterator[Program]:
    """A program that leaves nothing behind."""
    made = Program()
    try:
        yield made
    finally:
        made.close()
