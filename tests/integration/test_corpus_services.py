"""Services of real files, their commands replaced by harmless ones of the same shape, over real processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import anyio
import pytest

from phased import loader
from phased.contract.definitions import Definitions
from phased.contract.service import ServicePhase as Phase
from phased.core.firing import Result
from phased.engine.triggers.live import LiveFiring
from phased.errors import InvalidFile
from tests.engine.domain import ORIGIN
from tests.engine.domain import bench as domain_bench
from tests.engine.services.bench import PATIENCE, bench, folder, service, until
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
    lines = _lines(start)
    if "|" in last and lasts:
        lines.append("sleep 1000 | cat")
    elif "trap " in start and lasts:
        lines.append("sleep 1000 & wait")
    elif lasts:
        lines.append(
            "exec sleep 1000" if re.search(r"^\s*exec ", start, re.MULTILINE) else "sleep 1000; true"
        )
    return Shape("\n".join(lines), _ready(ready), "touch stopped" if stop else "", lasts)


def _lines(script: str) -> list[str]:
    """What stands before the end."""
    shapes = (
        ("set -e" in script, "set -eu"),
        (LOOP.search(script), "until [ -e warm ]; do touch warm; sleep 0.05; done"),
        ("trap " in script, "trap 'exit 0' TERM INT"),
        (BACKGROUND.search(script), "sleep 1000 &"),
        (DETACHED.search(script), "setsid sleep 1000 &"),
    )
    return [line for has_it, line in shapes if has_it]


def _ready(ready: str) -> str:
    if not ready:
        return ""
    if LOOP.search(ready):
        return "until [ -e up ]; do sleep 0.05; touch up; done"
    if "if " in ready or "exit 1" in ready:
        return "if [ -e up ]; then echo ready; exit 0; else touch up; exit 1; fi"
    return "[ -e up ] || { touch up; false; }" if "||" in ready or "&&" in ready else "sleep 0.1"


def files() -> Iterator[tuple[str, Definitions]]:
    """The files of the corpus that hold services and can be read."""
    for real in REAL:
        try:
            definitions = loader.definitions(loader.read(real.file, lenient=True))
        except InvalidFile:
            continue
        if definitions.services:
            yield real.file.stem, definitions


def shapes() -> list[Shape]:
    """Every shape that services of the corpus have, each once."""
    services = [one for _, definitions in files() for one in definitions.services]
    return sorted({shape_of(one.start, one.ready, one.stop) for one in services})


def harmless(found: Definitions) -> Definitions:
    """The same graph with the same triggers; its commands do nothing, in the same shape, on this machine."""
    tasks = [
        one.model_copy(update={"command": "\n".join([*_lines(one.command), "true"]), "runs_on": None})
        for one in found.tasks
    ]
    services = []
    for one in found.services:
        shape = shape_of(one.start, one.ready, one.stop)
        more = {"start": shape.start, "ready": shape.ready, "stop": shape.stop}
        services.append(one.model_copy(update={**more, "runs_on": None, "readiness_timeout": None}))
    return Definitions(tasks=tuple(tasks), services=tuple(services))


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


async def test_whole_files_are_fired_each_in_an_environment_of_its_own() -> None:
    """All that their triggers name, with what that needs; then the services are stopped: nothing is left."""
    real = dict(files())
    assert len(real) > 50
    lasts = {
        (name, one.reference): shape_of(one.start, one.ready, one.stop).lasts
        for name, definitions in real.items()
        for one in definitions.services
    }
    async with folder() as path, domain_bench(path, real=True) as made:
        domain, services = made.domain, made.domain.engine.services
        fired: dict[str, LiveFiring] = {}
        for name, definitions in real.items():
            environment = (await made.create()).id
            await domain.automations.apply(environment, harmless(definitions), ORIGIN)
            named = [one.triggered_by for one in definitions.tasks]
            named += [one.triggered_by for one in definitions.services]
            triggers = sorted({trigger for some in named for trigger in some})
            fired[name] = await domain.firings.fire(environment, triggers or ["manual"], ORIGIN)
        with anyio.fail_after(2 * PATIENCE):
            for name, live in fired.items():
                await live.done.wait()
                for part in live.record.parts:
                    if not part.is_service or lasts[name, part.reference]:
                        assert part.result is Result.SUCCEEDED, (name, part)
        for one in services.all():
            services.stop(one, "a test")
        with anyio.fail_after(2 * PATIENCE):
            for one in services.all():
                assert await services.until_rest(one) is Phase.STOPPED, (one.reference, one.progress.cause)
        await domain.engine.end_leftovers()
        assert not await domain.engine.leftovers()
