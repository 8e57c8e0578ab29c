"""Secrets in real steps: what they find, in which order, what is missing, and where no value is ever seen."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from phased.access.steps import StepSecrets
from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.contract.service import ServicePhase
from phased.core.specs import Catalog, secret_id
from phased.engine.clock import SystemClock
from phased.engine.engine import Engine, Limits, Origin
from phased.engine.registry import LiveExecution
from phased.runners.process import ProcessRunner
from phased.supervisor.census import everyone
from tests.access.build import ALICE, ENVIRONMENT, House, everything_in, house, secret

pytestmark = pytest.mark.anyio
VALUE = "tr0ub4dor-and-3"
DEADLINE = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a supervisor's socket."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        yield made
    finally:
        for pid in [pid for pid in everyone() if _works_in(pid, made)]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(made)


def _works_in(pid: int, folder: Path) -> bool:
    """Whether a process has its working directory there: a step that a failed test has left."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:
        return False


class Bench:
    """An engine over real processes, in one environment of Alice's."""

    def __init__(self, folder: Path, here: House, engine: Engine) -> None:
        self.folder = folder
        self.here = here
        self.engine = engine

    async def keep(self, name: str, value: str, **facts: object) -> str:
        """Make a secret of the environment's, or as `facts` say; its id."""
        facts = facts or {"projectId": ENVIRONMENT}
        made = await self.here.vault.create(secret(name, value, **facts), await self.here.caller(ALICE))
        return made.id

    async def run(self, command: str, started_by: str = "manual", **env: Any) -> LiveExecution:
        """Run one task to its end."""
        entries = [{"name": name, **value} for name, value in env.items()]
        task = TaskDefinition.model_validate(
            {"reference": "t", "name": "t", "command": command, "env": entries}
        )
        catalog = Catalog(ENVIRONMENT, Definitions(tasks=(task,)))
        (live,) = await self.engine.fire(catalog, ["t"], Origin(started_by))
        self.engine.begin([live])
        with anyio.fail_after(DEADLINE):
            await live.done.wait()
            await self.engine.settled()
        return live

    async def said(self, command: str, started_by: str = "manual", **env: Any) -> str:
        """What it printed."""
        live = await self.run(command, started_by, **env)
        return self.log(live).read_text()

    def log(self, live: LiveExecution) -> Path:
        """Where its one step printed to."""
        (step_id,) = live.steps
        path: Path = log_path(self.folder)(live.record.id, step_id)
        return path

    def cause(self, live: LiveExecution) -> str | None:
        """Why its one step failed."""
        (step,) = live.machine.steps.values()
        return step.cause


def log_path(folder: Path) -> Any:
    """As the state directory has it."""
    return lambda execution_id, step_id: folder / "runs" / execution_id / f"{step_id}.log"


@asynccontextmanager
async def bench(folder: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Bench]:
    """The parts as a daemon has them."""
    clock = SystemClock()
    base = {"PATH": "/usr/local/bin:/usr/bin:/bin", **(environment or {})}
    async with house(folder) as here, ProcessRunner(folder, base, "/bin/sh", clock) as runner:
        engine = Engine(here.store, runner, clock, folder, log_path(folder), Limits())
        engine.access = StepSecrets(here.vault, here.access, "/run/x/phased.sock")
        async with engine:
            yield Bench(folder, here, engine)
            await engine.end_leftovers()


async def test_the_order_of_a_steps_variables(folder: Path) -> None:
    """The base < what secrets are mounted as < the task's own < the program's."""
    async with bench(folder, {"ONE": "base", "TWO": "base", "THREE": "base"}) as at:
        await at.keep("TWO", "mounted")
        await at.keep("THREE", "mounted")
        await at.keep("PHASED_TASK", "mounted")
        named = await at.keep("NAMED", VALUE, apiOnly=True)
        assert named
        text = await at.said(
            'echo "$ONE $TWO $THREE $MINE $PHASED_TASK"',
            THREE={"value": "task"},
            MINE={"secret": "NAMED"},
        )
        assert text == f"base mounted task {VALUE} t\n"


async def test_a_step_gets_the_way_back_for_its_own_environment(folder: Path) -> None:
    """The socket, and a token that nothing outranks."""
    async with bench(folder) as at:
        text = await at.said('echo "$PHASED_SOCKET $PHASED_TOKEN"', PHASED_TOKEN={"value": "mine"})
        path, token = text.split()
        assert path == "/run/x/phased.sock"
        caller = await at.here.access.caller(None, f"Bearer {token}")
        assert (caller.environment, caller.is_step) == (ENVIRONMENT, True)


