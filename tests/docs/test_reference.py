"""The reference is made from the code, is current, and leaves nothing out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from phased.api.failures import STATUS
from phased.api.routes import ROUTES
from phased.cli.application import EXIT_CODES, VERBS, application
from phased.core.phases import TRANSITIONS, State
from phased.settings import all_settings
from tests.docs.pages import DOCS, generator

REFERENCE = DOCS / "reference"


def text(name: str) -> str:
    """A generated page as it lies in the repository."""
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_the_generated_pages_are_current() -> None:
    """Who changes a setting, a command, a phase or the schema runs `make reference`."""
    command = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_that_is_not_current_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check can fail, and writing mends it."""
    made = generator()
    monkeypatch.setattr(made, "REFERENCE", tmp_path / "reference")
    assert made.main(["--check"]) == 1
    assert "settings.md" in capsys.readouterr().err
    assert made.main([]) == 0
    assert made.main(["--check"]) == 0
    (tmp_path / "reference" / "phases.md").write_text("old")
    assert made.main(["--check"]) == 1


def test_every_setting_is_documented() -> None:
    """By its section, its key, its variable and its meaning."""
    page = text("settings.md")
    for item in all_settings():
        assert f"## [{item.section}]" in page
        assert f"`{item.key}`" in page
        assert f"`{item.variable}`" in page
        assert item.meaning


def test_every_command_and_option_is_documented() -> None:
    """Each verb, each verb of a group, and each option that it shows."""
    page = text("commands.md")
    found = list(generator().walk(application, ()))
    assert {path[0] for path, _ in found} >= VERBS.keys() - hidden()
    for path, command in found:
        assert f"## phased {' '.join(path)}\n" in page
        assert command.help
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{path} {option.opts}"
                assert option.opts[-1] in page


def hidden() -> set[str]:
    """Verbs that help does not list."""
    context = click.Context(application)
    commands = {name: application.get_command(context, name) for name in VERBS}
    return {name for name, command in commands.items() if command is None or command.hidden}


def test_every_state_and_transition_is_documented() -> None:
    """In the tables and in the diagram."""
    page = text("phases.md")
    assert [state for state in State if f"| `{state.value}` |" not in page] == []
    for state, leads_to in TRANSITIONS.items():
        for event, after in leads_to.items():
            assert f"| `{state.value}` | `{event.__name__}` | `{after.value}` |" in page
            assert f"    {state.value} --> {after.value}: " in page


def test_every_exit_code_of_an_error_is_documented() -> None:
    """With the error's name beside it."""
    page = text("exit-codes.md")
    for kind, code in EXIT_CODES.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {code} |"))
        assert f"`{kind.__name__}`" in row


def test_every_method_and_code_is_documented() -> None:
    """With the roles that suffice."""
    page = text("api.md")
    for route in ROUTES:
        assert f"## {route.service}\n" in page
        assert f"| `{route.method}` | " in page
    for code, status in STATUS.items():
        assert f"| `{code.value}` | {status} |" in page
