"""The command line as a whole: options, errors, exit codes, and what is imported for what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from phased import __version__, errors
from phased.cli.application import EXIT_CODES, VERBS, application, exit_code
from tests.cli.program import Program

FILE = (
    "tasks:\n  build:\n    command: echo built\n    dependsOn: [gen]\n  gen:\n    command: echo generated\n"
)

HEAVY = (
    "anyio", "asyncio", "cryptography", "httpx", "networkx", "psutil", "pydantic", "rich", "sqlite3",
    "starlette",
    "structlog", "yaml",
)  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["executions", "--help"]]
)
def test_help_and_version_import_nothing_heavy(phased: Program, arguments: list[str]) -> None:
    """Help and version import nothing heavy."""
    code = (
        "import sys; from phased.cli import main; code = main(sys.argv[1:]);"
        f"found = sorted(set(sys.modules) & set({HEAVY!r})); print(found, file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=phased.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr.strip()) == (0, "[]")


def test_version_does_not_even_import_click(phased: Program) -> None:
    """Version does not even import click."""
    code = "import sys; from phased.cli import main; main(['--version']); sys.exit('click' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=phased.environment(), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, f"phased {__version__}\n")


def test_every_verb_has_help_with_the_common_options(phased: Program) -> None:
    """Every verb has help with the common options."""
    for verb in VERBS:
        result = phased.call(verb, "--help")
        assert result.returncode == 0, result.stderr
        if verb != "config":
            assert "--state-dir" in result.stdout, verb
    assert "Examples:\n    phased run build\n" in phased.call("run", "--help").stdout


def test_the_table_of_verbs_is_what_there_is() -> None:
    """The table of verbs is what there is."""
    context = click.Context(application)
    for verb in VERBS:
        command = application.get_command(context, verb)
        assert command is not None
        assert command.name == verb


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Usage: phased"),
        (["nosuch"], 2, "cannot find a verb 'nosuch'; there are: validate, plan"),
        (["rnu"], 2, "did you mean run?"),
        (["plan", "--nosuch"], 2, "No such option"),
        (["-o", "xml", "plan"], 2, "'xml' is not one of"),
        (["run"], 2, "cannot run: name a task, or give --trigger; there are: build, gen"),
        (["run", "nosuch"], 2, "cannot find a task 'nosuch'; there are: build, gen"),
        (["run", "biuld"], 2, "did you mean build?"),
        (["run", "build", "--max-parallel", "0"], 2, "--max-parallel"),
        (["run", "--trigger", "prebiuld"], 2, "did you mean prebuild?"),
        (["plan", "nosuch"], 2, "cannot find a task 'nosuch'"),
        (["-C", "/no/such/place", "plan"], 2, "cannot use the workspace directory /no/such/place"),
        (["-f", "nosuch.yaml", "plan"], 2, "cannot find the file nosuch.yaml"),
        (["-f", ".", "plan"], 2, "cannot "),
        (["--config", "nosuch.toml", "plan"], 2, "cannot read the settings in nosuch.toml"),
        (["executions", "--sort", "crated"], 2, "did you mean createdAt?"),
        (["executions", "--sort", "createdAt:up"], 2, "asc or desc"),
        (["executions", "01234567"], 4, "cannot find an execution 01234567"),
        (["logs", "build"], 4, "cannot find an execution 'build'"),
        (["logs"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_says_so_with_its_exit_code(
    phased: Program, arguments: list[str], code: int, said: str
) -> None:
    """What cannot be done says so with its exit code."""
    phased.write(FILE)
    result = phased.call(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_every_kind_of_error_has_an_exit_code() -> None:
    """Every kind of error has an exit code."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PhasedError)
    ]
    for kind in kinds:
        assert exit_code(kind.__new__(kind)) in {1, 2, 4}, kind
    assert set(EXIT_CODES) <= set(kinds)


@pytest.mark.parametrize("placed", ["before", "after", "both"])
def test_options_stand_before_or_after_the_verb(phased: Program, placed: str) -> None:
    """The last one counts."""
    options = ["-f", "-", "-o", "json"]
    wrong = ["-f", "nosuch.yaml", "-o", "text"]
    arguments = {
        "before": [*options, "plan", "build"],
        "after": ["plan", "build", *options],
        "both": [*wrong, "plan", *options, "build"],
    }[placed]
    result = phased.call(*arguments, stdin=FILE)
    assert result.returncode == 0, result.stderr
    assert [entry["reference"] for entry in json.loads(result.stdout)] == ["build"]


def test_an_invalid_file_is_1_with_every_error_at_its_place(phased: Program) -> None:
    """An invalid file is 1 with every error at its place."""
    phased.write("tasks:\n  a:\n    comand: echo\n    dependsOn: [b]\n")
    for verb in (["plan"], ["run", "a"], ["validate"]):
        result = phased.call(*verb)
        assert result.returncode == 1
        said = result.stderr + result.stdout
        assert ":3:5: error: " in said
        assert ":4:17: error: " in said
        assert "Traceback" not in said


def test_lenient_turns_unknown_keys_into_warnings(phased: Program) -> None:
    """Lenient turns unknown keys into warnings."""
    phased.write("tasks:\n  a:\n    command: echo\n    colour: red\n")
    assert phased.call("plan").returncode == 1
    result = phased.call("plan", "--lenient")
    assert (result.returncode, result.stdout) == (0, "a: 1 step in 1 group\n  1. a\n")
    assert "warning" in result.stderr
    assert phased.call("plan", "--lenient", "-q").stderr == ""


