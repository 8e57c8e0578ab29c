"""`python -m benchmarks [--quick] [--rounds N] [--only TEXT] [--disk DIR] [--json FILE] [--fetch-tools]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import Contender, Floor, compile_floor, fetch_tools, others
from benchmarks.rounds import Place, Rounds
from benchmarks.rows import Row, table
from benchmarks.running import Failed
from benchmarks.workloads import workloads

_MEMORY = "/dev/shm"


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure phased beside others.")
    parser.add_argument("--quick", action="store_true", help="small numbers, in memory only: does it run?")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (default 7)")
    parser.add_argument("--only", default="", help="only workloads whose title holds this text")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="a folder on the disk to measure")
    parser.add_argument("--no-disk", action="store_true", help="in memory only")
    parser.add_argument("--no-others", action="store_true", help="the floor and phased only")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    parser.add_argument(
        "--fetch-tools", action="store_true", help="install go-task and just into .cache/bench"
    )
    return parser.parse_args(given)


def _measure(options: argparse.Namespace, rounds: Rounds, floor: Floor | None) -> list[Row]:
    tools: list[Contender] = [] if options.no_others else others()
    rows: list[Row] = []
    for workload in workloads(0.1 if options.quick else 1.0):
        if options.only in workload.title:
            rows += rounds.work(workload, floor, tools)
    if options.only in "output":
        rows += rounds.output(16 if options.quick else 1024)
    if options.only in "start-up":
        rows += rounds.start_up()
    return rows


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; 0 also where a limit is missed, since another machine's noise is no failure."""
    options = _arguments(given)
    try:
        if options.fetch_tools:
            fetch_tools()
        with ExitStack() as stack:
            places = [Place("tmpfs", _scratch(stack, Path(_MEMORY)))]
            if not (options.quick or options.no_disk):
                places.append(Place("disk", _scratch(stack, options.disk)))
            floor = compile_floor(places[0].folder)
            rounds = Rounds(places, options.rounds or (1 if options.quick else 7))
            rows = _measure(options, rounds, floor)
    except Failed as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    print(_machine(floor))
    print(table(rows))
    if options.json is not None:
        options.json.write_text(json.dumps([one.to_dict() for one in rows], indent=1), encoding="utf-8")
    return 0


def _scratch(stack: ExitStack, parent: Path) -> Path:
    parent = parent if parent.is_dir() else Path("/tmp")
    return Path(stack.enter_context(TemporaryDirectory(prefix="bench-", dir=parent)))


def _machine(floor: Floor | None) -> str:
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    lacks = "" if floor else "; no C compiler, so there is no floor and no ratio"
    return (
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {load}{lacks}"
    )


if __name__ == "__main__":
    sys.exit(main())
