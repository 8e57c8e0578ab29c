"""`run --dry-run`: the whole way through the engine with nothing started, nothing kept; and on real files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from phased.contract.base import from_json
from phased.contract.execution import TaskExecution
from phased.contract.execution import TaskExecutionPhase as Phase
from tests.cli.program import Program
from tests.shared import SHARED, needs_shared

FILE = "tasks:\n  build:\n    command: exit 3\n    dependsOn: [gen]\n  gen:\n    command: touch made\n"


def test_it_starts_and_keeps_nothing(phased: Program) -> None:
    """It starts and keeps nothing."""
    phased.write(FILE)
    result = phased.call("run", "build", "--dry-run")
    assert (result.returncode, result.stdout) == (0, "")
    lines = result.stderr.splitlines()
    assert lines[0].startswith("build: gen > build [")
    assert [line.split(" in ")[0] for line in lines[1:3]] == ["gen: succeeded", "build: succeeded"]
    assert not (phased.workspace / "made").exists()
    assert not phased.state.exists()


def test_several_references_are_told_apart(phased: Program) -> None:
    """Several references are told apart."""
    phased.write(FILE)
    lines = phased.call("run", "build", "gen", "--dry-run").stderr
    assert "build/gen: succeeded" in lines
    assert "gen/gen: succeeded" in lines


def test_json_is_one_execution_a_line_and_always_the_last(phased: Program) -> None:
    """Json is one execution a line and always the last."""
    phased.write(FILE)
    result = phased.call("run", "build", "gen", "--dry-run", "-o", "json")
    assert (result.returncode, result.stderr) == (0, "")
    found = [from_json(TaskExecution, line) for line in result.stdout.splitlines()]
    last = {one.id: one for one in found}
    assert len(last) == 2
    for one in last.values():
        assert one.status is not None
        assert one.status.phase is Phase.SUCCEEDED
    versions = [one.status.status_version or 0 for one in found if one.status and one.id == found[0].id]
    assert versions == sorted(set(versions))


def test_quiet_says_nothing(phased: Program) -> None:
    """Quiet says nothing."""
    phased.write(FILE)
    result = phased.call("run", "build", "--dry-run", "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_yaml_is_one_document_a_change(phased: Program) -> None:
    """Yaml is one document a change."""
    phased.write(FILE)
    documents = list(yaml.safe_load_all(phased.call("run", "build", "--dry-run", "-o", "yaml").stdout))
    assert documents[-1]["status"]["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"


def valid_files() -> list[str]:
    """Corpus files that load and whose tasks need no service and no container, some of each size."""
    index = SHARED / "corpus" / "index.csv"
    if not index.is_file():
        return []
    with index.open(newline="") as opened:
        rows = [
            row
            for row in csv.DictReader(opened)
            if row["verdict"] == "valid" and int(row["n_tasks"] or 0) > 0
        ]
    rows = [
        row for row in rows if "schema:violation" not in row["features"] and "docker" not in row["features"]
    ]
    return [f"{row['repo'].replace('/', '__')}.yaml" for row in rows][::60]


@needs_shared
@pytest.mark.parametrize("name", valid_files() or ["none"])
def test_real_files_go_through_the_motions(phased: Program, name: str) -> None:
    """Real files go through the motions."""
    file = SHARED / "corpus" / name
    if not file.is_file():
        pytest.skip(f"{name} is not in the corpus")
    planned = phased.call("plan", "-f", str(file), "-o", "json")
    assert planned.returncode == 0, planned.stderr
    references = [entry["reference"] for entry in json.loads(planned.stdout)]
    result = phased.call("run", "-f", str(file), "--dry-run", "-o", "json", "--", *references)
    if "does not run" in result.stderr:
        assert result.returncode == 1
        return
    assert result.returncode == 0, result.stderr
    last = {entry["id"]: entry for entry in map(json.loads, result.stdout.splitlines())}
    assert len(last) == len(references)
    assert not Path(phased.state).exists()
