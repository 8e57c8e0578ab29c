"""Real files, where they are at hand: what is right loads and plans, what is wrong is told in its place.

What is expected of a file is derived from its row in the index and from its own lines, so that nothing of
it has to be copied here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from phased import loader
from phased.core.specs import Catalog, environment_id, plan_executions
from phased.loader.fields import FILE, SERVICE, TASK
from phased.loader.shapes import Record
from tests.shared import SHARED

CORPUS = SHARED / "corpus"


@dataclass(frozen=True)
class Real:
    """One file of the corpus, with its row of the index."""

    file: Path
    row: dict[str, str]

    @property
    def features(self) -> set[str]:
        """What the index says is in it."""
        return set(self.row["features"].split(";"))

    @property
    def conforms(self) -> bool:
        """Whether it has to load as it is."""
        return self.row["verdict"] == "valid" and "schema:violation" not in self.features


def corpus() -> list[Real]:
    """Every file of the index; a second path of one repository has the path's ending in its name."""
    if not (CORPUS / "index.csv").is_file():
        return []
    with (CORPUS / "index.csv").open(newline="", encoding="utf-8") as index:
        return [Real(CORPUS / _file_name(row), row) for row in csv.DictReader(index)]


def _file_name(row: dict[str, str]) -> str:
    stem = row["repo"].replace("/", "__")
    folder, _, ending = row["path"].lstrip(".").replace("/automations", "").partition(".")
    special = f"{stem}__{folder}_{ending}.yaml"
    return special if (CORPUS / special).is_file() else f"{stem}.yaml"


REAL = corpus()
needs_corpus = pytest.mark.skipif(
    not REAL, reason=f"the corpus of real files is not at {CORPUS} (set PHASED_SHARED)"
)
pytestmark = needs_corpus


def of(*, conforms: bool) -> list[pytest.ParameterSet]:
    """Those that load as they are, or the others; one that is skipped where there are none."""
    chosen = [pytest.param(real, id=real.file.stem) for real in REAL if real.conforms is conforms]
    return chosen or [pytest.param(None, id="no corpus")]


def test_every_file_is_in_the_index() -> None:
    """So that none is left out by a wrong guess of its name."""
    named = [real.file for real in REAL]
    assert sorted(named) == sorted(CORPUS.glob("*.yaml"))


@pytest.mark.parametrize("real", of(conforms=True))
def test_what_conforms_loads_and_plans(real: Real) -> None:
    """Without a warning, with as many tasks and services as the index counts, and each task has its plan."""
    loaded = loader.read(real.file)
    assert loaded.render() == ""
    definitions = loader.definitions(loaded)
    assert len(definitions.tasks) == int(real.row["n_tasks"])
    assert len(definitions.services) == int(real.row["n_services"])
    catalog = Catalog(environment_id("/workspace"), definitions)
    planned = plan_executions(catalog)
    assert [execution.reference for execution in planned] == [task.reference for task in definitions.tasks]
    for execution in planned:
        labels = [step.label for group in execution.spec.plan for step in group.steps]
        assert labels.count(execution.reference) == 1
        assert labels[-1] == execution.reference


@pytest.mark.parametrize("real", of(conforms=True))
def test_what_conforms_is_portable(real: Real) -> None:
    """Files of others use no extensions."""
    assert loader.read(real.file, portable=True).valid


@pytest.mark.parametrize("real", of(conforms=False))
def test_what_violates_is_told_in_its_place(real: Real) -> None:
    """Every unknown key has a diagnostic at its own place, with a hint; each text is where it says."""
    loaded = loader.read(real.file)
    lines = real.file.read_text(encoding="utf-8").splitlines()
    assert not loaded.valid
    if real.row["verdict"] == "invalid":
        [fault] = loaded.diagnostics
        assert fault.message.startswith("cannot parse the YAML: ")
        assert fault.hint
        assert fault.text.removesuffix("...") in lines[fault.line - 1]
        return
    for found in loaded.diagnostics:
        assert found.hint, found
        if f"`{found.text}`" in found.message:
            assert lines[found.line - 1][found.column - 1 :].lstrip("'\"").startswith(found.text)
    told = {(found.path, found.line) for found in loaded.errors}
    expected = set(_unknown_keys(real))
    assert expected <= told
    if "s:list-form" in real.features:
        assert any("a list for `" in found.message for found in loaded.errors)


@pytest.mark.parametrize("real", of(conforms=False))
def test_what_has_unknown_keys_alone_loads_when_lenient(real: Real) -> None:
    """And everything else stays an error."""
    strict, lenient = loader.read(real.file), loader.read(real.file, lenient=True)
    unknown = [found for found in strict.errors if "cannot use the key" in found.message]
    assert lenient.valid is (len(unknown) == len(strict.errors))
    assert len(lenient.diagnostics) == len(strict.diagnostics)
    if lenient.valid:
        plan_executions(Catalog(environment_id("/workspace"), loader.definitions(lenient)))


def test_the_kinds_of_faults_and_their_hints() -> None:
    """Each kind that real files have is met by a hint of its own."""
    hints: dict[str, list[str]] = {}
    for real in REAL:
        for found in loader.read(real.file).errors:
            hints.setdefault(found.path.rpartition(".")[2], []).append(found.hint)
    for key, word in {
        "init": "dependsOn",
        "triggerBy": "triggeredBy",
        "ready": "under `commands:`",
        "command": "commands",
        "commands": "command",
        "automations": "tasks",
        "version": "remove",
        "tasks": "instead of the list",
    }.items():
        assert any(word in hint for hint in hints[key]), key


def _unknown_keys(real: Real) -> Iterator[tuple[str, int]]:
    """Path and line of the keys that no table knows, by a plain reading of the file."""
    root = yaml.compose(real.file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value not in _names(FILE):
            yield key.value, key.start_mark.line + 1
            continue
        entry = TASK if key.value == "tasks" else SERVICE
        for place, body in _bodies(key.value, value):
            for name, _ in body.value if isinstance(body, yaml.MappingNode) else []:
                if name.value not in _names(entry):
                    yield f"{place}.{name.value}", name.start_mark.line + 1


def _bodies(section: str, value: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(value, yaml.SequenceNode):
        yield from ((f"{section}[{number}]", body) for number, body in enumerate(value.value))
    elif isinstance(value, yaml.MappingNode):
        yield from ((f"{section}.{key.value}", body) for key, body in value.value)


def _names(record: Record) -> set[str]:
    return {field.name for field in record.fields}


def test_no_content_of_the_corpus_is_in_the_project() -> None:
    """The files belong to others; long lines of theirs in ours would be a copy."""
    theirs = {
        line.strip()
        for real in REAL
        for line in real.file.read_text(encoding="utf-8").splitlines()
        if len(line.strip()) > 60 and not re.match(r"#|http", line.strip())
    }
    for file in Path(__file__).parent.glob("*.py"):
        assert not theirs & {line.strip() for line in file.read_text(encoding="utf-8").splitlines()}
