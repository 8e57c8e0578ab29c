"""Runs that have cgroups of their own: whatever a command does, it stays in there, and a stop ends all of it.

Each test makes a cgroup of version 2 for its supervisor, which only root can.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from phased.ports import RunRequest
from phased.runners.process import ProcessRunner
from phased.supervisor import client
from tests.cgroups import delegated_cgroup, groups_of_runs
from tests.runners.build import Place, log_of, outcome, run, until, until_async, until_ended, until_started

pytestmark = pytest.mark.anyio


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup that is delegated, as systemd would say it."""
    with delegated_cgroup() as made:
        yield made


def runner_in(place: Place, group: Path, where: str = "auto") -> ProcessRunner:
    """One whose supervisor lives in that cgroup."""
    into = f'echo 0 > {group}/cgroup.procs && exec "$@"'
    made = place.runner(program=["/bin/sh", "-c", into, "sh", *client.program()])
    made.use_cgroups(where)
    return made


def cgroups_of(pid: int) -> str:
    """All cgroups of a process, as /proc shows them."""
    return Path(f"/proc/{pid}/cgroup").read_text()


async def _until_gone(runner: ProcessRunner, request: RunRequest) -> None:
    async def is_gone() -> bool:
        return not await runner.processes(request.run_id)

    await until_async(is_gone)


async def test_each_run_has_its_own_while_it_lives(place: Place, group: Path) -> None:
    """The supervisor is in none of them, and an empty one is removed."""
    async with runner_in(place, group) as runner:
        requests = [place.request("cat /proc/self/cgroup; sleep 300") for _ in range(3)]
        await runner.start(requests)
        await until_started(runner, [request.run_id for request in requests])
        assert groups_of_runs(group) == sorted(request.run_id for request in requests)
        for request in requests:
            await until(lambda: f"0::/{group.name}/phased-{request.run_id}\n" in log_of(request))  # noqa: B023 - called at once
        [supervisor] = place.supervisors()
        assert f"0::/{group.name}\n" in cgroups_of(supervisor)
        for request in requests:
            await runner.signal(request.run_id, signal.SIGTERM)
        await until_ended(runner, [request.run_id for request in requests])
        await until(lambda: groups_of_runs(group) == [])
        assert (group / "cgroup.subtree_control").read_text().strip() == "", "no controllers (rule 21)"


@pytest.mark.parametrize(
    "launch",
    [
        "setsid -f sleep 300",
        "(env -i setsid -f sleep 300 &)",
        "bash -c 'ulimit -S -q 100000; (env -i setsid -f sleep 300 &)'",
    ],
    ids=["daemon", "without anything", "also without the mark"],
)
async def test_a_daemon_that_left_everything_is_still_known_and_ended(
    place: Place, group: Path, launch: str
) -> None:
    """Its cgroup it cannot leave, as it could its mark."""
    async with runner_in(place, group) as runner:
        other, request = place.request("sleep 300"), place.request(f"{launch} >/dev/null 2>&1; exit 0")
        await runner.start([other, request])
        await until_ended(runner, [request.run_id])

        async def is_there() -> bool:
            left = (await runner.leftovers()).get(request.run_id, [])
            return [process.command for process in left] == ["sleep"]

        await until_async(is_there)
        assert request.run_id in groups_of_runs(group)
        assert await runner.signal(request.run_id, signal.SIGKILL) == 1
        await _until_gone(runner, request)
        await until(lambda: groups_of_runs(group) == [other.run_id])
        assert await runner.processes(other.run_id), "nobody else was signalled"
        await runner.signal(other.run_id, signal.SIGKILL)
        await until_ended(runner, [other.run_id])


async def test_one_signal_ends_a_step_that_forks_in_a_loop(place: Place, group: Path) -> None:
    """`cgroup.kill` is faster than any fork."""
    ready = place.root / "ready"
    loop = f"trap '' TERM; touch {ready}; while :; do (trap '' TERM; sleep 30) & sleep 0.001; done"
    async with runner_in(place, group) as runner:
        request = place.request(loop)
        await runner.start([request])
        await until(ready.exists)
        assert await runner.signal(request.run_id, signal.SIGKILL) > 0
        assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == "signal 9"
        await _until_gone(runner, request)
        assert await runner.leftovers() == {}
        await until(lambda: groups_of_runs(group) == [])


async def test_what_a_dead_supervisor_left_is_found_by_its_cgroup(place: Place, group: Path) -> None:
    """And ended, and the cgroup goes."""
    async with runner_in(place, group) as runner:
        request = place.request(
            "bash -c 'ulimit -S -q 100000; (env -i setsid -f sleep 300 &)' >/dev/null 2>&1"
        )
        await run(runner, request)
        [supervisor] = place.supervisors()
        os.kill(supervisor, signal.SIGKILL)
        await until(lambda: not place.supervisors())
    async with runner_in(place, group) as runner:
        await runner.known([request.run_id])
        assert [process.command for process in await runner.processes(request.run_id)] == ["sleep"]
        assert await runner.signal(request.run_id, signal.SIGKILL) == 1
        await _until_gone(runner, request)
        assert groups_of_runs(group) == []
        await runner.forget([request.run_id])


@pytest.fixture
def other() -> Iterator[int]:
    """The pid of a process that is no step."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process.pid
        process.kill()


async def test_empty_ones_that_somebody_left_are_removed(place: Place, group: Path, other: int) -> None:
    """By the next supervisor there; one with a process in it stays."""
    (group / "phased-gone.1" / "inner").mkdir(parents=True)
    (group / "phased-used.1").mkdir()
    (group / "phased-used.1" / "cgroup.procs").write_text(str(other))
    async with runner_in(place, group) as runner:
        await run(runner, place.request("true"))
        assert groups_of_runs(group) == ["used.1"]


async def test_what_was_not_delegated_is_left_alone(place: Place, group: Path) -> None:
    """Root may write anywhere; that alone is no permission."""
    os.removexattr(group, "user.delegate")
    async with runner_in(place, group) as runner:
        assert outcome((await run(runner, place.request("exit 3")))[0]) == 3
        request = place.request("sleep 300")
        await runner.start([request])
        await until_started(runner, [request.run_id])
        assert groups_of_runs(group) == []
        await runner.signal(request.run_id, signal.SIGKILL)
        await until_ended(runner, [request.run_id])


@pytest.mark.parametrize("where", ["off", "/nonexistent/cgroup", "/tmp"])
async def test_where_there_are_none_runs_do_without(place: Place, group: Path, where: str) -> None:
    """Also where settings name what is no cgroup."""
    async with runner_in(place, group, where) as runner:
        assert outcome((await run(runner, place.request("exit 3")))[0]) == 3
        assert groups_of_runs(group) == []


async def test_settings_may_name_another(place: Place, group: Path) -> None:
    """The supervisor goes in to spawn, and back to where it was."""
    made = place.runner()
    made.use_cgroups(str(group))
    async with made as runner:
        request = place.request("sleep 300")
        await runner.start([request])
        await until_started(runner, [request.run_id])
        [supervisor] = place.supervisors()
        assert group.name not in cgroups_of(supervisor)
        assert groups_of_runs(group) == [request.run_id]
        await runner.signal(request.run_id, signal.SIGKILL)
        await until_ended(runner, [request.run_id])
        await until(lambda: groups_of_runs(group) == [])
