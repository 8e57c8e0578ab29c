"""Definitions and the public message: there and back, and what only the whole of them can violate."""

from __future__ import annotations

import pytest

from phased.contract.automations_file import AutomationsFile
from phased.contract.base import from_json, to_json
from phased.errors import InvalidFile
from phased.loader.portable import from_automations_file, to_automations_file, violations
from tests.loader.reading import defined

PORTABLE = """
    tasks:
      build:
        name: Build
        description: all of it
        command: make
        dependsOn: [db, gen]
        triggeredBy: [manual, beforeSnapshot]
        runsOn: {docker: {image: x, environment: [A=b]}}
        prebuildRequiresSuccess: true
      gen: {}
    services:
      db:
        commands: {start: serve, ready: ping, stop: halt}
        triggeredBy: [postMachineStart]
        runsOn: {machine: {}}
        role: ai-agent
        readinessTimeout: 90s
      web:
        commands: {start: serve}
    """


def test_definitions_survive_the_message_and_its_json() -> None:
    """Everything that the public format has a place for."""
    definitions = defined(PORTABLE)
    message = to_automations_file(definitions)
    assert from_automations_file(message) == definitions
    assert from_automations_file(from_json(AutomationsFile, to_json(message))) == definitions


def test_extensions_have_no_place() -> None:
    """They are dropped on the way, never smuggled into another field."""
    definitions = defined("tasks:\n  a: {command: x, env: {KEY: v}, timeout: 1s, retries: 2}\n")
    assert from_automations_file(to_automations_file(definitions)) == defined("tasks:\n  a: {command: x}\n")


def test_names_default_and_repetitions_go() -> None:
    """As in a file."""
    message = from_json(AutomationsFile, '{"tasks": {"a": {"dependsOn": ["b", "b"]}, "b": {}}}')
    first, _ = from_automations_file(message).tasks
    assert (first.name, first.command, first.depends_on) == ("a", "", ("b",))


def test_a_service_without_commands_is_refused() -> None:
    """The rules of the message allow it; nothing could be started."""
    message = from_json(AutomationsFile, '{"services": {"a": {}, "b": {"commands": {"start": "x"}}}}')
    with pytest.raises(InvalidFile) as caught:
        from_automations_file(message)
    assert [entry.path for entry in caught.value.diagnostics] == ["services.a.commands"]  # type: ignore[attr-defined]


def test_what_only_the_whole_can_violate() -> None:
    """Names for two things, unknown references, cycles; what the environment has already counts."""
    message = from_json(
        AutomationsFile,
        '{"tasks": {"build": {"dependsOn": ["gen", "biuld"]}, "db": {}, "gen": {"dependsOn": ["old"]}},'
        ' "services": {"db": {"commands": {"start": "x"}}}}',
    )
    found = violations(from_automations_file(message), {"old": ["build"], "other": []})
    assert found == [
        ("services.db", "is the reference of a task as well: rename one"),
        ("tasks.build.dependsOn[1]", "names `biuld`, which does not exist; did you mean `build`?"),
        ("tasks.old.dependsOn", "goes in a circle: old -> build -> gen -> old"),
    ]
    assert violations(defined(PORTABLE)) == []
