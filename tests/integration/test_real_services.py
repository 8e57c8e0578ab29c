"""PostgreSQL and Redis as configs/examples/postgres-redis.yaml has them, in two environments at once.

`make test-services` runs these alone and says what is missing.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, TASKS, Api, Daemon, daemon, wait_for

pytestmark = [pytest.mark.services, pytest.mark.slow]
FILE = Path(__file__).parents[2] / "configs" / "examples" / "postgres-redis.yaml"


def missing() -> list[str]:
    """The programs that are not on this machine."""
    wanted = ["pg_isready", "psql", "redis-server", "redis-cli"]
    found = [name for name in wanted if shutil.which(name) is None]
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        found.append("initdb")
    return found


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon; where root runs it, its workspace is another user's, as PostgreSQL refuses to be root."""
    if lacking := missing():
        pytest.skip(f"not installed: {', '.join(lacking)} (Debian: postgresql, redis-server)")
    with daemon() as made:
        folder = made.workspace / ".ona"
        folder.mkdir()
        shutil.copy(FILE, folder / "automations.yaml")
        if os.geteuid() == 0:
            try:
                nobody = pwd.getpwnam("nobody")
            except KeyError:
                pytest.skip("this is root, and there is no user nobody")
            made.home.chmod(0o711)
            for path in (made.workspace, folder, folder / "automations.yaml"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        made.start(env={"LC_ALL": "C.UTF-8"})
        yield made


def workspace(api: Api, environment: str) -> Path:
    """Where an environment's commands run."""
    body = {"environmentId": environment}
    status = api.call(f"{ENVIRONMENTS}/GetEnvironment", body)["environment"]["status"]
    return Path(status["content"]["contentLocationInMachine"])


def phases(api: Api, environment: str) -> dict[str, str]:
    """Of its services."""
    found = api.call(f"{TASKS}/ListServices", {"filter": {"environmentIds": [environment]}})["services"]
    return {
        one["metadata"]["reference"]: one["status"]["phase"].removeprefix("SERVICE_PHASE_") for one in found
    }


def test_two_environments_have_databases_of_their_own(served: Daemon) -> None:
    """Seeded as soon as both are ready; stopped, neither a process nor a lock is left."""
    api = Api(served.client())
    other = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {})["environment"]["id"]
    wait_for((workspace(api, other)).is_dir, "the other workspace is there")
    body = {"environmentId": other, "content": FILE.read_text()}
    wait_for(lambda: api.post(f"{NATIVE}/ApplyFile", body).status_code == 200, "the file is applied")
    both = [api.environment, other]
    executions = []
    for environment in both:
        wanted = {"environmentIds": [environment], "references": ["seed"]}
        (task,) = api.call(f"{TASKS}/ListTasks", {"filter": wanted})["tasks"]

        def started(task_id: str = task["id"]) -> str | None:
            answer = api.post(f"{TASKS}/StartTask", {"id": task_id})
            return str(answer.json()["taskExecution"]["id"]) if answer.status_code == 200 else None

        executions.append(wait_for(started, "the environment is at work"))
    for execution in executions:
        ended = api.until(execution, "SUCCEEDED", "FAILED", "STOPPED")
        log = api.client.get(ended["status"]["logUrl"], params={"follow": "0"}).text
        assert ended["status"]["phase"].endswith("SUCCEEDED"), (ended["status"], log)
    for environment in both:
        assert phases(api, environment) == {"postgres": "RUNNING", "redis": "RUNNING"}
        folder = workspace(api, environment)
        assert ask_postgres(folder, "SELECT count(*) FROM people") == "2"
        assert ask_redis(folder, "get", "people") == "2"
    ask_redis(workspace(api, other), "set", "people", "3")
    assert ask_redis(workspace(api, api.environment), "get", "people") == "2"
    locks = [workspace(api, environment) / "data" / "postmaster.pid" for environment in both]
    leaders = [int(lock.read_text().splitlines()[0]) for lock in locks]
    for environment in both:
        stop_all(api, environment)
    assert not [lock for lock in locks if lock.exists()]
    for environment in both:
        assert not list((workspace(api, environment) / "run").glob("*.sock"))
        assert not list((workspace(api, environment) / "run").glob(".s.PGSQL*"))
    processes = api.call(f"{NATIVE}/ListProcesses", {}).get("processes", [])
    assert processes == [], json.dumps(processes)
    assert not [pid for pid in leaders if Path(f"/proc/{pid}").exists()]


def stop_all(api: Api, environment: str) -> None:
    """Stop its services, and wait for that."""
    found = api.call(f"{TASKS}/ListServices", {"filter": {"environmentIds": [environment]}})["services"]
    for one in found:
        api.call(f"{TASKS}/StopService", {"id": one["id"]})
    wait_for(lambda: set(phases(api, environment).values()) == {"STOPPED"}, f"{environment} is stopped")


def ask_postgres(folder: Path, query: str) -> str:
    """One value."""
    command = ["psql", "-At", "-h", str(folder / "run"), "-U", "app", "-d", "postgres", "-c", query]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def ask_redis(folder: Path, *words: str) -> str:
    """One value."""
    command = ["redis-cli", "-s", str(folder / "run" / "redis.sock"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
