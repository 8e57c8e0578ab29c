"""Who does the work: the floor, other tools where they are installed, and this project in two ways.

Each one writes what it needs into a fresh folder first; only what follows is measured.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from benchmarks.running import Cost, Failed, run
from benchmarks.workloads import COMMAND, SHELL, Workload

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".cache" / "bench"
"""A virtual environment of its own for tools that come as Python packages."""
PACKAGES = ("go-task-bin", "rust-just")
_STEP = f"{COMMAND} > {{name}}.log 2>&1"


class Contender(Protocol):
    """One way to get the work done."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """Do it in a fresh, empty folder. Raises Failed."""


@dataclass(frozen=True, slots=True)
class Floor:
    """A C program that does no more than posix_spawn and waitpid."""

    program: Path
    name: str = "floor"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        sizes = [str(size) for size in workload.groups]
        return run([str(self.program), str(workload.at_once), str(folder), COMMAND, *sizes], folder)


@dataclass(frozen=True, slots=True)
class Make:
    """GNU make."""

    program: str
    name: str = "make"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        names = [name for group in workload.names() for name in group]
        lines = [f"SHELL = {SHELL}", ".SUFFIXES:", f".PHONY: all {' '.join(names)}"]
        for target, needs in _joined(workload):
            recipe = [] if target.startswith("all") else ["\t@" + _STEP.format(name=target)]
            lines += [f"{target}: {' '.join(needs)}", *recipe]
        (folder / "Makefile").write_text("\n".join([*lines, ""]), encoding="ascii")
        return run([self.program, "-rs", f"-j{workload.at_once}", "all"], folder)


@dataclass(frozen=True, slots=True)
class Ninja:
    """ninja."""

    program: str
    name: str = "ninja"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        lines = ["rule step", f"  command = {COMMAND} > $out.log 2>&1"]
        for target, needs in _joined(workload):
            rule = "phony" if target.startswith("all") else "step"
            lines.append(f"build {target}: {rule} {' '.join(needs)}")
        (folder / "build.ninja").write_text("\n".join([*lines, ""]), encoding="ascii")
        return run([self.program, "--quiet", f"-j{workload.at_once}", "all"], folder)


@dataclass(frozen=True, slots=True)
class Just:
    """just, with its attribute for parallel dependencies."""

    program: str
    name: str = "just"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        lines = [f'set shell := ["{SHELL}", "-c"]']
        for target, needs in _joined(workload):
            parallel = ["[parallel]"] if len(needs) > 1 else []
            recipe = [] if target.startswith("all") else ["    @" + _STEP.format(name=target)]
            lines += [*parallel, f"{target}: {' '.join(needs)}", *recipe]
        (folder / "justfile").write_text("\n".join([*lines, ""]), encoding="ascii")
        return run([self.program, f"--jobs={workload.at_once}", "all"], folder)


@dataclass(frozen=True, slots=True)
class GoTask:
    """go-task, with the same shell as the others instead of its own."""

    program: str
    name: str = "go-task"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        lines = ["version: '3'", "run: once", "silent: true", "tasks:"]
        for target, needs in _joined(workload):
            command = f"{SHELL} -c {COMMAND} > {target}.log 2>&1"
            lines += [f"  {target}:", f"    deps: [{', '.join(needs)}]"]
            lines += [] if target.startswith("all") else [f"    cmds: ['{command}']"]
        (folder / "Taskfile.yml").write_text("\n".join([*lines, ""]), encoding="ascii")
        return run([self.program, f"--concurrency={workload.at_once}", "all"], folder)


@dataclass(frozen=True, slots=True)
class Steady:
    """This project's engine, which is up and has run one step: from the start to the end of an execution."""

    name: str = "phased, engine up"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        cost, found = steady(workload.automations(), "all", workload.at_once, folder)
        return replace(cost, peak=found["peak_engine"] + found["peak_supervisor"])


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole process `phased run`, its start and the supervisor's included."""

    name: str = "phased run"

    def measure(self, workload: Workload, folder: Path) -> Cost:
        """As above."""
        (folder / "automations.yaml").write_text(workload.automations(), encoding="ascii")
        argv = [sys.executable, "-m", "phased", "--directory", ".", "--file", "automations.yaml"]
        argv += ["--state-dir", "state", "run", "all", "--max-parallel", str(workload.at_once)]
        return run(argv, folder, {"PHASED_RUN_SHELL": SHELL})


def steady(automations: str, task: str, at_once: int, folder: Path) -> tuple[Cost, dict[str, int]]:
    """Have `phased_steady` run a task of a file; what it cost, and the peaks in KiB. Raises Failed."""
    (folder / "automations.yaml").write_text(automations, encoding="ascii")
    answer = folder.with_name(f"{folder.name}.json")
    argv = [sys.executable, "-m", "benchmarks.phased_steady", str(folder), task, str(at_once), str(answer)]
    try:
        run(argv, folder, {"PYTHONPATH": str(ROOT), "PHASED_RUN_SHELL": SHELL})
        found = json.loads(answer.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise Failed(f"the engine gave no answer: {error}") from error
    return Cost(found.pop("seconds"), found.pop("processor")), found


def others() -> list[Contender]:
    """The other tools that are installed here."""
    found: list[Contender] = []
    for kind, program in ((Make, "make"), (Ninja, "ninja"), (Just, "just"), (GoTask, "task")):
        path = shutil.which(program, path=str(TOOLS / "bin")) or shutil.which(program)
        if path is not None:
            found.append(kind(path))
    return found


def fetch_tools() -> None:
    """Install the tools that come as Python packages into `TOOLS`. Raises Failed."""
    TOOLS.parent.mkdir(exist_ok=True)
    log = TOOLS.with_name("bench.log")
    run([sys.executable, "-m", "venv", str(TOOLS)], ROOT, output=log)
    quiet = ["--quiet", "--disable-pip-version-check"]
    run([str(TOOLS / "bin" / "pip"), "install", *quiet, *PACKAGES], ROOT, output=log)


def compile_floor(folder: Path) -> Floor | None:
    """The floor, where there is a C compiler. Raises Failed."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "floor"
    run(
        [compiler, "-O2", "-Wall", "-o", str(program), str(Path(__file__).with_name("floor.c"))],
        folder,
        output=folder / "floor.log",
    )
    return Floor(program)


def _joined(workload: Workload) -> list[tuple[str, list[str]]]:
    """Every target with what it needs, `all` first; between two groups stands a target that joins them."""
    groups = list(workload.names())
    joins = [f"all{number}" for number in range(len(groups) - 1)] + ["all"]
    found: list[tuple[str, list[str]]] = []
    before: list[str] = []
    for group, join in zip(groups, joins, strict=True):
        single = len(group) == 1 and join != "all"
        found += [(name, before) for name in group]
        if not single:
            found.append((join, group))
        before = group if single else [join]
    return [found[-1], *found[:-1]]
