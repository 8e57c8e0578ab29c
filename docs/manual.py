"""The manual page phased(1) and the completions of shells, as the command line itself is.

Knows the language of manual pages (man(7)). Must not hold a fact that the code has.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

import click

from phased import __version__
from phased.cli.application import application
from phased.cli.completion import script_for
from phased.cli.groups import LazyGroup

_FILES: Final[Mapping[str, str]] = {
    ".ona/automations.yaml": "The automations file of a workspace; one of the places where it is looked for.",
    "/etc/phased/phased.toml": "Settings of the machine.",
    "~/.config/phased/phased.toml": "Settings of a user.",
    "/var/lib/phased, ~/.local/state/phased": "State and logs, of the machine's service and of a user.",
    "/run/phased/phased.sock, $XDG_RUNTIME_DIR/phased.sock": "The daemon's socket.",
}


def manual_page(outcomes: Mapping[int, str]) -> str:
    """The whole page; `outcomes` are the exit codes."""
    lines = [
        '.\\" Made by docs/generate.py; change the code, then run: make reference',
        f'.TH PHASED 1 "" "phased {__version__}" "User Commands"',
        ".SH NAME",
        f"phased \\- {plain(_first_sentence(application.help))}",
        ".SH SYNOPSIS",
        ".B phased",
        ".RI [ OPTIONS ]",
        ".I VERB",
        ".RI [ ARGUMENTS ]",
        ".SH DESCRIPTION",
        *_text(application.help or ""),
        ".SH OPTIONS",
        "Every verb has these; they may stand before or after it.",
        *_options(application, frozenset()),
        ".SH VERBS",
        *_verbs(application, ()),
        ".SH EXIT STATUS",
    ]
    lines += [line for code, meaning in outcomes.items() for line in _item(str(code), meaning)]
    lines += [".SH FILES", *(line for name, meaning in _FILES.items() for line in _item(name, meaning))]
    see = [".BR systemd.service (5),", ".BR docker (1),", ".BR podman (1)"]
    return "\n".join([*lines, ".SH SEE ALSO", *see, ""])


def completion(shell: str) -> str:
    """The script of a shell, as `phased completion` prints it."""
    return f"{script_for(shell).strip()}\n"


def _verbs(group: click.Group, path: tuple[str, ...]) -> Iterator[str]:
    common = frozenset(name for one in application.params for name in one.opts)
    context = click.Context(group, info_name="phased")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden or _is_unlisted(group, name):
            continue
        if isinstance(command, click.Group):
            yield from _verbs(command, (*path, name))
            continue
        words = " ".join(["phased", *path, name])
        arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
        yield from (f".SS {plain(words)} {plain(' '.join(arguments))}".rstrip(), *_text(command.help or ""))
        yield from _options(command, common)


def _is_unlisted(group: click.Group, name: str) -> bool:
    """The vendor's spellings are accepted, and listed nowhere."""
    return isinstance(group, LazyGroup) and not group.verbs[name][1]


def _options(command: click.Command, apart_from: frozenset[str]) -> Iterator[str]:
    context = click.Context(command)
    for one in command.params:
        if isinstance(one, click.Option) and not one.hidden and not apart_from & set(one.opts):
            names = ", ".join([*one.opts, *one.secondary_opts])
            value = "" if one.is_flag or one.count else f" {one.make_metavar(context)}"
            yield from _item(names + value, one.help or "")


def _item(term: str, meaning: str) -> list[str]:
    return [".TP", f".B {plain(term)}", plain(meaning)]


def _text(text: str) -> Iterator[str]:
    r"""Paragraphs; those with `\b` before them, and examples, keep their lines."""
    for number, block in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        lines = block.strip("\b\n").splitlines()
        if block.startswith("\b") or (lines and lines[0].rstrip().endswith("xamples:")):
            yield from (".nf", *(plain(line) for line in lines), ".fi")
        else:
            yield plain(" ".join(line.strip() for line in lines))


def plain(text: str) -> str:
    """Text in which no character means anything to troff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def _first_sentence(text: str | None) -> str:
    sentence = inspect.cleandoc(text or "").partition("\n")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]
