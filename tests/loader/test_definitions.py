"""What a valid file means: every key, every form, YAML 1.2 and JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from phased.contract.definitions import EnvironmentEntry, Restart, Retries
from tests.loader.reading import defined, load, service, task

EVERYTHING = """
    tasks:
      build:
        name: Build it
        description: what it is for
        command: |
          make
          make check
        dependsOn: [gen, db]
        triggeredBy:
          - manual
          - beforeSnapshot
        runsOn:
          docker:
            image: debian:12
            environment: [CI=true, HOME]
        prebuildRequiresSuccess: true
        env:
          PORT: 8080
          MODE: debug
          KEY: {secret: API_KEY}
        timeout: 10m
        retries: {limit: 3, backoff: 1.5s, exitCodes: [75, 3]}
      gen: {}
    services:
      db:
        commands:
          start: serve
          ready: ping
          stop: halt
        triggeredBy: [postEnvironmentStart]
        runsOn: {machine: {}}
        role: editor
        readinessTimeout: 1h30m
        env: {A: "1"}
        dependsOn: [gen]
        restart: {policy: always, backoff: 3s, limit: 5}
"""


def test_every_key_of_a_task() -> None:
    """The whole form of a task, as the contract's definition of it."""
    build, gen = defined(EVERYTHING).tasks
    assert (build.reference, build.name, build.description) == ("build", "Build it", "what it is for")
    assert build.command == "make\nmake check\n"
    assert build.depends_on == ("gen", "db")
    assert build.triggered_by == ("manual", "beforeSnapshot")
    assert build.runs_on is not None
    assert build.runs_on.docker is not None
    assert build.runs_on.docker.image == "debian:12"
    assert build.runs_on.docker.environment == ("CI=true", "HOME")
    assert build.prebuild_requires_success is True
    assert build.env == (
        EnvironmentEntry(name="PORT", value="8080"),
        EnvironmentEntry(name="MODE", value="debug"),
        EnvironmentEntry(name="KEY", secret="API_KEY"),
    )
    assert build.timeout == timedelta(minutes=10)
    assert build.retries == Retries(limit=3, backoff=timedelta(seconds=1.5), exit_codes=(75, 3))
    assert (gen.name, gen.command, gen.depends_on, gen.timeout) == ("gen", "", (), None)


def test_every_key_of_a_service() -> None:
    """The whole form of a service, as the contract's definition of it."""
    [db] = defined(EVERYTHING).services
    assert (db.reference, db.name, db.start, db.ready, db.stop) == ("db", "db", "serve", "ping", "halt")
    assert (db.triggered_by, db.role, db.depends_on) == (("postEnvironmentStart",), "editor", ("gen",))
    assert db.runs_on is not None
    assert db.runs_on.machine is not None
    assert db.readiness_timeout == timedelta(minutes=90)
    assert db.restart == Restart(policy="always", backoff=timedelta(seconds=3), limit=5)


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "null\n", "{}", "tasks:\nservices:\n", "\ufeff"]
)
def test_an_empty_file_defines_nothing(text: str) -> None:
    """Nothing, a comment, an empty section: each is a file with nothing in it."""
    definitions = defined(text)
    assert definitions.tasks == ()
    assert definitions.services == ()


def test_json_is_yaml() -> None:
    """JSON with tabs, escapes and characters beyond 16 bits (two escapes in JSON, one in YAML)."""
    value = {"tasks": {"hi": {"command": 'echo "\U0001f600\\ud83d" \t / ok', "name": "\U0001f680"}}}
    plain = defined(json.dumps(value))
    tabbed = defined(json.dumps(value, indent="\t"))
    assert plain == tabbed
    assert plain.tasks[0].command == value["tasks"]["hi"]["command"]
    assert plain.tasks[0].name == "\U0001f680"


