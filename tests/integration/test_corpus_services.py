"""Services of real files, their commands replaced by harmless ones of the same shape, over real processes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import anyio
import pytest

from phased import loader
from phased.contract.service import ServicePhase as Phase
from phased.errors import InvalidFile
from tests.engine.services.bench import PATIENCE, bench, service, until
from tests.loader.test_corpus import REAL, needs_corpus

pytestmark = [pytest.mark.anyio, needs_corpus]
LOOP = re.compile(r"^\s*(until|while|for)\b", re.MULTILINE)
BACKGROUND = re.compile(r"[^&>|]&\s*(#.*)?$", re.MULTILINE)
DETACHED = re.compile(r"\b(nohup|setsid|disown|daemonize|up -d|-d|--detach)\b")


@dataclass(frozen=True, order=True)
class Shape:
    """What is special about the commands of a service."""

    start: str
    ready: str
    stop: str
    lasts: bool
    """Its start command goes on."""


def shape_of(start: str, ready: str, stop: str) -> Shape:
    """The same service, doing nothing."""
    last = start.strip().splitlines()[-1]
    lasts = not BACKGROUND.search(last)
    lines = []
    if "set -e" in start:
        lines.append("set -eu")
    if LOOP.search(start):
        lines.append("until [ -e warm ]; do touch warm; sleep 0.05; done")
    if "trap " in start:
        lines.append("trap 'exit 0' TERM INT")
    if BACKGROUND.search(start):
        lines.append("sleep 1000 &")
    if DETACHED.search(start):
        lines.append("setsid sleep 1000 &")
    if "|" in last and lasts:
        lines.append("sleep 1000 | cat")
    elif "trap " in start and lasts:
        lines.append("sleep 1000 & wait")
    elif lasts:
        lines.append(
            "exec sleep 1000" if re.search(r"^\s*exec ", start, re.MULTILINE) else "sleep 1000; true"
        )
    return Shape("\n".join(lines), _ready(ready), "touch stopped" if stop else "", lasts)


def _ready(ready: str) -> str:
    if not ready:
        return ""
    if LOOP.search(ready):
        return "until [ -e up ]; do sleep 0.05; touch up; done"
    if "if " in ready or "exit 1" in ready:
        return "if [ -e up ]; then echo ready; exit 0; else touch up; exit 1; fi"
    return "[ -e up ] || { touch up; false; }" if "||" in ready or "&&" in ready else "sleep 0.1"


def shapes() -> list[Shape]:
    """Every shape that services of the corpus have, each once."""
    found = set()
    for real in REAL:
        try:
            definitions = loader.definitions(loader.read(real.file, lenient=True))
        except InvalidFile:
            continue
        found |= {shape_of(one.start, one.ready, one.stop) for one in definitions.services}
    return sorted(found)


async def test_services_of_every_shape_start_get_ready_and_leave_nothing() -> None:
    """What goes on is RUNNING; what only leaves children behind has stopped, and they end with a stop."""
    known = shapes()
    assert len(known) > 10
    entries = [
        service(f"s{number}", one.start, ready=one.ready, stop=one.stop) for number, one in enumerate(known)
    ]
    async with bench() as made:
        lives = await made.define(*entries)
        host = made.engine.services
        for live in lives:
            host.start(live, "a test")
        with anyio.fail_after(PATIENCE):
            for live, shape in zip(lives, known, strict=True):
                cause = await host.until_ready(live)
                if shape.lasts:
                    assert (cause, live.phase) == (None, Phase.RUNNING), shape
                else:
                    assert live.phase in {Phase.RUNNING, Phase.STOPPED}, shape
        for live in lives:
            host.stop(live, "a test")
        with anyio.fail_after(PATIENCE):
            for live, shape in zip(lives, known, strict=True):
                assert await host.until_rest(live) is Phase.STOPPED, (shape, live.progress.cause)
        for live in lives:
            assert await made.pids(live) == []

        async def nothing_is_left() -> bool:
            return not await made.engine.leftovers()

        await until(nothing_is_left, "nothing is left behind")
