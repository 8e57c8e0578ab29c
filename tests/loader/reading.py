"""Builders: a file as text in, its diagnostics or definitions out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from phased import loader
from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.loader import Diagnostic, LoadedFile


def load(text: str | bytes, *, lenient: bool = False, portable: bool = False) -> LoadedFile:
    """What comes of this content, which may be indented."""
    data = text if isinstance(text, bytes) else dedent(text).encode()
    return loader.read(Path("file.yaml"), text=data, lenient=lenient, portable=portable)


def found(text: str | bytes, *, lenient: bool = False, portable: bool = False) -> list[Diagnostic]:
    """All diagnostics of it."""
    return list(load(text, lenient=lenient, portable=portable).diagnostics)


def only(text: str | bytes, *, lenient: bool = False, portable: bool = False) -> Diagnostic:
    """Its one diagnostic."""
    [diagnostic] = found(text, lenient=lenient, portable=portable)
    return diagnostic


def defined(text: str | bytes, *, lenient: bool = False) -> Definitions:
    """What a file without errors defines."""
    return loader.definitions(load(text, lenient=lenient))


def task(text: str) -> TaskDefinition:
    """A task with these keys."""
    return defined("tasks:\n  it:\n" + _indented(text)).tasks[0]


def service(text: str) -> ServiceDefinition:
    """A service with these keys besides its commands."""
    return defined("services:\n  it:\n    commands: {start: serve}\n" + _indented(text)).services[0]


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())