async def test_a_missing_secret_fails_the_step_before_its_command(folder: Path) -> None:
    """With its name and its id; what it would have done is not done."""
    async with bench(folder) as at:
        live = await at.run("touch ran", MINE={"secret": "ABSENT"})
        wanted = secret_id(ENVIRONMENT, "ABSENT")
        assert at.cause(live) == f"the secret ABSENT ({wanted}) is missing"
        assert live.machine.phase.name == "FAILED"
        assert not (folder / "ran").exists()
        await at.keep("ABSENT", "now it is there")
        assert await at.said('echo "$MINE"', MINE={"secret": "ABSENT"}) == "now it is there\n"


async def test_a_users_secrets_do_not_exist_during_a_prebuild(folder: Path) -> None:
    """Neither mounted nor named."""
    async with bench(folder) as at:
        await at.keep("MINE", VALUE, environmentVariable=True)
        assert await at.said('echo "${MINE-none}"') == f"{VALUE}\n"
        assert await at.said('echo "${MINE-none}"', "prebuild") == "none\n"
        live = await at.run("true", "prebuild", OTHER={"secret": "MINE"})
        assert "is missing" in (at.cause(live) or "")


async def test_a_key_that_is_lost_fails_the_step_and_says_so(folder: Path) -> None:
    """Its command does not run with half its variables."""
    async with bench(folder) as at:
        await at.keep("MOUNTED", VALUE)
    (folder / "phased.key").unlink()
    async with bench(folder) as at:
        live = await at.run("touch ran")
        assert "phased.key is missing" in (at.cause(live) or "")
        assert not (folder / "ran").exists()


async def test_no_value_is_in_the_state_or_among_the_processes_arguments(folder: Path) -> None:
    """While a step runs with it and after; what the step prints itself is in its log alone, mode 0600."""
    async with bench(folder) as at:
        await at.keep("MOUNTED", VALUE)
        seen: list[bytes] = []

        async def look() -> None:
            while not (folder / "running").exists():  # noqa: ASYNC110 - a file that a step makes
                await anyio.sleep(0.01)
            for pid in everyone():
                try:
                    seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())  # noqa: ASYNC240 - as above
                except OSError:
                    continue
            (folder / "looked").touch()

        command = "touch running; while ! [ -e looked ]; do sleep 0.05; done; printenv MOUNTED NAMED"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            live = await at.run(command, NAMED={"secret": "MOUNTED"})
        log = at.log(live)
        assert log.read_text() == f"{VALUE}\n{VALUE}\n"
        assert log.stat().st_mode & 0o777 == 0o600
        assert any(b"looked" in one for one in seen)
        assert VALUE.encode() not in b"".join(seen)
        masked = at.here.vault.masker(ENVIRONMENT).bytes(log.read_bytes())
        assert masked == b"*" * len(VALUE) + b"\n" + b"*" * len(VALUE) + b"\n"
        log.unlink()
    assert VALUE.encode() not in everything_in(folder)


async def test_services_get_secrets_too(folder: Path) -> None:
    """And fail before their command where one is missing."""
    async with bench(folder) as at:
        await at.keep("MOUNTED", VALUE)
        env = [{"name": "NAMED", "secret": "MOUNTED"}]
        start = 'echo "$MOUNTED $NAMED" > out; exec sleep 300'
        services = (
            ServiceDefinition.model_validate({"reference": "s", "name": "s", "start": start, "env": env}),
            ServiceDefinition.model_validate(
                {"reference": "b", "name": "b", "start": start, "env": [{"name": "X", "secret": "ABSENT"}]}
            ),
        )
        join = TaskDefinition.model_validate(
            {"reference": "t", "name": "t", "command": "cat out", "depends_on": ["s"]}
        )
        other = TaskDefinition.model_validate(
            {"reference": "u", "name": "u", "command": "true", "depends_on": ["b"]}
        )
        catalog = Catalog(ENVIRONMENT, Definitions(tasks=(join, other), services=services))
        lives = await at.engine.fire(catalog, ["t", "u"], Origin(), owns_services=True)
        at.engine.begin(lives)
        with anyio.fail_after(DEADLINE):
            for live in lives:
                await live.done.wait()
            await at.engine.end_services(lives, "the test")
        assert [live.machine.phase.name for live in lives] == ["SUCCEEDED", "FAILED"]
        assert (folder / "out").read_text() == f"{VALUE} {VALUE}\n"
        failed = next(one for one in at.engine.services.of(ENVIRONMENT) if one.reference == "b")
        assert failed.phase is ServicePhase.FAILED
        assert secret_id(ENVIRONMENT, "ABSENT") in (failed.progress.cause or "")
