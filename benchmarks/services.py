"""`python -m benchmarks.services [--quick] [--json FILE]`: how soon services are ready; what they cost."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.api import Bench, Result, open_bench, processor, show, spawn
from benchmarks.api_client import Connection
from benchmarks.running import Failed

_TASKS: Final = "/gitpod.v1.EnvironmentAutomationService"
_NATIVE: Final = "/phased.v1.DaemonService"
_WATCH: Final = "/gitpod.v1.EventService/WatchEvents"
_SERVICES: Final = 50
_FIRED: Final = 100
_TRIGGER: Final = "postMachineStart"
_PATIENCE: Final = 120.0
"""Seconds after which what does not happen is given up."""


class Services:
    """Services and tasks of a file in a daemon."""

    def __init__(self, bench: Bench, file: dict[str, Any]) -> None:
        """Apply the file."""
        self.bench = bench
        self.connection = bench.connection
        self.environment = {"environmentId": bench.environment}
        self.connection.call(f"{_NATIVE}/ApplyFile", {**self.environment, "content": json.dumps(file)})
        found = self._list()
        self.ids = {one["metadata"]["reference"]: one["id"] for one in found}

    def _list(self) -> list[dict[str, Any]]:
        found = self.connection.call(f"{_TASKS}/ListServices", {"pagination": {"pageSize": 100}})
        return list(found.get("services", ()))

    def start(self, reference: str) -> None:
        """Ask for one."""
        self.connection.call(f"{_TASKS}/StartService", {"id": self.ids[reference]})

    def stop(self, *references: str) -> None:
        """Stop some, and wait for that."""
        for reference in references:
            self.connection.call(f"{_TASKS}/StopService", {"id": self.ids[reference]})
        self._reach("STOPPED", references)

    def _reach(self, phase: str, references: Sequence[str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            wanted = f"SERVICE_PHASE_{phase}"
            late = [
                one["metadata"]["reference"]
                for one in self._list()
                if one["metadata"]["reference"] in references and one["status"]["phase"] != wanted
            ]
            if not late:
                return
            if time.monotonic() > deadline:
                raise Failed(f"{', '.join(late)} never {phase}")
            time.sleep(0.1)

    def _await_running(self, watch: Connection, reference: str) -> None:
        """Read events until one of them is that it is RUNNING."""
        body = {"id": self.ids[reference]}
        while True:
            event = json.loads(watch.line())
            if event.get("resourceId") == body["id"]:
                found = self.connection.call(f"{_TASKS}/GetService", body)["service"]["status"]["phase"]
                if found == "SERVICE_PHASE_RUNNING":
                    return

    # ---- what is measured ------------------------------------------------------------------------

    def at_once(self, times: int) -> Result:
        """From the start of a service whose `ready` succeeds to RUNNING, seen after an event."""
        watch = Connection(self.bench.socket)
        watch.stream(_WATCH, self.environment)
        took = []
        for _ in range(times):
            once = spawn() + spawn()
            begun = time.perf_counter()
            self.start("quick")
            self._await_running(watch, "quick")
            took.append((time.perf_counter() - begun - once) * 1000)
            self.stop("quick")
        watch.close()
        return Result("service start to RUNNING, `ready: true`, beyond spawns", median(took), "ms", 1000)

    def late(self, times: int) -> Result:
        """From when `ready` can succeed, between two tries, to RUNNING: one poll at most."""
        watch = Connection(self.bench.socket)
        watch.stream(_WATCH, self.environment)
        flag, took = self.bench.folder / "w" / "up", []
        for number in range(times):
            flag.unlink(missing_ok=True)
            self.start("late")
            time.sleep(0.5 + number / times)  # another moment between two tries each time
            once = spawn()
            flag.touch()
            begun = time.perf_counter()
            self._await_running(watch, "late")
            took.append((time.perf_counter() - begun - once) * 1000)
            self.stop("late")
        watch.close()
        return Result("`ready` can succeed to RUNNING: a poll and a try, at most", max(took), "ms", 1100)

    def many(self, seconds: float) -> list[Result]:
        """Processor time of daemon and supervisor: while each is tried every second, then ready."""
        flag = self.bench.folder / "w" / "all"
        names = [f"s{number}" for number in range(_SERVICES)]
        for name in names:
            self.start(name)
        time.sleep(3)
        tried, probes = self._shares(seconds)
        flag.touch()
        self._reach("RUNNING", names)
        time.sleep(2)
        ready, _ = self._shares(seconds)
        self.stop(*names)
        return [
            Result(f"{_SERVICES} services ready: daemon and supervisor", ready, "% core", 2),
            Result(f"{_SERVICES} not ready, tried each second: the same", tried, "% core", 0, at_least=True),
            Result("their `ready` commands themselves", probes, "% core", 0, at_least=True),
        ]

    def _shares(self, seconds: float) -> tuple[float, float]:
        """Percent of a core: of the daemon and its supervisor, and of the children that ended."""
        supervisor = self._supervisor()
        before = processor(self.bench.pid) + processor(supervisor), _of_children(supervisor)
        begun = time.monotonic()
        time.sleep(seconds)
        lasted = time.monotonic() - begun
        after = processor(self.bench.pid) + processor(supervisor), _of_children(supervisor)
        ours, theirs = ((then - now) / lasted * 100 for then, now in zip(after, before, strict=True))
        return ours, theirs

    def _supervisor(self) -> int:
        """The parent of what runs."""
        found = self.connection.call(f"{_NATIVE}/ListProcesses", {})["processes"]
        leader = next(one["pid"] for one in found if one.get("part") == "start" and one.get("leader"))
        return int(Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[1])

    def fire(self, rounds: int) -> Result:
        """From the asking for a trigger that starts many tasks to the answer; then all are waited for."""
        took = []
        for _ in range(rounds):
            begun = time.perf_counter()
            body = {**self.environment, "trigger": _TRIGGER}
            firing = self.connection.call(f"{_NATIVE}/FireTrigger", body)["firing"]
            took.append((time.perf_counter() - begun) * 1000)
            while firing["result"] == "FIRING_RESULT_RUNNING":
                wait = {"id": firing["id"], "wait": "30s"}
                firing = self.connection.call(f"{_NATIVE}/GetFiring", wait)["firing"]
            if firing["result"] != "FIRING_RESULT_SUCCEEDED":
                raise Failed(f"the trigger ended as {firing['result']}")
        return Result(f"a trigger that starts {_FIRED} tasks: the answer", median(took), "ms", 200)


def _of_children(pid: int) -> float:
    """Seconds of processor time of the children that a process has waited for (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _file() -> dict[str, Any]:
    forever = "exec sleep 1000"
    services: dict[str, Any] = {
        f"s{number}": {"commands": {"start": forever, "ready": "[ -e all ]"}} for number in range(_SERVICES)
    }
    services["quick"] = {"commands": {"start": forever, "ready": "true"}}
    services["late"] = {"commands": {"start": forever, "ready": "[ -e up ]"}}
    tasks = {f"t{number}": {"command": "true", "triggeredBy": [_TRIGGER]} for number in range(_FIRED)}
    return {"tasks": tasks, "services": services}


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a limit is missed, since another machine's noise is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.services", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run?")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args(given)
    quick = options.quick
    try:
        with open_bench() as bench:
            services = Services(bench, _file())
            results = [services.at_once(3 if quick else 20), services.late(2 if quick else 10)]
            results += services.many(2 if quick else 10)
            results.append(services.fire(2 if quick else 10))
    except Failed as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    show(results, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
