"""`python -m benchmarks.recovery [--quick] [--json FILE]`: how soon a killed daemon's steps have a new one.

A daemon with running steps is killed (SIGKILL) and started again: the time from the kill until the next one
answers and has all of them running. With little history and with much: it must not matter.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.api import Result, processor, show
from benchmarks.api_client import Connection
from benchmarks.running import Failed

_SERVICE = "/gitpod.v1.EnvironmentAutomationService"
_ENDED = 10
"""Executions of which the history is made."""
_LIMIT = 2.0
_NOISE = 1.25
"""What history may cost, as a part: the rounds of one and the same differ as much."""
_PATIENCE = 120.0
_UUID = (
    "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || "
    "'-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
)
"""A new id, in the words of SQLite."""


class Bench:
    """A daemon in a folder of its own, killed and started again as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "p.sock"
        self.started: list[subprocess.Popen[str]] = []
        (folder / "w").mkdir()

    def serve(self) -> Connection:
        """Start it; returns once it is ready. Raises Failed."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PHASED_")}
        variables |= {"HOME": str(self.folder), "PHASED_HISTORY_KEEP_COUNT": "0"}
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "phased", "serve", "-C", "w"),
                *("--state-dir", "s", "--socket", str(self.socket)),
            ],
            cwd=self.folder, env=variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.started.append(process)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line == "READY\n":
                return Connection(self.socket)
        raise Failed(f"it did not start: {''.join(said)}")

    def kill(self) -> None:
        """As a crash would."""
        process = self.started[-1]
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()

    def count(self, connection: Connection, *phases: str) -> int:
        """How many executions are in one of these phases."""
        found, token = 0, ""
        while True:
            names = [f"TASK_EXECUTION_PHASE_{phase}" for phase in phases]
            body = {"pagination": {"pageSize": 100, "token": token}, "filter": {"phases": names}}
            page = connection.call(f"{_SERVICE}/ListTaskExecutions", body)
            found += len(page.get("taskExecutions", []))
            token = page["pagination"].get("nextToken", "")
            if not token:
                return found

    def prepare(self, steps: int, history: int) -> None:
        """So many executions that have ended, and so many that run, each with one step; no daemon."""
        connection = self.serve()
        found = connection.call("/gitpod.v1.EnvironmentService/ListEnvironments", {})
        environment = found["environments"][0]["id"]
        ids = [self._task(connection, environment, f"past-{number}", "true") for number in range(_ENDED)]
        for task in ids:
            connection.call(f"{_SERVICE}/StartTask", {"id": task})
        _wait(lambda: self.count(connection, "SUCCEEDED") == _ENDED)
        self.kill()
        self._multiply(history)
        connection = self.serve()
        for number in range(steps):
            task = self._task(connection, environment, f"runs-{number}", "exec sleep 1000")
            connection.call(f"{_SERVICE}/StartTask", {"id": task})
        _wait(lambda: self.count(connection, "RUNNING") == steps)
        self.kill()

    def _task(self, connection: Connection, environment: str, reference: str, command: str) -> str:
        body = {
            "environmentId": environment,
            "metadata": {"reference": reference},
            "spec": {"command": command},
        }
        return str(connection.call(f"{_SERVICE}/CreateTask", body)["task"]["id"])

    def _multiply(self, history: int) -> None:
        """Have that many executions that have ended, as copies of those few."""
        with sqlite3.connect(self.folder / "s" / "state.db") as database:
            names = [row[1] for row in database.execute("PRAGMA table_info(executions)")]
            fresh = {
                "number": "NULL", "id": _UUID, "firing_id": _UUID,
                "created_at": "created_at - abs(random() % 10000000000)",
            }  # fmt: skip
            values = ", ".join(fresh.get(name, name) for name in names)
            database.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO executions SELECT {values} FROM executions, n LIMIT ?",
                (max(history // _ENDED, 1), max(history - _ENDED, 0)),
            )
            for table in ("statuses", "steps"):
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                copied = ", ".join("new.number" if name == "execution" else f"t.{name}" for name in columns)
                database.execute(
                    f"INSERT INTO {table} SELECT {copied} FROM executions AS new "
                    "JOIN executions AS old ON old.task_id = new.task_id AND old.number <= ? "
                    f"JOIN {table} AS t ON t.execution = old.number WHERE new.number > ?",
                    (_ENDED, _ENDED),
                )
        database.close()

    def recover(self, steps: int) -> tuple[float, float]:
        """Seconds from the start of the next daemon until it answers, and of its processor time.

        It answers once it has taken over all that ran. It is killed then.
        """
        begun = time.perf_counter()
        connection = self.serve()
        seconds = time.perf_counter() - begun
        work = processor(self.started[-1].pid)
        if (found := self.count(connection, "RUNNING")) != steps:
            raise Failed(f"{found} of {steps} steps run")
        self.kill()
        return seconds, work

    def close(self) -> None:
        """End all that lives, by pid: daemons, supervisors, steps."""
        for process in self.started:
            if process.poll() is None:
                self.kill()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                if str(self.folder).encode() in text and int(entry.name) != os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise Failed("it did not come to what is to be measured")
        time.sleep(0.05)


@contextmanager
def prepared(steps: int, history: int) -> Iterator[Bench]:
    """State with so much in it, and steps that run; gone with the block."""
    with TemporaryDirectory(prefix="pr-", dir="/tmp") as name:
        bench = Bench(Path(name))
        try:
            bench.prepare(steps, history)
            yield bench
        finally:
            bench.close()


def measure(steps: int, histories: tuple[int, int], rounds: int) -> list[Result]:
    """With little and with much history, in turn."""
    few, many = histories
    with prepared(0, few) as empty, prepared(steps, few) as first, prepared(steps, many) as second:
        idle = [empty.recover(0) for _ in range(rounds)]
        pairs = [(first.recover(steps), second.recover(steps)) for _ in range(rounds)]
    wholes = [("a daemon that has nothing to take over is back", idle)]
    wholes += [
        (f"with {steps} running steps, {count} old executions", [pair[place] for pair in pairs])
        for place, count in enumerate(histories)
    ]
    results = []
    for what, found in wholes:
        results.append(Result(what, median(seconds for seconds, _ in found), "s", _LIMIT))
        results.append(Result("    processor time of that", median(work for _, work in found), "s", _LIMIT))
    part = median(much[1] / little[1] for little, much in pairs)
    results.append(Result("what that much history costs, as a part of that time", part, "", _NOISE))
    return results


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a limit is missed, since another machine's noise is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run?")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args(given)
    try:
        results = measure(5, (10, 1000), 1) if options.quick else measure(200, (10, 100_000), 7)
    except Failed as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    show(results, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
