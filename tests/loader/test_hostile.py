"""Files made to harm, and any bytes at all: always an answer with a position in the file, never a crash."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from phased import loader
from phased.contract.definitions import Definitions
from phased.loader.fields import TRIGGERS
from phased.loader.nodes import kind_of_plain
from phased.loader.parse import MAX_DEPTH
from phased.loader.portable import to_automations_file
from phased.loader.reader import duration
from phased.loader.report import MAX_DIAGNOSTICS
from tests.loader.reading import defined, found, load, only

QUICK = settings(max_examples=100, deadline=None, derandomize=True)

FRAGMENTS = st.sampled_from(
    [
        *(
            "tasks:",
            "services:",
            "\n",
            "\n  ",
            "\n    ",
            "a",
            "b:",
            "- ",
            "[",
            "]",
            "{",
            "}",
            "command:",
            "'",
            '"',
        ),
        *(
            "|",
            ">",
            "&a",
            "*a",
            "<<:",
            "!!str",
            "!x",
            "---",
            "...",
            "#",
            "\t",
            ": ",
            ", ",
            "~",
            "1",
            "1.5",
            "true",
        ),
        *(
            "dependsOn:",
            "triggeredBy:",
            "env:",
            "runsOn:",
            "\ufeff",
            "\u2028",
            "\x85",
            "\r",
            "\\ud83d",
            "\0",
            "?",
        ),
        *("commands:", "start:", "é", "\U0001f680", "%YAML", "@", "`", "0o7", "9" * 5000, "1e999999999"),
    ]
)


def check_any(data: bytes) -> None:
    """It is valid or says why, at places that exist."""
    loaded = loader.read(Path("f"), text=data)
    assert loaded.valid is not bool(loaded.errors)
    for diagnostic in loaded.diagnostics:
        assert diagnostic.message.startswith("cannot ") or diagnostic.severity == "warning"
        assert 1 <= diagnostic.line <= data.count(b"\n") + data.count(b"\r") + 1
        assert 1 <= diagnostic.column <= len(data) + 1
        assert all(line.isprintable() for line in diagnostic.render("f").split("\n"))


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Noise."""
    check_any(data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(FRAGMENTS, max_size=30).map("".join))
def test_any_pieces_of_yaml(text: str) -> None:
    """What looks like a file, in a wrong order."""
    check_any(text.encode("utf-8", "replace"))


KEYS = st.sampled_from(
    ["tasks", "services", "command", "commands", "start", "env", "runsOn", "docker", "retries"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(["tasks", "services"]), st.dictionaries(KEYS, st.dictionaries(KEYS, JSON))
    )
)
def test_any_json(value: object) -> None:
    """Right keys, wrong values."""
    check_any(json.dumps(value).encode())


references = st.from_regex("[a-zA-Z0-9_-]{1,12}", fullmatch=True)
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\u2028\u2029"), max_size=30
)
spans = st.integers(0, 86_400).map(lambda seconds: f"{seconds}s")
triggers = st.lists(st.sampled_from([name for name in TRIGGERS if name != "beforeSnapshot"]), unique=True)
environment = st.dictionaries(
    st.from_regex("[A-Z_]{1,5}", fullmatch=True),
    texts | st.fixed_dictionaries({"secret": references}),
    max_size=2,
)
runs_on = st.sampled_from([{"machine": {}}, {"docker": {"image": "x", "environment": ["A=b"]}}])


@st.composite
def files(draw: st.DrawFn) -> dict[str, dict[str, dict[str, object]]]:
    """The value of a valid file: each entry depends on earlier ones alone."""
    names = draw(st.lists(references, unique=True, max_size=6))
    tasks: dict[str, dict[str, object]] = {}
    services: dict[str, dict[str, object]] = {}
    for number, name in enumerate(names):
        needs = st.lists(st.sampled_from(names[:number]), unique=True) if number else st.just([])
        optional: dict[str, st.SearchStrategy[object]] = {
            "name": texts,
            "description": texts,
            "triggeredBy": triggers,
            "env": environment,
            "runsOn": runs_on,
            "dependsOn": needs,
        }
        if draw(st.booleans()):
            own = {
                "command": texts,
                "timeout": spans,
                "retries": st.integers(0, 9),
                "prebuildRequiresSuccess": st.booleans(),
            }
            tasks[name] = draw(st.fixed_dictionaries({}, optional=optional | own))
        else:
            commands = st.fixed_dictionaries(
                {"start": texts.filter(bool)}, optional={"ready": texts, "stop": texts}
            )
            more = {"readinessTimeout": spans, "restart": st.sampled_from(["never", "always"])}
            services[name] = draw(st.fixed_dictionaries({"commands": commands}, optional=optional | more))
    return {"tasks": tasks, "services": services}


