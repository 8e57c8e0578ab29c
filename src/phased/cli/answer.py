"""Answers on standard output: text, JSON or YAML of a plain value.

Knows formats. Must not know what an answer means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def write_value(value: Any, output: str) -> None:  # noqa: ANN401 - any JSON value
    """One value, as `json` (one line) or `yaml`."""
    click.echo(json_text(value) if output == "json" else yaml_text(value).removesuffix("\n"))


def json_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def yaml_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The same as YAML; text of several lines, as commands are, as a block."""
    import yaml  # noqa: PLC0415 - only for `-o yaml`

    class Dumper(yaml.SafeDumper):
        """Its own table of representers."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    return str(yaml.dump(value, Dumper=Dumper, allow_unicode=True, sort_keys=False))


def columns(rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> list[str]:
    """A table of text: each column as wide as it needs, the last as it is."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
