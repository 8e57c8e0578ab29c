"""A daemon with random work before it: asked for things over its API, and at last gathered from.

Knows the API and the ground. Must not know what else is done to it.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx

from phased.runners.docker.records import FOLDER
from tests.api.daemon import PATIENCE, TASKS, Api
from tests.chaos.evidence import Evidence, Harm, Standing, read_logs, read_records
from tests.chaos.graphs import STOP_TIMEOUT, random_graph
from tests.chaos.ground import IMAGE, Ground, containers, has_engine, settle

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_OF_CONTAINERS = 5
"""Every so many seeds have steps in containers, where an engine answers."""


class Stage:
    """One daemon after the other on the same state, and what was asked of them."""

    def __init__(self, seed: int, under: Ground) -> None:
        """Nothing runs yet."""
        self.random = Random(seed)
        self.under, self.one = under, under.one
        self.records = self.one.workspace / "r"
        self.records.mkdir()
        image = IMAGE if seed % _OF_CONTAINERS == 0 and has_engine() else ""
        self.graph = random_graph(self.random, self.records, image)
        (self.one.workspace / ".ona").mkdir()
        (self.one.workspace / ".ona" / "automations.yaml").write_text(self.graph.text)
        self.harms: list[Harm] = []
        self.acknowledged: list[str] = []
        self.stopped: set[str] = set()
        self.emptied: set[str] = set()
        """Executions whose stop was answered, so that they have no processes: also where they had ended."""
        self.left: list[str] = []
        """Processes that should be gone."""
        self.refused: list[str] = []
        """What a daemon did not do, and had no reason not to."""
        self.may_refuse = False
        """The disk is full, or the daemon gives way to the next."""
        self.keeps = False
        self.process: subprocess.Popen[str]
        self.api: Api

    # ---- the daemon ------------------------------------------------------------------------------

    def start(self, *, keeps: bool) -> None:
        """Start one; `keeps`: whether its graceful end leaves what runs."""
        self.keeps = keeps
        self.process = self.one.start(env=self._settings(), command=self.under.command())
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        self._meet()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """What a daemon says is kept for people, and never holds it up."""
        with suppress(ValueError):
            for line in process.stderr or ():
                self.one.lines.append(f"{time.time():.3f} {line.rstrip()}")

    def _settings(self) -> dict[str, str]:
        return {
            "PHASED_RUN_STOP_TIMEOUT": f"{STOP_TIMEOUT}s",
            "PHASED_SERVICES_STOP_TIMEOUT": "10s",
            "PHASED_DAEMON_ON_STOP": "keep" if self.keeps else "stop",
            "PHASED_DOCKER_NETWORK": "none",
        }

    def _meet(self) -> None:
        self.api = Api(self.one.client())
        tasks = self.api.call(f"{TASKS}/ListTasks")["tasks"]
        self.tasks = {task["metadata"]["reference"]: task["id"] for task in tasks}
        services = self.api.call(f"{TASKS}/ListServices").get("services", [])
        self.services = {one["metadata"]["reference"]: one["id"] for one in services}

    def _kill_daemon(self) -> None:
        self.process.kill()
        self.process.wait()

    def _end_gracefully(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(2 * PATIENCE) == 0

    # ---- what is asked of it ---------------------------------------------------------------------

    @contextmanager
    def _harm(self, kind: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.harms.append(Harm(kind, began, time.time()))

    def _is_refused(self, response: httpx.Response) -> bool:
        if response.status_code != 200 and not self.may_refuse:
            self.refused.append(response.text)
        return response.status_code != 200

    def start_task(self, random: Random) -> None:
        """Start a random one; what is acknowledged may not be forgotten."""
        task_id = self.tasks[random.choice(sorted(self.tasks))]
        with suppress(httpx.TransportError):
            response = self.api.post(f"{TASKS}/StartTask", {"id": task_id})
            if not self._is_refused(response):
                self.acknowledged.append(response.json()["taskExecution"]["id"])

    def stop_one(self, random: Random) -> None:
        """Stop a random execution, often one that has ended."""
        if self.acknowledged:
            execution = random.choice(self.acknowledged)
            self.stopped.add(execution)
            with suppress(httpx.TransportError):
                if not self._is_refused(self.api.post(f"{TASKS}/StopTaskExecution", {"id": execution})):
                    self.emptied.add(execution)

    def turn_service(self, random: Random) -> None:
        """Start or stop a service."""
        if self.services:
            verb, service = random.choice(["Start", "Stop"]), random.choice(sorted(self.services))
            with self._harm("service"), suppress(httpx.TransportError):
                self._is_refused(self.api.post(f"{TASKS}/{verb}Service", {"id": self.services[service]}))

    def wait(self, random: Random) -> None:
        """Let some time pass."""
        time.sleep(random.choice([0.0, 0.05, 0.2, 0.5]))

    # ---- the end ---------------------------------------------------------------------------------

    def finish(self) -> Evidence:
        """Wait for the end of all, end what is left."""
        self.one.lines.append(f"{time.time():.3f} -- finish")
        found = {one: self.api.until(one, *ENDED) for one in self._every_execution()}
        self.left += self._left_of_stopped()
        services = self._standings()
        if self.keeps:
            self._kill_daemon()
            self.start(keeps=False)
        self._end_gracefully()
        self.left += self._left_of_all()
        by_id = {service_id: name for name, service_id in self.services.items()}
        return Evidence(
            self.graph,
            tuple(self.harms),
            frozenset(self.acknowledged),
            frozenset(self.stopped),
            tuple(self.refused),
            found,
            read_records(self.records),
            read_logs(self.one.state / "runs", found, by_id),
            services,
            tuple(self.left),
        )

    def _every_execution(self) -> list[str]:
        listed = self.api.call(f"{TASKS}/ListTaskExecutions", {"pagination": {"pageSize": 100}})
        known = [one["id"] for one in listed.get("taskExecutions", [])]
        return [*known, *(one for one in self.acknowledged if one not in known and self._is_known(one))]

    def _is_known(self, execution_id: str) -> bool:
        return self.api.post(f"{TASKS}/GetTaskExecution", {"id": execution_id}).status_code == 200

    def _left_of_stopped(self) -> list[str]:
        words = [execution.encode() for execution in self.emptied]

        def look() -> list[int]:
            texts = self.under.texts().items() if words else ()
            return [pid for pid, text in texts if any(word in text for word in words)]

        return self._gone(look, "after its execution was stopped")

    def _left_of_all(self) -> list[str]:
        state = self.one.state
        left = self._gone(self.one.ours, "at the end")
        if self.graph.contained:
            left += [f"the container {name} runs for ever" for name in containers(state)]
            kept = {path.stem for path in (state / FOLDER).glob("*.json")}
            names = [name for name in containers(state, "--all") if name not in kept]
            left += [f"nobody will remove the container {name}" for name in names]
        return left

    def _gone(self, look: Callable[[], list[int]], when: str) -> list[str]:
        with suppress(AssertionError):
            settle(lambda: not look(), when)
            return []
        return [f"{_command_of(pid)} is left {when}" for pid in look()]

    def _standings(self) -> dict[str, Standing]:
        """Of every service, once all rest or run, and have the processes that they should."""
        with suppress(AssertionError):
            settle(lambda: all(_is_settled(one) for one in self._look()), "services at rest")
        return dict(zip(self.services, self._look(), strict=True))

    def _look(self) -> list[Standing]:
        texts = list(self.under.texts().values()) if self.services else []
        return [self._standing(service_id, texts) for service_id in self.services.values()]

    def _standing(self, service_id: str, texts: Sequence[bytes]) -> Standing:
        one: dict[str, Any] = self.api.call(f"{TASKS}/GetService", {"id": service_id})["service"]
        status = one["status"]
        sessions = {path.name.partition(".")[0] for path in self.records.glob(f"*.{_name(one)}.started")}
        alive = {one for one in sessions if any(f"PHASED_SESSION={one}".encode() in text for text in texts)}
        phase = str(status["phase"]).removeprefix("SERVICE_PHASE_")
        return Standing(phase, status.get("failureMessage", ""), status.get("session", ""), frozenset(alive))


def _is_settled(one: Standing) -> bool:
    wanted = {one.session} if one.phase == "RUNNING" else set()
    return one.phase in {"RUNNING", "STOPPED", "FAILED"} and one.alive == wanted


def _name(service: dict[str, Any]) -> str:
    return str(service["metadata"]["reference"])


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return str(pid)
