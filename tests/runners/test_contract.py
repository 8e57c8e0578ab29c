"""What every runner promises: one suite over every implementation of `ports.Runner`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from phased.engine.clock import SystemClock
from phased.ports import RunExited, Runner, RunReport, RunStarted
from phased.runners.dry import DryRunner
from tests.runners.build import Place, run

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def _dry(_: Place) -> AsyncIterator[Runner]:
    yield DryRunner(SystemClock())


@asynccontextmanager
async def _process(place: Place) -> AsyncIterator[Runner]:
    async with place.runner() as runner:
        yield runner


@pytest.fixture(params=[_dry, _process], ids=["dry", "process"])
async def runner(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Runner]:
    """Each implementation, ready for use."""
    async with request.param(place) as opened:
        yield opened


async def test_each_run_is_started_then_ended_once(runner: Runner, place: Place) -> None:
    """Two reports of each, in this order."""
    requests = [place.request("true") for _ in range(20)]
    await runner.start(requests)
    told: dict[str, list[type]] = {request.run_id: [] for request in requests}
    with anyio.fail_after(60):
        while not all(len(kinds) == 2 for kinds in told.values()):
            for report in await runner.reports():
                told[report.run_id].append(type(report))
    assert all(kinds == [RunStarted, RunExited] for kinds in told.values())


async def test_success_is_exit_code_0(runner: Runner, place: Place) -> None:
    """Neither unknown nor by a signal."""
    [report] = await run(runner, place.request("true"))
    assert isinstance(report, RunExited)
    assert (report.code, report.signal) == (0, None)


async def test_reports_waits_for_at_least_one(runner: Runner, place: Place) -> None:
    """An empty bunch would make its reader turn for nothing."""
    await runner.start([])
    with anyio.move_on_after(0.05):
        pytest.fail(f"there was nothing to report: {await runner.reports()}")
    [report] = await run(runner, place.request("true"))
    assert isinstance(report, RunExited)


async def test_a_wait_for_reports_that_is_cancelled_loses_none(runner: Runner, place: Place) -> None:
    """Again and again, while they come."""
    request = place.request("true")
    with anyio.move_on_after(0.01):
        await runner.reports()
    await runner.start([request])
    reports: list[RunReport] = []
    with anyio.fail_after(60):
        while not any(isinstance(report, RunExited) for report in reports):
            with anyio.move_on_after(0.001):
                reports += await runner.reports()
    assert [type(report) for report in reports] == [RunStarted, RunExited]


async def test_an_ended_run_has_no_processes_and_leaves_none(runner: Runner, place: Place) -> None:
    """Signals then reach nobody."""
    request = place.request("true")
    await run(runner, request)
    assert await runner.processes(request.run_id) == []
    assert await runner.signal(request.run_id, 15) == 0
    assert await runner.leftovers() == {}


async def test_what_was_never_asked_for_is_absent(runner: Runner, place: Place) -> None:
    """It may be started, then."""
    run_id = place.request("true").run_id
    assert await runner.known([run_id]) == {run_id: "absent"}
    assert await runner.processes(run_id) == []
    assert await runner.signal(run_id, 9) == 0
    await runner.forget([run_id])


async def test_forgetting_is_idempotent(runner: Runner, place: Place) -> None:
    """Who saves results may crash before it knows that it had forgotten them."""
    request = place.request("true")
    await run(runner, request)
    await runner.forget([request.run_id])
    await runner.forget([request.run_id])
