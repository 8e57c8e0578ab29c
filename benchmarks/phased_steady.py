"""A process of its own: an engine with its full durable state, up and warm; one execution is measured.

python -m benchmarks.phased_steady FOLDER TASK AT_ONCE ANSWER: reads FOLDER/automations.yaml, which has a task
`warm`; the state lies in FOLDER/state. ANSWER gets one JSON object. What is left out: starting Python, the
imports, reading the file, starting the supervisor.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import anyio
import psutil

from phased import daemon, loader
from phased.contract.execution import TaskExecutionPhase
from phased.core.specs import Catalog, environment_id
from phased.settings import load


async def measure(folder: Path, task: str, at_once: int) -> dict[str, float | int]:
    """Start the engine, warm it, measure one execution. Raises SystemExit where that did not succeed."""
    definitions = loader.definitions(loader.read(folder / "automations.yaml"))
    catalog = Catalog(environment_id(str(folder)), definitions)
    settings = load(flags={"paths.state_dir": (str(folder / "state"), "here")})
    async with daemon.open_engine(settings, folder) as opened:
        warm = daemon.Order(folder, catalog, ("warm",), "manual", at_once)
        await _carry_out(opened, warm)
        supervisor = psutil.Process().children()[0]
        peak, before = _peak(os.getpid()) + _peak(supervisor.pid), _processor(supervisor)
        started = time.perf_counter()
        await _carry_out(opened, replace(warm, references=(task,)))
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "processor": _processor(supervisor) - before,
            "peak_before": peak,
            "peak_engine": _peak(os.getpid()),
            "peak_supervisor": _peak(supervisor.pid),
        }


async def _carry_out(opened: daemon.Opened, order: daemon.Order) -> None:
    lives = await opened.engine.fire(
        order.catalog, order.references, opened.origin(order.started_by), max_parallel=order.max_parallel
    )
    opened.engine.begin(lives)
    for live in lives:
        await live.done.wait()
        if live.machine.phase is not TaskExecutionPhase.SUCCEEDED:
            raise SystemExit(f"cannot measure: {live.record.reference} {live.machine.first_failure}")


def _processor(supervisor: psutil.Process) -> float:
    """Seconds of this process, the supervisor, and every step that it has reaped."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    times = supervisor.cpu_times()
    of_steps: float = times.children_user + times.children_system
    return float(own.ru_utime + own.ru_stime + times.user + times.system + of_steps)


def _peak(pid: int) -> int:
    """KiB that a process had resident at most (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    found = anyio.run(measure, Path(arguments[0]), arguments[1], int(arguments[2]))
    Path(arguments[3]).write_text(json.dumps(found), encoding="ascii")