def test_positions_behind_joined_escapes_are_those_of_the_file() -> None:
    """What joining two escapes removes does not move what comes after it."""
    text = '{"tasks": {"a": {"name": "\\ud83d\\ude00 \\ud83d\\ude00", "comand": "x"}}}'
    [diagnostic] = load(text).diagnostics
    assert (diagnostic.line, diagnostic.column) == (1, text.index('"comand"') + 1)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    """Editors of other systems write these."""
    text = "tasks:\r\n  é: {}\r\n  b: {nam: x}\r\n"
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    [first, second] = load((mark + text).encode(encoding)).diagnostics
    assert (first.line, first.column, first.text) == (2, 3, "é")
    assert (second.line, second.column) == (3, 7)


def test_words_that_old_yaml_took_for_something_else_are_text() -> None:
    """YAML 1.2: `yes`, `on`, `1:30`, `2001-01-01` and `0777` with an o missing are what they look like."""
    assert task("name: yes").name == "yes"
    assert task("command: on").command == "on"
    assert task("description: 12:30:45").description == "12:30:45"
    assert task("name: 2001-01-01").name == "2001-01-01"


def test_scalars_of_env_are_taken_as_written() -> None:
    """Nobody quotes a port; a number keeps its spelling."""
    entries = task("env: {A: 0x1F, B: 1.50, C: true, D: 'x', E: ''}").env
    assert [entry.value for entry in entries] == ["0x1F", "1.50", "true", "x", ""]


def test_empty_values_are_unset() -> None:
    """`dependsOn:` with all its items commented out, as real files have it."""
    it = task("name:\ncommand:\ndescription: ~\ndependsOn:\n# - gone\ntriggeredBy: null\nrunsOn:")
    assert (it.name, it.command, it.description) == ("it", "", None)
    assert (it.depends_on, it.triggered_by, it.runs_on) == ((), (), None)


@pytest.mark.parametrize("form", ["runsOn: {machine: {}}", "runsOn: {machine: }", "runsOn:\n  machine:"])
def test_machine_says_it_by_being_there(form: str) -> None:
    """It has no keys of its own, so an empty value is enough."""
    runs_on = task(form).runs_on
    assert runs_on is not None
    assert runs_on.machine is not None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5s", 1.5), ("30m", 1800), ("1h30m", 5400), ("24h", 86400), ("0s", 0), ("500ms", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    """Seconds, as the public format has them, and longer units."""
    assert service(f"readinessTimeout: {text}").readiness_timeout == timedelta(seconds=seconds)


def test_short_forms_of_extensions() -> None:
    """A number of retries, the name of a policy, a time limit of none."""
    assert task("retries: 2").retries == Retries(limit=2)
    assert task("timeout: 0s").timeout is None
    assert service("restart: on-failure").restart == Restart(policy="on-failure")


def test_aliases_and_merge_keys() -> None:
    """An alias repeats, `<<` brings keys in, and the mapping's own keys win."""
    definitions = defined(
        """
        tasks:
          base: &base
            command: make
            triggeredBy: &when [manual]
          one:
            <<: *base
            command: make one
          two:
            triggeredBy: *when
        """
    )
    _, one, two = definitions.tasks
    assert (one.command, one.triggered_by) == ("make one", ("manual",))
    assert two.triggered_by == ("manual",)


def test_references_of_any_scalar_are_text() -> None:
    """`1` and `true` are references like others."""
    assert [it.reference for it in defined("tasks:\n  1: {}\n  true: {}\n").tasks] == ["1", "true"]


def test_order_is_the_files() -> None:
    """Groups are in the file's order, so definitions are."""
    references = [f"t{number * 7 % 10}" for number in range(10)]
    text = "tasks:\n" + "".join(f"  {reference}: {{}}\n" for reference in references)
    assert [it.reference for it in defined(text).tasks] == references


def test_a_command_of_a_megabyte() -> None:
    """Far larger than an argument may be; running it is the runner's part."""
    line = "echo " + "x" * 1000
    text = "tasks:\n  big:\n    command: |\n" + f"      {line}\n" * 1100
    assert defined(text).tasks[0].command == f"{line}\n" * 1100
