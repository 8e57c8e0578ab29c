"""`python -m benchmarks.docker`: what a step in a container costs beyond the same `docker run` by hand.

Needs an engine that the client finds (DOCKER_HOST), and an image with `sh` (PHASED_TEST_IMAGE; rig/busybox).
The two take turns. By hand: the client is started, follows, and ends. As a step: StartTask until an event
says that the execution has ended and it was read to be SUCCEEDED. Either container is removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.api import Bench, Result, open_bench, show
from benchmarks.api_client import Connection
from benchmarks.running import Failed

_TASKS = "/gitpod.v1.EnvironmentAutomationService"
_WATCH = "/gitpod.v1.EventService/WatchEvents"
_MOST = 60
_DONE = "TASK_EXECUTION_PHASE_SUCCEEDED"
_LIVE = ("TASK_EXECUTION_PHASE_PENDING", "TASK_EXECUTION_PHASE_RUNNING")


def by_hand(image: str, workspace: Path, number: int) -> float:
    """Seconds of a client that runs a container as a step's does."""
    name = f"phased-benchmark-{os.getpid()}-{number}"
    words = ["docker", "run", "--name", name, "--init", "--sig-proxy=false", "--label", "phased.run=none"]
    words += ["--user", f"{os.getuid()}:{os.getgid()}", "--workdir", str(workspace)]
    words += ["--mount", f"type=bind,source={workspace},target={workspace}", "--entrypoint", "sh", image]
    with (workspace / "by-hand.log").open("wb") as log:
        begun = time.perf_counter()
        done = subprocess.run(
            [*words, "-c", "true"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
        seconds = time.perf_counter() - begun
    subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)
    if done.returncode:
        raise Failed(f"docker run ended with {done.returncode}: {(workspace / 'by-hand.log').read_text()}")
    return seconds


def as_step(bench: Bench, watch: Connection, task_id: str) -> float:
    """Seconds of an execution with one step, seen through the API."""
    begun = time.perf_counter()
    started = bench.connection.call(f"{_TASKS}/StartTask", {"id": task_id})["taskExecution"]
    while True:
        if json.loads(watch.line()).get("resourceId") != started["id"]:
            continue
        found = bench.connection.call(f"{_TASKS}/GetTaskExecution", {"id": started["id"]})["taskExecution"]
        phase = found["status"]["phase"]
        if phase == _DONE:
            return time.perf_counter() - begun
        if phase not in _LIVE:
            raise Failed(f"the step failed: {found['status'].get('failureMessage')}")


def until_removed(folder: Path) -> None:
    """The container of the last step is gone, so that its removal slows nothing that is measured."""
    asked = ["docker", "ps", "-aq", "--filter", f"label=phased.state={folder / 's'}"]
    while subprocess.run(asked, check=True, capture_output=True).stdout:
        time.sleep(0.05)


def measure(image: str, rounds: int) -> list[Result]:
    """Both, in turn."""
    with open_bench() as bench:
        body = {
            "environmentId": bench.environment,
            "metadata": {"reference": "box"},
            "spec": {"command": "true", "runsOn": {"docker": {"image": image}}},
        }
        task_id = str(bench.connection.call(f"{_TASKS}/CreateTask", body)["task"]["id"])
        watch = Connection(bench.socket)
        watch.stream(_WATCH, {"environmentId": bench.environment})
        hand, step = [], []
        for number in range(rounds + 1):
            one = by_hand(image, bench.folder / "w", number), as_step(bench, watch, task_id)
            until_removed(bench.folder)
            if number:  # the first warms both
                hand.append(one[0] * 1000)
                step.append(one[1] * 1000)
        watch.close()
    more = median(ours - theirs for ours, theirs in zip(step, hand, strict=True))
    return [
        Result("docker run by hand", median(hand), "ms", 0, at_least=True),
        Result("the same as a step", median(step), "ms", 0, at_least=True),
        Result("a step beyond it, median of pairs", more, "ms", _MOST),
        Result("a step beyond it, of the fastest of each", min(step) - min(hand), "ms", _MOST),
    ]


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where the limit is missed, since another machine's noise is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="pairs to measure")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args(given)
    try:
        results = measure(os.environ.get("PHASED_TEST_IMAGE", "rig/busybox"), options.rounds)
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    show(results, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
