"""`phased validate` and `phased schema` as a script sees them: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from phased import loader

RIGHT = "tasks:\n  build: {command: make}\nservices:\n  db: {commands: {start: serve}}\n"
WRONG = "tasks:\n  build: {comand: make}\n"
EXTENDED = "tasks:\n  build: {command: make, timeout: 5s}\n"


def phased(*arguments: str, directory: Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the program; its whole output."""
    return subprocess.run(
        [sys.executable, "-m", "phased", *arguments],
        cwd=directory,
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory with one file of each sort."""
    for name, text in (("right.yaml", RIGHT), ("wrong.yaml", WRONG), ("extended.yaml", EXTENDED)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["right.yaml"], 0),
        (["wrong.yaml"], 1),
        (["wrong.yaml", "--lenient"], 0),
        (["extended.yaml"], 0),
        (["extended.yaml", "--portable"], 1),
        (["missing.yaml"], 2),
        (["."], 2),
        ([], 2),
        (["right.yaml", "--no-such-option"], 2),
    ],
)
def test_exit_codes(workspace: Path, arguments: list[str], code: int) -> None:
    """0 valid, 1 invalid, 2 usage or unreadable; and never a traceback."""
    ended = phased("validate", *arguments, directory=workspace)
    assert ended.returncode == code, ended.stderr
    assert b"Traceback" not in ended.stderr
    if code == 2:
        assert b"cannot " in ended.stderr
        assert ended.stdout == b""


def test_text_has_a_line_for_each_error_and_its_hint(workspace: Path) -> None:
    """In the form that editors understand, on standard output: it is the answer."""
    ended = phased("validate", "wrong.yaml", directory=workspace)
    assert ended.stdout.decode().splitlines() == [
        "wrong.yaml:2:11: error: cannot use the key `comand` in a task",
        "    hint: did you mean `command`?",
    ]


def test_a_valid_file_is_counted(workspace: Path) -> None:
    """A word of success, unless quiet."""
    assert (
        phased("validate", "right.yaml", directory=workspace).stdout
        == b"right.yaml: valid: 1 task, 1 service\n"
    )
    assert phased("validate", "right.yaml", "-q", directory=workspace).stdout == b""


def test_json_is_what_the_reference_fixes(workspace: Path) -> None:
    """File, whether it is valid, and diagnostics with six facts each."""
    ended = phased("-o", "json", "validate", "wrong.yaml", directory=workspace)
    assert json.loads(ended.stdout) == {
        "file": "wrong.yaml",
        "valid": False,
        "diagnostics": [
            {
                "severity": "error",
                "line": 2,
                "column": 11,
                "path": "tasks.build.comand",
                "message": "cannot use the key `comand` in a task",
                "hint": "did you mean `command`?",
            }
        ],
    }
    valid = json.loads(phased("validate", "right.yaml", "-o", "json", directory=workspace).stdout)
    assert valid == {"file": "right.yaml", "valid": True, "diagnostics": []}


def test_standard_input_and_the_workspaces_own_file(workspace: Path) -> None:
    """`-` reads what is given; without a name the workspace is searched."""
    assert phased("validate", "-", directory=workspace, given=WRONG.encode()).returncode == 1
    assert phased("validate", "-", directory=workspace, given=b"\xff").returncode == 1
    (workspace / ".ona").mkdir()
    (workspace / ".ona" / "automations.yml").write_text(RIGHT)
    found = phased("validate", directory=workspace)
    assert found.returncode == 0
    assert b".ona/automations.yml: valid" in found.stdout


def test_schema_is_printed_as_json(tmp_path: Path) -> None:
    """The same that the library gives."""
    ended = phased("schema", directory=tmp_path)
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == loader.schema()


def test_importing_the_loader_imports_nothing_heavy(tmp_path: Path) -> None:
    """The parser and the contract come with the first file that is read."""
    check = (
        "import sys, phased.loader; print([m for m in ('yaml', 'pydantic', 'networkx') if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, timeout=120, check=True, text=True
    )
    assert ended.stdout == "[]\n"


def test_a_file_without_dependencies_needs_no_graphs(tmp_path: Path) -> None:
    """Most files: networkx alone would take longer than everything else."""
    check = (
        "import sys; from phased import loader; "
        "loader.read(None, text=b'tasks: {a: {}}'); print('networkx' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, timeout=120, check=True, text=True
    )
    assert ended.stdout == "False\n"
