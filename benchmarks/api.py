"""`python -m benchmarks.api [--quick] [--json FILE]`: what the daemon's API costs, beside a bare route."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.api_client import Connection, rate, request
from benchmarks.running import Failed

_TASKS = "/gitpod.v1.EnvironmentAutomationService"
_WATCH = "/gitpod.v1.EventService/WatchEvents"
_WATCHERS = 200
_EXECUTIONS = 1000
_DEFINED = 100


@dataclass(frozen=True, slots=True)
class Result:
    """One number, and what it may be."""

    what: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = ("at least" if self.at_least else "at most") + f" {self.limit:g}"
        return f"{self.what:58}{self.value:10.2f} {self.unit:8}{bound:16}{'met' if self.met else 'MISSED'}"


class Bench:
    """A daemon with tasks, and a bare route beside it."""

    def __init__(self, folder: Path, started: Sequence[subprocess.Popen[str]], environment_id: str) -> None:
        daemon, floor = started
        self.folder = folder
        self.socket = folder / "p.sock"
        self.floor = folder / "f.sock"
        self.pid = daemon.pid
        self.floor_pid = floor.pid
        self.connection = Connection(self.socket)
        self.environment = environment_id

    def task(self, reference: str, command: str) -> str:
        """A new task; its id."""
        body = {
            "environmentId": self.environment,
            "metadata": {"reference": reference},
            "spec": {"command": command},
        }
        return str(self.connection.call(f"{_TASKS}/CreateTask", body)["task"]["id"])

    def resident(self) -> float:
        """The daemon's memory in MiB."""
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
        )
        return int(fields["VmRSS"].split()[0]) / 1024

    def wakings(self) -> int:
        """How often the daemon has gone to sleep so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches")))

    # ---- what is measured ------------------------------------------------------------------------

    def idle(self, seconds: float) -> list[Result]:
        """Memory and wakings of a daemon that has nothing to do; before anything else is measured."""
        time.sleep(2)
        before = self.wakings()
        time.sleep(seconds)
        wakings = (self.wakings() - before) / seconds
        return [
            Result(f"idle with {_DEFINED} tasks: resident", self.resident(), "MiB", 80),
            Result("idle: wakings", wakings, "1/s", 1.0),
        ]

    def watchers(self) -> Result:
        """Memory of readers who wait."""
        before = self.resident()
        opened = [Connection(self.socket) for _ in range(_WATCHERS)]
        for one in opened:
            one.stream(_WATCH, {"environmentId": self.environment})
        grown = self.resident() - before
        for one in opened:
            one.close()
        return Result(f"{_WATCHERS} idle watchers: memory", grown, "MiB", 20)

    def get_task(self, task_id: str, rounds: int, seconds: float) -> list[Result]:
        """GetTask and the bare route in turn."""
        ask, bare = request(f"{_TASKS}/GetTask", {"id": task_id}), request("/floor", {"id": task_id})
        pairs = [
            (
                _rate(self.pid, self.socket, ask, seconds),
                _rate(self.floor_pid, self.floor, bare, seconds),
            )
            for _ in range(rounds)
        ]
        part = median(ours[0] / floor[0] for ours, floor in pairs)
        work = median(floor[1] / ours[1] for ours, floor in pairs)
        return [
            Result("GetTask", median(ours[0] for ours, _ in pairs), "1/s", 0, at_least=True),
            Result("a bare route", median(floor[0] for _, floor in pairs), "1/s", 0, at_least=True),
            Result("GetTask, as a part of a bare route's rate", part, "", 1 / 3, at_least=True),
            Result("the same by processor time", work, "", 1 / 3, at_least=True),
        ]

    def start(self, task_id: str, times: int) -> Result:
        """StartTask until RUNNING was read after an event, less a spawn."""
        watch = Connection(self.socket)
        watch.stream(_WATCH, {"environmentId": self.environment})
        more = []
        for _ in range(times):
            once = spawn()
            begun = time.perf_counter()
            started = self.connection.call(f"{_TASKS}/StartTask", {"id": task_id})["taskExecution"]
            self._until_running(watch, started["id"])
            more.append((time.perf_counter() - begun - once) * 1000)
            self.connection.call(f"{_TASKS}/StopTaskExecution", {"id": started["id"]})
        watch.close()
        return Result("StartTask to RUNNING by WatchEvents, beyond a spawn", median(more), "ms", 10)

    def _until_running(self, watch: Connection, execution_id: str) -> None:
        while True:
            event = json.loads(watch.line())
            if event.get("resourceId") == execution_id:
                body = {"id": execution_id}
                found = self.connection.call(f"{_TASKS}/GetTaskExecution", body)["taskExecution"]
                if found["status"]["phase"] == "TASK_EXECUTION_PHASE_RUNNING":
                    return

    def pages(self, task_id: str, number: int) -> Result:
        """All executions in pages of 100; 5 ms each is what nobody waits for."""
        for _ in range(number):
            self.connection.call(f"{_TASKS}/StartTask", {"id": task_id})
        begun, token, count = time.perf_counter(), "", 0
        while True:
            body = {"pagination": {"pageSize": 100, "token": token}, "filter": {"taskIds": [task_id]}}
            page = self.connection.call(f"{_TASKS}/ListTaskExecutions", body)
            count += len(page["taskExecutions"])
            token = page["pagination"].get("nextToken", "")
            if not token:
                break
        seconds = time.perf_counter() - begun
        if count != number:
            raise Failed(f"{count} of {number} executions were listed")
        return Result(
            f"{number} executions in pages: a page of 100", seconds / (number / 100) * 1000, "ms", 500
        )


def _rate(pid: int, path: Path, data: bytes, seconds: float) -> tuple[float, float]:
    """Requests a second, and processor seconds of the server for each of them."""
    before = processor(pid)
    found = rate(path, data, seconds)
    return found, (processor(pid) - before) / (found * seconds)


def processor(pid: int) -> float:
    """Seconds of processor time of a process so far, those of its children aside."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spawn() -> float:
    """Seconds that starting the shell takes this process."""
    begun = time.perf_counter()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "true"], dict(os.environ))
    seconds = time.perf_counter() - begun
    os.waitpid(pid, 0)
    return seconds


