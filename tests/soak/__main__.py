"""`python -m tests.soak [--minutes N]`: a daemon under mixed work for that long; 1 if anything of it grows.

Tasks, a service that is restarted, readers of logs and events that come and go; in the first third of the
time also reloads (each begins a process's memory anew, so it is measured after the last), and then so many
executions that all that is bounded by a number (what streams of events can resume) has reached it. Samples go
to standard output as CSV, so that a run that fails can be drawn.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.api.daemon import EVENTS, TASKS, Api, Daemon, daemon, wait_for
from tests.soak.measures import RUN_REMEMBERED, Sample, growth, look_at

_TASKS = {
    "quick": "echo quick",
    "wordy": "for n in $(seq 200); do echo line $n of a log that is a little longer; done",
    "fails": "echo oops >&2; exit 3",
    "lingers": "sleep 2; echo done",
    "leaves": "setsid sleep 1 >/dev/null 2>&1 & echo left one behind",
}
_SERVICE = {
    "metadata": {"reference": "ticks"},
    "spec": {
        "commands": {
            "start": "n=0; while :; do n=$((n + 1)); echo tick $n; sleep 0.5; done",
            "ready": "true",
        }
    },
}
_BURST, _AT_ONCE = 5000, 4
"""Executions after the last reload, and how many ask for them."""
_STATUS = "phased.v1.DaemonService/GetStatus"
_STEPS_OF_ALL = len(_TASKS)
_RESTART_EVERY, _RELOAD_SHARE, _RELOADS, _SAMPLES = 20.0, 1 / 3, 6, 240
_SHOWN = 40
"""Lines of the daemon's that are shown where something went wrong."""
_TORN = (httpx.TransportError, httpx.StreamError)


