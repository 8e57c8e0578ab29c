"""What a wrong file is told: the place, what is wrong, the likeliest correction; all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from phased import loader
from phased.errors import InvalidFile
from tests.loader.reading import defined, found, load, only

# Each: the file, where its one error is, what the message contains, what the hint contains.
CASES: dict[str, tuple[str, int, int, str, str]] = {
    "triggers": ("tasks:\n  a:\n    triggers: [manual]\n", 3, 5, "`triggers` in a task", "triggeredBy"),
    "triggerBy": ("tasks:\n  a:\n    triggerBy: [manual]\n", 3, 5, "`triggerBy`", "triggeredBy"),
    "triggered_by": ("tasks:\n  a:\n    triggered_by: [manual]\n", 3, 5, "`triggered_by`", "`triggeredBy`"),
    "typing error": ("tasks:\n  a:\n    comand: x\n", 3, 5, "`comand`", "did you mean `command`?"),
    "init": ("tasks:\n  a:\n    init: x\n    command: y\n", 3, 5, "`init` in a task", "dependsOn"),
    "commands of a task": (
        "tasks:\n  a:\n    commands: {start: x}\n",
        3,
        5,
        "`commands` in a task",
        "`command:`",
    ),
    "ready beside commands": (
        "services:\n  a:\n    commands: {start: x}\n    ready: y\n",
        4,
        5,
        "`ready` in a service",
        "under `commands:`",
    ),
    "automations": ("automations:\n  - a\n", 1, 1, "`automations` in an automations file", "`tasks:`"),
    "version": ("version: 1\ntasks: {}\n", 1, 1, "`version`", "remove it"),
    "top level list": ("- name: a\n", 1, 1, "cannot use a list", "`tasks:`"),
    "top level text": ("hello\n", 1, 1, "cannot use text `hello`", "`tasks:`"),
    "tasks as a list": (
        "tasks:\n  - name: Set up\n    command: x\n",
        2,
        3,
        "a list for `tasks`",
        "`set-up:`",
    ),
    "scalar for a task": ("tasks:\n  a: make\n", 2, 6, "text `make` for `a`", "`command: make`"),
    "key of a task beside it": ("tasks:\n  a: {}\n  command: x\n", 3, 12, "for `command`", "a key of a task"),
    "empty task": ("tasks:\n  a:\n", 2, 3, "an empty value for `a`", "indent"),
    "scalar for a list": ("tasks:\n  a: {dependsOn: a1}\n  a1: {}\n", 2, 18, "a list belongs here", "[a1]"),
    "scalar for triggers": (
        "tasks:\n  a: {triggeredBy: manual}\n",
        2,
        20,
        "a list belongs",
        "triggeredBy: [manual]",
    ),
    "API's trigger": (
        "tasks:\n  a:\n    triggeredBy:\n      - manual: true\n",
        4,
        9,
        "a mapping",
        "`manual`",
    ),
    "API's triggers": (
        "tasks:\n  a:\n    triggeredBy:\n      prebuild: true\n",
        4,
        7,
        "a list",
        "[prebuild]",
    ),
    "snake trigger": (
        "tasks:\n  a: {triggeredBy: [post_environment_start]}\n",
        2,
        21,
        "start`",
        "`postEnvironmentStart`",
    ),
    "near trigger": (
        "tasks:\n  a: {triggeredBy: [postEnviromentStart]}\n",
        2,
        21,
        "Start`",
        "`postEnvironmentStart`",
    ),
    "unknown trigger": (
        "tasks:\n  a: {triggeredBy: [x]}\n",
        2,
        21,
        "`x` for `triggeredBy[0]`",
        "beforeSnapshot",
    ),
    "empty trigger": ("tasks:\n  a: {triggeredBy: [~]}\n", 2, 21, "an empty value", "manual"),
    "number for text": ("tasks:\n  a: {name: 2024}\n", 2, 13, "an integer `2024` for `name`", '"2024"'),
    "boolean for text": ("tasks:\n  a: {command: true}\n", 2, 16, "a boolean `true` for `command`", '"true"'),
    "list for text": (
        "tasks:\n  a: {command: [make, test]}\n",
        2,
        16,
        "a list for `command`",
        "one line for each",
    ),
    "text for boolean": ("tasks:\n  a: {prebuildRequiresSuccess: yes}\n", 2, 32, "`yes`", "write `true`"),
    "bad reference": ("tasks:\n  my task: {}\n", 2, 3, "`my task` as a reference", "`my-task`"),
    "long reference": (f"tasks:\n  {'x' * 129}: {{}}\n", 2, 3, "as a reference", "1 to 128"),
    "unknown reference": (
        "tasks:\n  build: {}\n  a: {dependsOn: [biuld]}\n",
        3,
        19,
        "`biuld`",
        "did you mean `build`?",
    ),
    "far reference": (
        "tasks:\n  build: {}\n  a: {dependsOn: [xyz]}\n",
        3,
        19,
        "`xyz`",
        "there are: build, a",
    ),
    "cycle": (
        "tasks:\n  build: {dependsOn: [gen]}\n  gen: {dependsOn: [build]}\n",
        2,
        23,
        "build -> gen -> build",
        "remove one",
    ),
    "itself": ("tasks:\n  a: {dependsOn: [a]}\n", 2, 19, "a -> a", "remove"),
    "ambiguous": (
        "tasks:\n  db: {}\nservices:\n  db: {commands: {start: x}}\n",
        4,
        3,
        "`db` for a task and a service",
        "line 2",
    ),
    "duplicate key": (
        "tasks:\n  a: {}\n  b: {}\n  a: {}\n",
        4,
        3,
        "`a` twice: it stands in line 2",
        "rename",
    ),
    "duplicate of another spelling": ("tasks:\n  1: {}\n  '1': {}\n", 3, 3, "`1` twice", "rename"),
    "snapshot of a service": (
        "services:\n  a: {commands: {start: x}, triggeredBy: [beforeSnapshot]}\n",
        2,
        43,
        "cannot start a service by `beforeSnapshot`",
        "make it a task",
    ),
    "no start": ("services:\n  a: {commands: {ready: x}}\n", 2, 7, "`commands` without `start`", "`start:`"),
    "no commands": ("services:\n  a: {name: x}\n", 2, 3, "a service without `commands`", "`commands:`"),
    "empty start": ("services:\n  a: {commands: {start: ''}}\n", 2, 25, "an empty text for `start`", ""),
    "scalar for commands": ("services:\n  a: {commands: x}\n", 2, 17, "`commands`", "`commands: {start: x}`"),
    "role": ("services:\n  a: {commands: {start: x}, role: edit}\n", 2, 35, "`edit` for `role`", "`editor`"),
    "bare seconds": (
        "services:\n  a: {commands: {start: x}, readinessTimeout: 30}\n",
        2,
        47,
        "`30` as a duration",
        "`30s`",
    ),
    "more than a day": (
        "services:\n  a: {commands: {start: x}, readinessTimeout: 25h}\n",
        2,
        47,
        "too long",
        "24h",
    ),
    "negative duration": ("tasks:\n  a: {timeout: -5}\n", 2, 16, "`-5` as a duration", "30s"),
    "both targets": (
        "tasks:\n  a: {runsOn: {docker: {image: x}, machine: {}}}\n",
        2,
        7,
        "together",
        "but one",
    ),
    "no image": ("tasks:\n  a: {runsOn: {docker: {}}}\n", 2, 16, "`docker` without `image`", "`image:`"),
    "scalar for runsOn": ("tasks:\n  a: {runsOn: docker}\n", 2, 15, "`runsOn`", "docker: {image: IMAGE}"),
    "name of a variable": (
        "tasks:\n  a: {env: {1A: x}}\n",
        2,
        13,
        "`1A` as a variable's name",
        "no digit first",
    ),
    "empty variable": ("tasks:\n  a: {env: {A: }}\n", 2, 13, "an empty value", '""'),
    "list for env": ("tasks:\n  a: {env: [A=1]}\n", 2, 12, "a list for `env`", "`NAME: value`"),
    "API's secret": (
        "tasks:\n  a: {env: {A: {value: x, secret: y}}}\n",
        2,
        17,
        "`value` in a variable",
        "right after",
    ),
    "exit code": ("tasks:\n  a: {retries: {limit: 1, exitCodes: [256]}}\n", 2, 39, "`256`", ""),
    "retries": ("tasks:\n  a: {retries: many}\n", 2, 16, "text `many`", ""),
    "quoted retries": ("tasks:\n  a: {retries: '3'}\n", 2, 16, "text `3`", "without quotes"),
    "restart": (
        "services:\n  a: {commands: {start: x}, restart: no}\n",
        2,
        38,
        "`no` for `restart`",
        "`never`",
    ),
    "NUL": ('tasks:\n  a: {command: "a\\0b"}\n', 2, 16, "NUL", "remove"),
    "key of two levels": ("tasks:\n  a: {{b: c}: d}\n", 2, 7, "a mapping as a key", "quote"),
    "tag": ("tasks:\n  a: {name: !thing x}\n", 2, 13, "the tag `!thing`", "leave it out"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_error_one_diagnostic(name: str) -> None:
    """The place is exact, the message names the text, the hint says what to write."""
    text, line, column, message, hint = CASES[name]
    diagnostics = [entry for entry in found(text) if entry.severity == "error"]
    first = diagnostics[0]
    assert (first.line, first.column) == (line, column), first
    assert message in first.message
    assert hint in first.hint
    assert first.message.startswith("cannot ")
    assert not load(text).valid


# Each: the file, where its one error is, what message or hint contain.
SYNTAX: dict[str, tuple[str, int, int, str]] = {
    "tab": ("tasks:\n\ta: {}\n", 2, 1, "a tab cannot indent"),
    "tab after blanks": ("tasks:\n  a:\n  \tcommand: x\n", 3, 3, "tab"),
    "nested value": ("tasks:\n  - name: a\n      command: x\n", 3, 14, "check the indentation"),
    "script without indentation": (
        "tasks:\n  a:\n    command: |\n      x\nmake it so\n",
        5,
        1,
        "below `command: |`",
    ),
    "open quote": ('tasks:\n  a:\n    name: "x\n    command: y\n', 3, 11, "close the quote"),
    "open bracket": ("tasks:\n  a: {dependsOn: [b\n", 3, 1, "not closed"),
    "bad escape": ('tasks:\n  a: {name: "\\d"}\n', 2, 14, "single quotes"),
    "at sign": ("tasks:\n  a: {name: @x}\n", 2, 13, "@ cannot begin a value"),
    "asterisk": ("tasks:\n  a:\n    name: *.py\n", 3, 11, "quote the text"),
    "no such anchor": ("tasks:\n  a: *nothing\n", 2, 6, "quote the value"),
    "inside itself": ("tasks: &a\n  a: *a\n", 2, 6, "inside of what it stands for"),
    "two documents": ("tasks: {}\n---\ntasks: {}\n", 2, 1, "a second document"),
    "directive": ("%YAML 9.9\n---\na: b\n", 1, 1, "YAML"),
    "less indented": ("tasks:\n    a: {}\n  b: {}\n", 3, 3, "check the indentation"),
    "control character": ("tasks:\n  a: {name: x\x07}\n", 2, 14, "U+0007"),
}


@pytest.mark.parametrize("name", SYNTAX)
def test_yaml_that_cannot_be_parsed_says_where_and_why(name: str) -> None:
    """In plain words, at the place that has to be changed."""
    text, line, column, words = SYNTAX[name]
    diagnostic = only(text.encode())
    assert (diagnostic.line, diagnostic.column) == (line, column), diagnostic
    assert words in diagnostic.message + diagnostic.hint


def test_bytes_that_are_no_text_have_a_position() -> None:
    """Invalid UTF-8 is a diagnostic, not a crash."""
    diagnostic = only("tasks:\n  é: ".encode() + b"\xff\n")
    assert (diagnostic.line, diagnostic.column) == (2, 6)
    assert "0xff" in diagnostic.message


def test_all_errors_at_once_in_the_files_order() -> None:
    """Also those of parts that have nothing to do with each other."""
    lines = [
        (entry.line, entry.path)
        for entry in found(
            """\
            version: 1
            tasks:
              build:
                comand: make
                dependsOn: [nothing]
              test:
                triggeredBy: manual
              loop: {dependsOn: [loop]}
            services:
              db:
                command: serve
            """
        )
    ]
    assert lines == [
        (1, "version"),
        (4, "tasks.build.comand"),
        (5, "tasks.build.dependsOn[0]"),
        (7, "tasks.test.triggeredBy"),
        (8, "tasks.loop.dependsOn[0]"),
        (10, "services.db"),
        (11, "services.db.command"),
    ]


def test_entries_of_a_list_are_looked_at_too() -> None:
    """Who writes `tasks` as a list has other things to mend as well."""
    paths = [entry.path for entry in found("tasks:\n  - name: x\n    init: y\n  - run: z\n")]
    assert paths == ["tasks", "tasks[0].init", "tasks[1].run"]


def test_lenient_makes_unknown_keys_warnings_and_nothing_else() -> None:
    """Files of others have keys of other tools; wrong values stay wrong."""
    text = "version: 1\ntasks:\n  a:\n    init: x\n    command: y\n"
    loaded = load(text, lenient=True)
    assert [entry.severity for entry in loaded.diagnostics] == ["warning", "warning"]
    assert loaded.valid
    assert defined(text, lenient=True).tasks[0].command == "y"
    assert not load("tasks:\n  a: {command: 1}\n", lenient=True).valid
    assert not load("services:\n  a: {command: x}\n", lenient=True).valid


def test_portable_refuses_every_extension() -> None:
    """They have no place in the public format."""
    text = """
        tasks:
          a: {env: {A: b}, timeout: 1s, retries: 1}
        services:
          b: {commands: {start: x}, env: {A: b}, dependsOn: [a], restart: always}
        """
    assert found(text) == []
    refused = [entry.text for entry in found(text, portable=True)]
    assert refused == ["env", "timeout", "retries", "env", "dependsOn", "restart"]


def test_what_stands_twice_in_a_list_is_a_warning() -> None:
    """It means nothing more than once."""
    loaded = load("tasks:\n  a: {}\n  b: {dependsOn: [a, a]}\n")
    [warning] = loaded.diagnostics
    assert (warning.severity, warning.line, warning.path) == ("warning", 3, "tasks.b.dependsOn[1]")
    assert loader.definitions(loaded).tasks[1].depends_on == ("a",)


def test_a_key_that_stands_twice_has_a_path() -> None:
    """As deep as it stands."""
    text = "tasks:\n  a:\n    triggeredBy: [{manual: true, manual: true}]\n"
    assert found(text)[-1].path == "tasks.a.triggeredBy[0].manual"


def test_what_an_alias_repeats_is_said_once() -> None:
    """The place that has to be changed is one."""
    assert only("tasks:\n  a: &x {comand: y}\n  b: *x\n  c: *x\n").line == 2


def test_a_hostile_file_gives_no_orders_to_a_terminal() -> None:
    """Escapes, directions of writing and line breaks in names are shown, not obeyed."""
    text = 'tasks:\n  "\\e[31mred\\u202e": {"\\a\\n": "\\e]0;title\\a"}\n'
    shown = load(text).render()
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "\\x1b[31mred" in shown


def test_quotes_of_the_file_are_short() -> None:
    """A message is read by people."""
    diagnostic = only(f"tasks:\n  a: {{triggeredBy: [{'x' * 5000}]}}\n")
    assert len(diagnostic.message) < 200
    assert len(diagnostic.text) < 100


def test_invalid_definitions_cannot_be_had() -> None:
    """The error holds the errors, not the warnings."""
    loaded = loader.read(Path("f.yaml"), text=b"tasks: 1\nx: 2\n", lenient=True)
    with pytest.raises(InvalidFile, match=r"f\.yaml: it has 1 error") as caught:
        loader.definitions(loaded)
    assert caught.value.diagnostics == loaded.errors


def test_render_has_the_form_that_editors_know() -> None:
    """FILE:LINE:COLUMN: SEVERITY: MESSAGE, then the hint."""
    assert load("tasks:\n  a: {comand: x}\n").render() == (
        "file.yaml:2:7: error: cannot use the key `comand` in a task\n    hint: did you mean `command`?"
    )