def test_a_reader_that_leaves_is_no_error_to_look_at(phased: Program) -> None:
    """A reader that leaves is no error to look at."""
    process = phased.start("completion", "bash", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=60)
    assert said == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_answer_that_cannot_be_written_is_an_error(phased: Program) -> None:
    """An answer that cannot be written is an error."""
    phased.write(FILE)
    with Path("/dev/full").open("w") as full:
        process = phased.start("plan", stdout=full)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "phased: cannot write the answer: No space left on device\n")


def test_closed_descriptors_are_no_error(phased: Program) -> None:
    """Closed descriptors are no error."""
    phased.write(FILE)
    script = 'exec "$0" -m phased run build --dry-run <&- >&- 2>&-'
    result = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        cwd=phased.workspace,
        env=phased.environment(),
        check=False,
        timeout=60,
    )
    assert result.returncode == 0


def test_plan_as_text(phased: Program) -> None:
    """Plan as text."""
    phased.write(FILE)
    assert phased.call("plan", "build").stdout == "build: 2 steps in 2 groups\n  1. gen\n  2. build\n"
    assert phased.call("plan").stdout.count("group") == 2


def test_plan_as_values_is_the_same_each_time(phased: Program) -> None:
    """Plan as values is the same each time."""
    phased.write(FILE)
    first = phased.call("plan", "build", "-o", "json").stdout
    assert first == phased.call("plan", "--format", "json", "build").stdout
    (entry,) = json.loads(first)
    assert [[step["label"] for step in group["steps"]] for group in entry["spec"]["plan"]] == [
        ["gen"],
        ["build"],
    ]
    assert yaml.safe_load(phased.call("plan", "build", "-o", "yaml").stdout) == [entry]


def test_plan_as_graphs(phased: Program) -> None:
    """Plan as graphs."""
    phased.write(FILE + "services:\n  db:\n    commands: {start: sleep 9}\n")
    dot = phased.call("plan", "build", "--format", "dot").stdout
    assert dot.startswith("digraph plan {")
    assert '"0/gen" -> "0/build";' in dot
    mermaid = phased.call("plan", "build", "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart LR\n")
    assert "e0s0 --> e0s1" in mermaid


def test_planning_what_needs_a_service_works(phased: Program) -> None:
    """Planning what needs a service works."""
    phased.write(
        "tasks:\n  a: {command: echo, dependsOn: [db]}\nservices:\n  db: {commands: {start: sleep 9}}\n"
    )
    assert "  1. db (service)\n  2. a\n" in phased.call("plan", "a").stdout


def test_a_trigger_plans_its_tasks_and_names_its_services(phased: Program) -> None:
    """A trigger plans its tasks and names its services."""
    phased.write(
        "tasks:\n  a: {command: echo, triggeredBy: [prebuild]}\n  b: {command: echo}\n"
        "services:\n  db: {commands: {start: sleep 9}, triggeredBy: [prebuild]}\n"
    )
    result = phased.call("plan", "--trigger", "prebuild")
    assert result.stdout == "a: 1 step in 1 group\n  1. a\n"
    assert "db" in result.stderr
    nothing = phased.call("run", "--trigger", "beforeSnapshot")
    assert (nothing.returncode, nothing.stderr) == (0, "nothing to run\n")


def test_config_show(phased: Program) -> None:
    """Config show."""
    env = {"PHASED_RUN_MAX_PARALLEL": "8"}
    shown = phased.call("config", "show", "--origin", env=env).stdout
    assert "# environment PHASED_RUN_MAX_PARALLEL" in shown
    value = json.loads(phased.call("config", "show", "-o", "json", env=env).stdout)
    assert value["run"]["max_parallel"] == 8
    origin = json.loads(phased.call("-o", "json", "config", "show", "--origin", "--state-dir", "x").stdout)
    assert origin["paths"]["state_dir"] == {"value": f"{phased.workspace}/x", "origin": "flag --state-dir"}
    text = phased.call("config", "show").stdout
    file = phased.workspace / "again.toml"
    file.write_text(text)
    assert phased.call("--config", str(file), "config", "show").stdout == text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_program(phased: Program, shell: str) -> None:
    """Completion scripts call the program."""
    result = phased.call("completion", shell)
    assert result.returncode == 0
    assert "_PHASED_COMPLETE" in result.stdout


def test_completion_completes_verbs(phased: Program) -> None:
    """Completion completes verbs."""
    env = {"_PHASED_COMPLETE": "bash_complete", "COMP_WORDS": "phased exec", "COMP_CWORD": "1"}
    assert "plain,executions" in phased.run(env=env).stdout


def test_without_a_home_everything_still_works(phased: Program) -> None:
    """Without a home everything still works."""
    phased.write(FILE)
    for home in ("", "relative", "/no/such/home"):
        assert phased.call("run", "build", "--dry-run", env={"HOME": home}).returncode == 0
        assert phased.call("executions", env={"HOME": home}).returncode == 0


def test_the_directory_option_names_the_workspace(phased: Program) -> None:
    """The directory option names the workspace."""
    phased.write(FILE)
    result = phased.call("-C", str(phased.workspace), "plan", "gen", cwd=Path(os.sep))
    assert result.returncode == 0, result.stderr
