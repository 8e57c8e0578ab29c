"""The rounds: everybody once, then everybody again, each time in a fresh folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from benchmarks.contenders import Contender, Floor, Steady, Whole, steady
from benchmarks.rows import Row, row
from benchmarks.running import Cost, run
from benchmarks.workloads import SHELL, Workload

Measure = Callable[[Path], Cost]
MEBIBYTE = 1 << 20
OUTPUT_LIMIT, VERSION_LIMIT = 1.7, 4.0
_GROWTH = 16 * 1024
"""KiB that the peak of memory may grow by while output passes, to count as flat."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where state and logs lie."""

    name: str
    folder: Path


@dataclass(slots=True)
class Rounds:
    """How often to measure, and where. What is made is removed by who made `folder`, at the end.

    Not in between: deleting many files makes the next creations slow on ext4.
    """

    places: Sequence[Place]
    rounds: int

    def work(self, workload: Workload, floor: Floor | None, others: Sequence[Contender]) -> list[Row]:
        """Everybody at one workload."""
        contenders: list[Contender] = [*([floor] if floor else []), *others, Steady()]
        limits = {Steady().name: workload.steady_limit}
        if workload.whole_limit is not None:
            contenders.append(Whole())
            limits[Whole().name] = workload.whole_limit
        rows: list[Row] = []
        for place in self.places:
            by_name = {one.name: _does(one, workload) for one in contenders}
            costs = self._alternate(workload.title, place, by_name)
            floors = costs.get("floor", [])
            rows += [
                row((workload.title, place.name, name), costs[name], floors, limits.get(name))
                for name in by_name
            ]
        return rows

    def output(self, mebibytes: int) -> list[Row]:
        """Much output from one step, beside the same command redirected to a file."""
        title = f"{mebibytes} MiB of output from one step"
        command = f"head -c {mebibytes * MEBIBYTE} /dev/zero"
        peaks: dict[str, list[int]] = {"before": [], "after": []}

        def redirected(folder: Path) -> Cost:
            return run([SHELL, "-c", command], folder, output=folder / "output")

        def captured(folder: Path) -> Cost:
            file = f"tasks:\n  warm:\n    command: 'true'\n  all:\n    command: {command}\n"
            cost, found = steady(file, "all", 1, folder)
            peaks["before"].append(found["peak_before"])
            peaks["after"].append(found["peak_engine"] + found["peak_supervisor"])
            return cost

        rows: list[Row] = []
        for place in self.places:
            names = {"redirected": redirected, Steady().name: captured}
            costs = self._alternate(title, place, names)
            floors = costs["redirected"]
            rows.append(row((title, place.name, "redirected"), floors, floors))
            rows.append(row((title, place.name, Steady().name), costs[Steady().name], floors, OUTPUT_LIMIT))
        growth = max(after - before for before, after in zip(peaks["before"], peaks["after"], strict=True))
        flat = ("memory while it passes", "KiB more at the peak", Steady().name)
        rows.append(Row(*flat, 0.0, 0.0, growth / _GROWTH, 1.0, max(peaks["after"])))
        return rows

    def start_up(self) -> list[Row]:
        """`phased --version` beside Python that does nothing."""
        title = "start-up of the command line"
        program = str(Path(sys.executable).with_name("phased"))
        names: dict[str, Measure] = {
            "python -c pass": lambda folder: run([sys.executable, "-c", "pass"], folder),
            "phased --version": lambda folder: run([program, "--version"], folder),
            "phased --help": lambda folder: run([program, "--help"], folder),
        }
        costs = self._alternate(title, self.places[0], names, times=3)
        floors = costs["python -c pass"]
        limits = {"phased --version": VERSION_LIMIT}
        return [row((title, "", name), costs[name], floors, limits.get(name)) for name in names]

    def _alternate(
        self, title: str, place: Place, contenders: Mapping[str, Measure], times: int = 1
    ) -> dict[str, list[Cost]]:
        costs: dict[str, list[Cost]] = {name: [] for name in contenders}
        for number in range(self.rounds * times):
            print(f"{title}, {place.name}: {number + 1}/{self.rounds * times}", file=sys.stderr, flush=True)
            for name, measure in contenders.items():
                costs[name].append(measure(_fresh(place)))
        return costs


def _does(contender: Contender, workload: Workload) -> Measure:
    return lambda folder: contender.measure(workload, folder)


_numbers = count(1)


def _fresh(place: Place) -> Path:
    """An empty folder. Short names: the path of a socket in it must stay below 107 bytes."""
    folder = place.folder / str(next(_numbers))
    folder.mkdir()
    return folder
