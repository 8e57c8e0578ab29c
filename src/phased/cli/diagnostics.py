"""How what is wrong in an automations file is shown to people.

Knows diagnostics. Must not know YAML or the loader's rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from phased.loader import Diagnostic


def diagnostic_lines(file: str, diagnostic: Diagnostic) -> list[str]:
    """`FILE:LINE:COLUMN: error: MESSAGE`, and the hint below it (`cli: Verbs that need no daemon`)."""
    return diagnostic.render(file).splitlines()


def write_diagnostics(file: str, diagnostics: Iterable[Diagnostic]) -> None:
    """All of them on standard error."""
    for diagnostic in diagnostics:
        for line in diagnostic_lines(file, diagnostic):
            click.echo(line, err=True)
