"""The output of a run whose supervisor is dead: always in one pair of hands, whoever dies next."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from phased.ports import RunRequest
from phased.supervisor.census import look
from tests.runners.build import Place, log_of, until, until_started

pytestmark = pytest.mark.anyio

_SCRIPT = 'for n in 1 2 3; do until [ -e "$GATE$n" ]; do sleep 0.02; done; echo "line $n"; done; sleep 1000'


def _writers(place: Place, request: RunRequest) -> list[int]:
    """The supervisors that have the log open."""
    found = []
    for pid in place.supervisors():
        with suppress(OSError):
            opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
            if os.path.realpath(request.log) in opened:
                found.append(pid)
    return found


def _living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if (process := look(pid)) is not None and process.living]


def _open(gate: str, number: int) -> None:
    Path(f"{gate}{number}").touch()


async def _kill_supervisors(place: Place) -> None:
    killed = place.supervisors()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not _living(killed))


async def test_a_log_has_one_writer_after_a_supervisor_and_a_daemon_have_died(place: Place) -> None:
    """The next daemon asks nobody else to carry what a living supervisor carries already."""
    gate = str(place.root / "gate")
    request = place.request(_SCRIPT, GATE=gate)
    async with place.runner() as runner:
        await runner.start([request])
        await until_started(runner, [request.run_id])
        await _kill_supervisors(place)
        await until(lambda: len(_writers(place, request)) == 1)
        _open(gate, 1)
        await until(lambda: log_of(request) == "line 1\n")
    carrier = _writers(place, request)
    async with place.runner() as runner:
        assert await runner.known([request.run_id]) == {request.run_id: "running"}
        other = place.request(
            "sleep 1000"
        )  # what was asked of a supervisor before this has been done by then
        await runner.start([other])
        await until_started(runner, [other.run_id])
        assert _writers(place, request) == carrier
        _open(gate, 2)
        await until(lambda: log_of(request) == "line 1\nline 2\n")
        await _kill_supervisors(place)
        _open(gate, 3)
        await until(lambda: log_of(request) == "line 1\nline 2\nline 3\n")
        assert len(_writers(place, request)) == 1
        for one in (request, other):
            await runner.signal(one.run_id, signal.SIGKILL)
