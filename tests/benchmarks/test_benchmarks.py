"""The benchmarks run, and their table has every row. How fast anything is, is no test's business."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.contenders import ROOT
from benchmarks.rows import Row, row, table
from benchmarks.running import Cost
from benchmarks.workloads import workloads

DEADLINE = 240


def test_a_quick_run_prints_every_row(tmp_path: Path) -> None:
    """`python -m benchmarks --quick --json FILE`: every shape, every limit."""
    answer = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--no-others", "--json", str(answer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert done.returncode == 0, done.stderr
    rows = json.loads(answer.read_text(encoding="utf-8"))
    has_floor = bool(shutil.which("gcc") or shutil.which("cc"))
    whats = {one["what"] for one in rows}
    assert whats >= {workload.title for workload in workloads(0.1)}
    for workload in workloads(0.1):
        who = {one["who"] for one in rows if one["what"] == workload.title}
        assert who >= {"phased, engine up"} | ({"floor"} if has_floor else set())
    limited = [one for one in rows if one["limit"] is not None]
    assert len(limited) == 4 + 1 + 1 + 1 + 1  # shapes, whole process, output, memory, start-up
    assert all(one["seconds"] > 0 for one in rows if one["what"] != "memory while it passes")
    assert all(one["who"] in done.stdout for one in rows)


def test_a_ratio_is_the_median_over_rounds_and_is_held_against_its_limit() -> None:
    """Ratios 3, 1 and 2 against a limit of 1.5: missed."""
    costs = [Cost(3.0, 0.1), Cost(2.0, 0.1), Cost(8.0, 0.1)]
    floors = [Cost(1.0, 0.1), Cost(2.0, 0.1), Cost(4.0, 0.1)]

    found = row(("steps", "tmpfs", "us"), costs, floors, 1.5)

    assert (found.seconds, found.ratio, found.met) == (3.0, 2.0, False)
    assert "MISSED" in table([found])


def test_without_a_floor_there_is_no_ratio_and_no_verdict() -> None:
    """Where there is no C compiler."""
    found = row(("steps", "tmpfs", "us"), [Cost(3.0, 0.1)], [], 1.5)

    assert (found.ratio, found.met) == (None, None)
    assert isinstance(found, Row)


def test_layers_need_all_of_the_layer_before() -> None:
    """In the automations file, by name."""
    layers = next(one for one in workloads(0.1) if "layers" in one.title)
    groups = list(layers.names())

    text = layers.automations()

    assert f"  {groups[1][0]}:\n    command: 'true'\n    dependsOn: [{', '.join(groups[0])}]\n" in text


def test_recovery_is_measured(tmp_path: Path) -> None:
    """`python -m benchmarks.recovery --quick --json FILE`: all steps were running again, each time."""
    answer = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.recovery", "--quick", "--json", str(answer)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)

    assert done.returncode == 0, done.stderr
    assert [one["unit"] for one in json.loads(answer.read_text(encoding="utf-8"))] == ["s"] * 6 + [""]
