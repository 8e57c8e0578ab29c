"""A daemon in small: saves intents, starts, saves results, and kills itself at its Nth action.

For each line `[STATE, N, FILE]` on its input this program forks such a daemon, and prints how it ended:
so its imports are paid for once. FILE holds the requests as JSON. What a daemon would commit to its store,
it appends to FILE.store, a line each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from phased.engine.clock import SystemClock
from phased.ports import RunRequest, RunStarted
from phased.runners.process import ProcessRunner
from phased.supervisor import channel

_left = 0


def _count() -> None:
    global _left  # noqa: PLW0603 - one daemon a process
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class _DyingChannel(channel.Channel):
    def receive(self) -> list[dict[str, Any]]:
        _count()
        return super().receive()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        _count()
        super().send(message, descriptors)


channel.Channel = _DyingChannel  # type: ignore[misc]
sys.modules["phased.supervisor.client"].Channel = _DyingChannel  # type: ignore[attr-defined]


def _save(store: Path, *words: object) -> None:
    _count()
    with store.open("a") as file:
        file.write(json.dumps(words) + "\n")
    _count()


async def _main(state: str, requests: list[RunRequest], store: Path) -> None:
    async with ProcessRunner(Path(state), dict(os.environ), "/bin/sh", SystemClock()) as runner:
        waiting = {request.run_id for request in requests}
        for some in (requests[: len(requests) // 2], requests[len(requests) // 2 :]):
            for request in some:
                _save(store, "intent", request.run_id)
            await runner.start(some)
        while waiting:
            for report in await runner.reports():
                if not isinstance(report, RunStarted):
                    _save(store, "result", report.run_id, getattr(report, "code", None))
                    await runner.forget([report.run_id])
                    waiting.discard(report.run_id)


def _fork(state: str, nth: int, file: str) -> int:
    global _left  # noqa: PLW0603 - one daemon a process
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _left = nth
    requests = [RunRequest(**each) for each in json.loads(Path(file).read_text())]
    anyio.run(_main, state, requests, Path(f"{file}.store"))
    os._exit(0)


if __name__ == "__main__":
    for line in sys.stdin:
        print(_fork(*json.loads(line)), flush=True)