class Soak:
    """One daemon, and everybody who uses it. Each user is a thread with a client of its own."""

    def __init__(self, one: Daemon, seconds: float, pause: float) -> None:
        self.one = one
        self.seconds = seconds
        self.pause = pause
        self.runs = 0
        self.over = threading.Event()
        self.said: deque[str] = deque(maxlen=_SHOWN)
        self.wrong: list[str] = []
        self.settled = seconds
        """When all is as it shall stay; seconds since the beginning."""
        self.samples: dict[str, list[Sample]] = {"daemon": [], "supervisor": []}
        self.began = time.monotonic()

    @property
    def at(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def run(self) -> list[str]:
        """All of it; what grew, or went wrong."""
        self.one.start(env={"PHASED_HISTORY_KEEP_COUNT": "50", "PHASED_LOG_LEVEL": "info"})
        threading.Thread(target=self.hear, daemon=True).start()
        api = Api(self.one.client())
        needs = [api.task(name, command) for name, command in _TASKS.items() if name != "fails"]
        burst = api.task("burst", "true")
        tasks = [api.task("all", "echo all", dependsOn=needs), api.task("fails", _TASKS["fails"])]
        service = api.call(f"{TASKS}/CreateService", {"environmentId": api.environment, **_SERVICE})[
            "service"
        ]
        users: list[Callable[[], None]] = [
            lambda: self.work(tasks),
            lambda: self.restart(service["id"]),
            lambda: self.follow(service["id"]),
            self.watch,
        ]
        threads = [threading.Thread(target=self.keep_on, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        try:
            self.measure(burst)
        except AssertionError as error:
            self.wrong += [str(error), *self.said]
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        self.one.process.send_signal(signal.SIGTERM)
        self.one.process.wait(120)
        if left := self.one.ours():
            self.wrong.append(f"processes are left: {left}")
        return self.wrong + self.verdict()

    def hear(self) -> None:
        """Keep the last of what the daemon says, so that its pipe never fills."""
        stream = self.one.process.stderr
        assert stream is not None
        with suppress(ValueError):
            for line in stream:
                self.said.append(line.rstrip())

    def keep_on(self, user: Callable[[], None]) -> None:
        """Until the end; a connection that a reload ended is made anew, anything else is wrong."""
        while not self.over.is_set():
            try:
                user()
            except _TORN:
                self.over.wait(0.2)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the result
                self.wrong.append(f"{type(error).__name__}: {error}")
                self.over.wait(1)

    # ---- who uses it -----------------------------------------------------------------------------

    def work(self, tasks: list[str]) -> None:
        """Start tasks, read what they wrote, stop some of them."""
        random = Random(self.runs)
        with self.one.client() as client:
            api = Api(client)
            while not self.over.wait(self.pause):
                task = tasks[0] if random.random() < 0.5 else tasks[1]
                execution = api.start(task)
                self.runs += _STEPS_OF_ALL if task == tasks[0] else 1
                if random.random() < 0.1:
                    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
                ended = api.until(execution, "SUCCEEDED", "FAILED", "STOPPED")
                phase = ended["status"]["phase"].removeprefix("TASK_EXECUTION_PHASE_")
                if task == tasks[1] and phase == "SUCCEEDED":
                    self.wrong.append(f"{execution} succeeded, and its command fails")
                if url := ended["status"].get("logUrl"):
                    client.get(url, params={"follow": "0"})

    def restart(self, service: str) -> None:
        """Stop the service and start it again, now and then."""
        with self.one.client() as client:
            api = Api(client)
            api.call(f"{TASKS}/StartService", {"id": service})
            self.runs += 2
            if not self.over.wait(_RESTART_EVERY):
                api.call(f"{TASKS}/StopService", {"id": service})
                wait_for(lambda: self._phase(api, service) in {"STOPPED", "FAILED"}, "it has stopped")

    def _phase(self, api: Api, service: str) -> str:
        found: dict[str, Any] = api.call(f"{TASKS}/GetService", {"id": service})["service"]
        return str(found["status"]["phase"]).removeprefix("SERVICE_PHASE_")

    def follow(self, service: str) -> None:
        """Read the service's log as it grows; a new reader every few lines."""
        with self.one.client() as client:
            while not self.over.wait(0.5):
                found = Api(client).call(f"{TASKS}/GetService", {"id": service})["service"]["status"]
                if url := found.get("logUrl"):
                    with client.stream("GET", url, params={"tail": "5"}) as response:
                        for number, _ in enumerate(response.iter_lines()):
                            if number > 20 or self.over.is_set():
                                break

    def watch(self) -> None:
        """Hear of every event; a new reader every few of them."""
        with self.one.client() as client, client.stream("POST", f"/{EVENTS}/WatchEvents", json={}) as stream:
            for number, _ in enumerate(stream.iter_lines()):
                if number > 200 or self.over.is_set():
                    return

    # ---- what is measured ------------------------------------------------------------------------

    def measure(self, burst: str) -> None:
        """Sample both processes; reload meanwhile, in the first part."""
        every = self.seconds / _SAMPLES
        reload_every = self.seconds * _RELOAD_SHARE / _RELOADS
        reloads = 0
        while self.at < self.seconds and not self.over.wait(every):
            if reloads < _RELOADS and self.at > (reloads + 1) * reload_every:
                reloads += 1
                self.reload()
                if reloads == _RELOADS:
                    self.fill(burst)
            for name, pid in (("daemon", self.one.pid), ("supervisor", self._supervisor())):
                sample = look_at(pid, self.at, self.runs)
                if sample is not None:
                    self.samples[name].append(sample)
                    row = (name, pid, f"{sample.at:.0f}", sample.memory, sample.descriptors, sample.threads)
                    sys.stdout.write(",".join(map(str, (*row, sample.runs))) + "\n")
            sys.stdout.flush()

    def fill(self, task: str) -> None:
        """As many executions as take no time; what is kept of them reaches its limits."""

        def ask() -> None:
            with self.one.client() as client:
                api = Api(client)
                newest = [api.start(task) for _ in range(_BURST // _AT_ONCE)][-1]
                api.until(newest, "SUCCEEDED")

        threads = [threading.Thread(target=ask) for _ in range(_AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.runs += _BURST
        self.settled = self.at

    def reload(self) -> None:
        """The next version takes over."""
        before = self._began_at()
        self.one.process.send_signal(signal.SIGUSR2)  # under nohup, SIGHUP means nothing
        wait_for(lambda: self._began_at() not in {None, before}, "the next version answers")

    def _began_at(self) -> str | None:
        with suppress(*_TORN), self.one.client() as client:
            return str(Api(client).call(_STATUS)["daemon"]["startedAt"])
        return None

    def _supervisor(self) -> int:
        for pid in self.one.ours():
            with suppress(OSError):
                if b"supervisor/__main__.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return 0

    def verdict(self) -> list[str]:
        """What grew: of the daemon after the last reload, descriptors and threads over all."""
        late = {name: [one for one in some if one.at > self.settled] for name, some in self.samples.items()}
        newest = late["supervisor"][-1].pid if late["supervisor"] else 0
        same = [one for one in late["supervisor"] if one.pid == newest]
        found = growth("daemon", late["daemon"]) + growth("supervisor", same, RUN_REMEMBERED)
        descriptors = [one.descriptors for one in self.samples["daemon"]]
        if descriptors and min(descriptors[-10:]) > min(descriptors[:10]) + 4:
            found.append(f"daemon: reloads left descriptors open: {descriptors[0]}, then {descriptors[-1]}")
        return found


def main() -> int:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two starts of a task")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends what it started
    sys.stdout.write("process,pid,seconds,resident_bytes,descriptors,threads,runs\n")
    with daemon() as one:
        soak = Soak(one, arguments.minutes * 60, arguments.pause)
        wrong = soak.run()
    for text in wrong:
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(f"{'failed' if wrong else 'ok'}: {soak.runs} runs in {soak.at / 60:.1f} minutes\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
