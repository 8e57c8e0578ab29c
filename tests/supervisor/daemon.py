"""A daemon in small: saves intents, starts, saves results. `daemon.py STATE N FILE`, kills itself at its Nth action.

FILE holds the requests as JSON. What it would commit to its store it appends to FILE.store, a line each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import anyio

from phased.engine.clock import SystemClock
from phased.ports import RunRequest, RunStarted
from phased.runners.process import ProcessRunner
from phased.supervisor import channel

_left = int(sys.argv[2])


def _count() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class _DyingChannel(channel.Channel):
    def receive(self) -> list[dict[str, object]]:
        _count()
        return super().receive()

    def send(self, message, descriptors=()):  # type: ignore[no-untyped-def]
        _count()
        super().send(message, descriptors)


channel.Channel = _DyingChannel  # type: ignore[misc]
sys.modules["phased.supervisor.client"].Channel = _DyingChannel  # type: ignore[attr-defined]


def _save(*words: object) -> None:
    _count()
    with Path(sys.argv[3] + ".store").open("a") as file:
        file.write(json.dumps(words) + "\n")
    _count()


async def _main() -> None:
    requests = [RunRequest(**each) for each in json.loads(Path(sys.argv[3]).read_text())]
    async with ProcessRunner(Path(sys.argv[1]), dict(os.environ), "/bin/sh", SystemClock()) as runner:
        waiting = {request.run_id for request in requests}
        for some in (requests[: len(requests) // 2], requests[len(requests) // 2 :]):
            for request in some:
                _save("intent", request.run_id)
            await runner.start(some)
        while waiting:
            for report in await runner.reports():
                if not isinstance(report, RunStarted):
                    _save("result", report.run_id, getattr(report, "code", None))
                    await runner.forget([report.run_id])
                    waiting.discard(report.run_id)


if __name__ == "__main__":
    anyio.run(_main)
