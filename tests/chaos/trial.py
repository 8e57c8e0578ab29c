"""One trial: a daemon under a random graph of work, and what is done to it; all from one seed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx

from tests.api.daemon import PATIENCE, TASKS, Api, Daemon, daemon, wait_for
from tests.chaos.accounts import Account, differences
from tests.chaos.graphs import random_graph

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_ROOM = "48m"
"""Of the disk that is filled: an empty state directory takes a few megabytes."""


class Trial:
    """What is done, and what came of it."""

    def __init__(self, seed: int, one: Daemon) -> None:
        self.random = Random(seed)
        self.one = one
        self.records = one.home / "r"
        self.records.mkdir()
        self.graph = random_graph(self.random, self.records)
        (one.workspace / ".ona").mkdir()
        (one.workspace / ".ona" / "automations.yaml").write_text(self.graph.text)
        self.account = Account(self.graph, self.records)
        self.acknowledged: list[str] = []
        self.boots = 0
        self.process: subprocess.Popen[str]
        self.api: Api
        self.mounted = self._mount()

    # ---- the daemon ------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[str]:
        environment = {"PHASED_RUN_STOP_TIMEOUT": "5s"}
        process = self.one.start(env=environment, command=self._command())
        self.api = Api(self.one.client())
        found = self.api.call(f"{TASKS}/ListTasks")["tasks"]
        self.ids = {task["metadata"]["reference"]: task["id"] for task in found}
        return process

    def _command(self) -> list[str]:
        if not self.boots:
            return self.one.command()
        file = self.one.home / "boot_id"
        file.write_text(f"{UUID(int=self.boots, version=4)}\n")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(file), *self.one.command()]

    def _mount(self) -> bool:
        self.one.state.mkdir()
        if os.geteuid() != 0:
            return False
        command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(self.one.state)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Let go of the disk."""
        self.one.close()
        if self.mounted:
            for _ in range(100):
                done = subprocess.run(["umount", str(self.one.state)], capture_output=True, check=False)
                if done.returncode == 0:
                    break
                time.sleep(0.1)

    # ---- what is done to it ----------------------------------------------------------------------

    def start_task(self) -> None:
        """Start a random one; what is acknowledged may not be forgotten."""
        self._start_task(self.random.choice(list(self.ids.values())))

    def _start_task(self, task_id: str) -> None:
        with suppress(httpx.TransportError):
            response = self.api.post(f"{TASKS}/StartTask", {"id": task_id})
            if response.status_code == 200:
                self.acknowledged.append(response.json()["taskExecution"]["id"])
            elif "full" not in self.account.harm:
                raise AssertionError(f"a start was refused: {response.text}")

    def stop_one(self) -> None:
        """Stop a random execution."""
        if self.acknowledged:
            execution = self.random.choice(self.acknowledged)
            self.account.stopped.add(execution)
            response = self.api.post(f"{TASKS}/StopTaskExecution", {"id": execution})
            assert response.status_code == 200 or "full" in self.account.harm, response.text

    def wait(self) -> None:
        """Let some time pass."""
        time.sleep(self.random.choice([0.0, 0.05, 0.2, 0.5]))

    def kill_daemon(self) -> None:
        """While it is asked to start something; the next one takes over."""
        self.account.harm.add("daemon")
        task = self.random.choice(list(self.ids.values()))
        asking = threading.Thread(target=self._start_task, args=(task,))
        asking.start()
        time.sleep(self.random.choice([0.0, 0.002, 0.01, 0.03]))
        self.process.kill()
        self.process.wait()
        asking.join(PATIENCE)
        self.process = self._start()

    def kill_supervisor(self) -> None:
        """The daemon goes on."""
        self.account.harm.add("supervisor")
        self._kill(b"supervisor/__main__.py")

    def kill_both(self) -> None:
        """One after the other, in either order."""
        self.account.harm.add("both")
        if self.random.random() < 0.5:
            self._kill(b"supervisor/__main__.py")
        self.process.kill()
        self.process.wait()
        self._kill(b"supervisor/__main__.py")
        self.process = self._start()

    def reboot(self) -> None:
        """Nothing survives, and the machine has another boot id."""
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            return
        self.account.harm.add("reboot")
        self.process.kill()
        self.process.wait()
        self._kill_steps()
        self.boots += 1
        self.process = self._start()

    def fill_disk(self) -> None:
        """For a moment there is no room."""
        if not self.mounted:
            return
        self.account.harm.add("full")
        ballast = self.one.state / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0")
        self.start_task()
        self.wait()
        ballast.unlink()

    def _kill(self, word: bytes) -> None:
        for pid in self.one.ours():
            with suppress(OSError):
                if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def _kill_steps(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (left := self.one.ours()) and time.monotonic() < deadline:
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    # ---- the whole -------------------------------------------------------------------------------

    def run(self) -> list[str]:
        """Do it all, and let it end; what does not fit."""
        actions = [self.start_task] * 5 + [self.wait] * 3 + [self.stop_one] * 2
        actions += [self.kill_daemon] * 2 + [
            self.kill_supervisor,
            self.kill_both,
            self.reboot,
            self.fill_disk,
        ]
        self.process = self._start()
        self.start_task()
        for _ in range(self.random.randint(5, 14)):
            self.random.choice(actions)()
        return self.finish()

    def finish(self) -> list[str]:
        """Wait for the end of all, end what is left, compare."""
        found = {one: self._ended(one) for one in self.acknowledged}
        every = self.api.call(f"{TASKS}/ListTaskExecutions", {"pagination": {"pageSize": 100}})
        for execution in every.get("taskExecutions", []):
            found.setdefault(execution["id"], self._ended(execution["id"]))
        logs = {
            f"{execution_id}.{step.get('label', '')}": self.one.state
            / "runs"
            / execution_id
            / f"{step['id']}.log"
            for execution_id, execution in found.items()
            for group in execution["spec"].get("plan", [])
            for step in group.get("steps", [])
        }
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        wrong = differences(self.account, found, logs)
        try:
            wait_for(lambda: not self.one.ours(), "nothing is left")
        except AssertionError:
            left = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.one.ours()]
            wrong.append(f"processes are left: {left}")
        return wrong

    def _ended(self, execution_id: str) -> dict[str, Any]:
        return self.api.until(execution_id, *ENDED)


def attempt(seed: int) -> list[str]:
    """One trial; what does not fit, nothing if all is well."""
    with daemon() as one:
        trial = Trial(seed, one)
        try:
            return [f"{sorted(trial.account.harm)} {text}" for text in trial.run()]
        finally:
            trial.close()
