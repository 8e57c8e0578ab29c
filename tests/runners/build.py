"""A state directory of its own for each test, requests for it, and what came of them."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from uuid import uuid4

import anyio

from phased.engine.clock import SystemClock
from phased.ports import RunExited, Runner, RunReport, RunRequest, RunStarted
from phased.runners.process import ProcessRunner
from phased.supervisor.census import everyone, look
from phased.supervisor.generation import generations
from phased.supervisor.journal import read_journal

DEADLINE = 60.0
"""Seconds: a loaded machine must not fail a test."""
MARKER = "TEST_PLACE"


class Place:
    """A short-pathed folder with a state directory and a workspace; `request` makes runs for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "s"
        self.workspace = root / "w"
        self.logs = root / "l"
        for folder in (self.state, self.workspace, self.logs):
            folder.mkdir()
        self._numbers = count(1)

    def runner(
        self,
        *,
        shell: str | None = "/bin/sh",
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] | None = None,
    ) -> ProcessRunner:
        """A runner of this place; its steps bear the place in their environment."""
        base = {"PATH": os.environ.get("PATH", os.defpath), MARKER: str(self.root), **(environment or {})}
        return ProcessRunner(self.state, base, shell, SystemClock(), program=program)

    def request(
        self, command: str, *, directory: str | None = None, log: str | None = None, **environment: str
    ) -> RunRequest:
        """A run that was never asked for; its log is named by a number."""
        run_id = f"{uuid4()}.1"
        path = log or str(self.logs / f"{next(self._numbers)}.log")
        return RunRequest(run_id, command, environment, directory or str(self.workspace), path)

    def generations(self) -> list[int]:
        """The numbers of the supervisors of which there is something left."""
        return [generation.number for generation in generations(str(self.state / "supervisors"))]

    def supervisors(self) -> list[int]:
        """The pids of the supervisors that live, oldest first."""
        found = []
        for generation in generations(str(self.state / "supervisors")):
            record = next(iter(read_journal(generation.journal)), None)
            process = look(record[3]["pid"]) if record else None
            if record and process and process.living and process.start == record[3]["start"]:
                found.append(process.pid)
        return found

    def end_everything(self) -> None:
        """Kill what a failed test has left: supervisors by their journals, steps by their environment."""
        own = f"{MARKER}={self.root}".encode()
        for pid in [*self.supervisors(), *everyone()]:
            with suppress(OSError):
                if pid in self.supervisors() or own in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def new_place() -> Iterator[Place]:
    """A place, and nothing of it afterwards."""
    root = Path(tempfile.mkdtemp(prefix="ph"))
    place = Place(root)
    try:
        yield place
    finally:
        place.end_everything()
        shutil.rmtree(root, ignore_errors=True)


async def until_ended(runner: Runner, run_ids: Sequence[str]) -> dict[str, RunReport]:
    """The last report of each of these runs."""
    last: dict[str, RunReport] = {}
    with anyio.fail_after(DEADLINE):
        while not all(run_id in last for run_id in run_ids):
            for report in await runner.reports():
                if not isinstance(report, RunStarted):
                    assert report.run_id not in last, f"told twice: {report} after {last[report.run_id]}"
                    last[report.run_id] = report
    return last


async def until_started(runner: Runner, run_ids: Sequence[str]) -> None:
    """All of these have started; none has ended."""
    missing = set(run_ids)
    with anyio.fail_after(DEADLINE):
        while missing:
            for report in await runner.reports():
                assert isinstance(report, RunStarted), report
                missing.discard(report.run_id)


async def run(runner: Runner, *requests: RunRequest) -> list[RunReport]:
    """Start them, and wait for their ends: the last reports in the order of the requests."""
    await runner.start(requests)
    ended = await until_ended(runner, [request.run_id for request in requests])
    return [ended[request.run_id] for request in requests]


def log_of(request: RunRequest) -> str:
    """What a run has written so far; nothing where it has no log yet."""
    return bytes_of(request).decode()


def bytes_of(request: RunRequest) -> bytes:
    """The same, of output that is no text."""
    path = Path(request.log)
    return path.read_bytes() if path.exists() else b""


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that is not told."""
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - of what is waited for, nobody tells
            await anyio.sleep(0.005)


async def until_async(condition: Callable[[], Awaitable[object]]) -> None:
    """The same, of something that must be asked for."""
    with anyio.fail_after(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - the same
            await anyio.sleep(0.005)


def outcome(report: RunReport) -> int | str:
    """An exit code, or what happened instead."""
    if isinstance(report, RunExited) and report.code is not None:
        return report.code
    return f"signal {report.signal}" if isinstance(report, RunExited) else type(report).__name__
