"""A real daemon on real sockets, as a user starts it, and clients for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 60.0
"""Seconds to wait for what must happen; the machine may be slow."""

TASKS = "gitpod.v1.EnvironmentAutomationService"
ENVIRONMENTS = "gitpod.v1.EnvironmentService"
EVENTS = "gitpod.v1.EventService"
SECRETS = "gitpod.v1.SecretService"
NATIVE = "phased.v1.DaemonService"
NOBODY = "0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"
"""An id of nothing."""


class Daemon:
    """`phased serve` in directories of its own; `close` ends whatever it left."""

    def __init__(self) -> None:
        # Short: a socket's path has less than 108 bytes (unix(7)).
        self.home = Path(tempfile.mkdtemp(prefix="pha-", dir="/tmp"))
        self.workspace = self.home / "w"
        self.workspace.mkdir()
        self.state = self.home / "s"
        self.socket = self.home / "p.sock"
        self.address = ""
        self.lines: list[str] = []
        self._started: list[subprocess.Popen[str]] = []
        self._clients: list[httpx.Client] = []

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of ours, and a home of its own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PHASED_", "_PHASED_", "XDG_")) and name != "NOTIFY_SOCKET"
        }
        own = {"HOME": str(self.home), "LANG": "C.UTF-8", "NO_COLOR": "1"}
        return {**inherited, **own, **(extra or {})}

    def command(self, *arguments: str) -> list[str]:
        """The command line of the daemon."""
        return [
            *(sys.executable, "-m", "phased", "serve", "-C", str(self.workspace)),
            *("--state-dir", str(self.state), "--socket", str(self.socket), *arguments),
        ]

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, command: list[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start it and wait until it is READY; `command` stands for the usual one."""
        process = subprocess.Popen(
            command or self.command(*arguments),
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("listening on "):
                self.address = line.split()[2]
            if line == "READY\n":
                return process
        raise AssertionError(f"never ready: {self.lines}")

    def client(self, **options: Any) -> httpx.Client:
        """Over the unix socket."""
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)
        client = httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE, **options)
        self._clients.append(client)
        return client

    def tcp(self, token: str | None = None, **options: Any) -> httpx.Client:
        """Over TCP, with a token or without."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        client = httpx.Client(
            base_url=self.address, timeout=PATIENCE, headers=headers, verify=False, **options
        )
        self._clients.append(client)
        return client

    @property
    def process(self) -> subprocess.Popen[str]:
        """The daemon that was started last."""
        return self._started[-1]

    @property
    def pid(self) -> int:
        """Of the daemon that was started last."""
        return self._started[-1].pid

    def ours(self) -> list[int]:
        """Pids of living processes that know this home: the daemon, its supervisors and their steps."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    if str(self.home).encode() in text:
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End what was started, by pid, until nothing is left."""
        for client in self._clients:
            client.close()
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and (pids := self.ours()):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        shutil.rmtree(self.home, ignore_errors=True)


class Api:
    """Methods called as JSON, for short."""

    def __init__(self, client: httpx.Client, environment_id: str = "") -> None:
        self.client = client
        self.environment = environment_id or self._only_environment()

    def post(self, method: str, body: Any = None, **options: Any) -> httpx.Response:
        """One call, as it is answered."""
        return self.client.post(f"/{method}", json={} if body is None else body, **options)

    def call(self, method: str, body: Any = None, **options: Any) -> dict[str, Any]:
        """One call that has to work."""
        response = self.post(method, body, **options)
        assert response.status_code == 200, (method, response.status_code, response.text)
        return dict(response.json())

    def refused(self, method: str, body: Any = None, **options: Any) -> tuple[str, str]:
        """The code and the message of a call that has to be refused."""
        response = self.post(method, body, **options)
        assert response.status_code != 200, (method, response.text)
        assert response.headers["content-type"] == "application/json"
        said = response.json()
        return said["code"], said["message"]

    def task(self, reference: str, command: str, **more: Any) -> str:
        """A new task; its id."""
        metadata = {"reference": reference, **more.pop("metadata", {})}
        body = {"environmentId": self.environment, "metadata": metadata, "spec": {"command": command}, **more}
        return str(self.call(f"{TASKS}/CreateTask", body)["task"]["id"])

    def serve(self, reference: str, start: str) -> str:
        """A new service, which is asked to start; its id."""
        metadata, spec = {"reference": reference}, {"commands": {"start": start}}
        body = {"environmentId": self.environment, "metadata": metadata, "spec": spec}
        service = str(self.call(f"{TASKS}/CreateService", body)["service"]["id"])
        self.call(f"{TASKS}/StartService", {"id": service})
        return service

    def start(self, task_id: str) -> str:
        """A new execution; its id."""
        return str(self.call(f"{TASKS}/StartTask", {"id": task_id})["taskExecution"]["id"])

    def execution(self, execution_id: str) -> dict[str, Any]:
        """One execution."""
        return dict(self.call(f"{TASKS}/GetTaskExecution", {"id": execution_id})["taskExecution"])

    def phase(self, execution_id: str) -> str:
        """Its phase, without the prefix."""
        return str(self.execution(execution_id)["status"]["phase"]).removeprefix("TASK_EXECUTION_PHASE_")

    def until(self, execution_id: str, *phases: str) -> dict[str, Any]:
        """Wait until an execution is in one of these phases."""
        wait_for(lambda: self.phase(execution_id) in phases, f"{phases} of {execution_id}")
        return self.execution(execution_id)

    def run(self, reference: str, command: str) -> dict[str, Any]:
        """Define, start and wait; the execution as it ended."""
        return self.until(self.start(self.task(reference, command)), "SUCCEEDED", "FAILED", "STOPPED")

    def token(self, *roles: str, environment: str | None = None, **more: Any) -> str:
        """A token."""
        body = {"roles": roles, **({"environmentId": environment} if environment else {}), **more}
        return str(self.call(f"{NATIVE}/CreateToken", body)["value"])

    def _only_environment(self) -> str:
        response = self.client.post(f"/{ENVIRONMENTS}/ListEnvironments", json={})
        assert response.status_code == 200, response.text
        return str(response.json()["environments"][0]["id"])


def wait_for(holds: Callable[[], Any], what: str) -> Any:
    """Wait until this holds; the one place that looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return found


def last_words(process: subprocess.Popen[str]) -> str:
    """What a daemon says on the way to its end, which has to be a good one."""
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(PATIENCE) == 0, said
    return said


def automations(**tasks: str) -> str:
    """An automations file with these tasks, by reference and command."""
    return json.dumps({"tasks": {name: {"command": command} for name, command in tasks.items()}})


@contextmanager
def daemon() -> Iterator[Daemon]:
    """One that leaves nothing behind; it is not started yet."""
    made = Daemon()
    try:
        yield made
    finally:
        made.close()