@contextmanager
def open_bench() -> Iterator[Bench]:
    """A daemon and a bare route, in directories of their own; ended with the block."""
    with TemporaryDirectory(prefix="pb-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "w").mkdir()
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PHASED_")} | {"HOME": name}
        serve = ["-m", "phased", "serve", "-C", "w", "--state-dir", "s", "--socket", str(folder / "p.sock")]
        floor = ["-m", "benchmarks.api_floor", str(folder / "f.sock")]
        started = []
        try:
            for arguments, where in ((serve, folder), (floor, Path.cwd())):
                process = subprocess.Popen(
                    [sys.executable, *arguments], cwd=where, env=variables, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
                started.append(process)
                _wait_until_ready(process)
            first = Connection(folder / "p.sock")
            found = first.call("/gitpod.v1.EnvironmentService/ListEnvironments", {})
            first.close()
            yield Bench(folder, started, found["environments"][0]["id"])
        finally:
            for process in started:
                process.terminate()
                process.communicate(timeout=60)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line == "READY\n":
            return
    raise Failed(f"it did not start: {''.join(said)}")


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a limit is missed, since another machine's noise is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run?")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args(given)
    quick = options.quick
    try:
        with open_bench() as bench:
            tasks = [bench.task(f"task-{number}", "exec sleep 1000") for number in range(_DEFINED)]
            results = bench.idle(2 if quick else 10)
            results.append(bench.watchers())
            results += bench.get_task(tasks[0], 1 if quick else 5, 0.5 if quick else 2)
            results.append(bench.start(tasks[0], 5 if quick else 50))
            results.append(bench.pages(bench.task("joins", ""), 200 if quick else _EXECUTIONS))
    except Failed as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    show(results, options.json)
    return 0


def show(results: Sequence[Result], file: Path | None) -> None:
    """Print them, with the load of the machine; into a file as JSON as well, where one is named."""
    print(f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
    for one in results:
        print(one)
    if file is not None:
        found = [{**asdict(one), "met": one.met} for one in results]
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