class Dumper(yaml.SafeDumper):
    """Writes YAML 1.2: PyYAML's own leaves text bare that is a number there (`0E0`)."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if kind_of_plain(text) == "text" else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, _represent_text)


@QUICK
@given(files())
def test_a_valid_file_means_the_same_in_every_spelling(
    value: dict[str, dict[str, dict[str, object]]],
) -> None:
    """Block YAML, flow YAML, JSON with and without escapes: one meaning, and it is the value's."""
    spellings = [
        yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True),
        yaml.dump(value, Dumper=Dumper, sort_keys=False, default_flow_style=True, width=40),
        json.dumps(value),
        json.dumps(value, ensure_ascii=False, indent=1),
    ]
    [definitions] = {repr(defined(text.encode())): defined(text.encode()) for text in spellings}.values()
    check_meaning(definitions, value)
    to_automations_file(definitions)


def check_meaning(definitions: Definitions, value: dict[str, dict[str, dict[str, object]]]) -> None:
    """Every text and every time arrives as it was written."""
    assert [task.reference for task in definitions.tasks] == list(value["tasks"])
    for task in definitions.tasks:
        said = value["tasks"][task.reference]
        assert task.command == said.get("command", "")
        assert task.name == (said.get("name") or task.reference)
        assert list(task.depends_on) == said.get("dependsOn", [])
        assert (task.timeout or timedelta(0)) == (duration(str(said.get("timeout", "0s"))))
        assert len(task.env) == len(said.get("env", {}))  # type: ignore[arg-type]
    for service in definitions.services:
        commands = value["services"][service.reference]["commands"]
        assert isinstance(commands, dict)
        assert (service.start, service.ready) == (commands["start"], commands.get("ready", ""))


def test_aliases_that_would_fill_the_memory() -> None:
    """Nine lines that stand for a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "with what aliases repeat" in only("\n".join(lines)).message


def test_merges_that_would_fill_the_memory() -> None:
    """The same by merge keys."""
    lines = ["m0: &m0 {k: v}"]
    lines += [
        f"m{n}: &m{n} {{" + ", ".join(f"k{i}: *m{n - 1}" for i in range(10)) + "}" for n in range(1, 10)
    ]
    assert "with what aliases repeat" in only("\n".join(lines)).message


def test_nesting_does_not_overflow_the_stack() -> None:
    """A hundred thousand levels, in lists, mappings and blocks."""
    for opened in ("[", "{a: ", "- "):
        diagnostic = only(opened * 100_000)
        assert "deep" in diagnostic.message
    assert f"deeper than {MAX_DEPTH}" in only("[" * 100 + "]" * 100).message
    assert not load('{"a":' * 100_000 + '"\\ud83d\\ude00"').valid


def test_too_many_errors_end_with_one_that_says_so() -> None:
    """A file of errors is answered in time and in bounds."""
    text = "tasks:\n" + "".join(
        f"  t{number}: {{dependsOn: [x{number}], comand: y}}\n" for number in range(20_000)
    )
    diagnostics = found(text.encode())
    assert len(diagnostics) == MAX_DIAGNOSTICS + 1
    assert any("cannot list more" in entry.message for entry in diagnostics)
    assert not load(text.encode(), lenient=True).valid


def test_a_chain_of_thousands_is_no_problem() -> None:
    """Neither recursion nor patience ends before the file does."""
    text = "tasks:\n  t0: {}\n" + "".join(f"  t{n}: {{dependsOn: [t{n - 1}]}}\n" for n in range(1, 5000))
    assert len(defined(text.encode()).tasks) == 5000
    closed = text.replace("t0: {}", "t0: {dependsOn: [t4999]}")
    assert "t0 -> t4999 -> t4998" in only(closed.encode()).message


@QUICK
@given(st.text(max_size=12))
def test_every_plain_scalar_has_a_kind(text: str) -> None:
    """What Python takes for a number of that form, the core schema does too."""
    assert kind_of_plain(text) in ("null", "boolean", "integer", "number", "text")


@QUICK
@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    """All units together, or one alone."""
    assert duration(f"{hours}h{minutes}m{seconds}s") == timedelta(
        hours=hours, minutes=minutes, seconds=seconds
    )
    assert duration(f"{seconds}") is None
    assert duration("") is None
