"""`phased validate`: every error of an automations file, with its place and the likeliest correction.

Knows how diagnostics are shown. The rules are the loader's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from phased.cli.options import Common, common_options

if TYPE_CHECKING:
    from phased.loader import LoadedFile


@click.command("validate", short_help="Check an automations file: every error with its line and a hint.")
@click.argument("named", metavar="[FILE]", required=False)
@click.option("--lenient", is_flag=True, help="Unknown keys are warnings, for files written by others.")
@click.option("--portable", is_flag=True, help="Refuse the extensions that only phased understands.")
@common_options
def validate(common: Common, named: str | None, lenient: bool, portable: bool) -> int:
    """Check an automations file (- for standard input; without FILE, the one of the workspace).

    Shows all errors, each with line, column, what is wrong and how to mend it. Exits with 0 where the file
    is valid, 1 where it is not, 2 where there is none or it cannot be read.

    Examples:
      phased validate
      phased validate .gitpod/automations.yaml --lenient
      git show HEAD:.ona/automations.yaml | phased validate - -o json
    """
    loaded = common.load(named, lenient=lenient, portable=portable)
    if common.output != "text":
        from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format

        write_value(_value(loaded), common.output)
    else:
        for line in _lines(loaded, quiet=common.quiet):
            click.echo(line)
    return 0 if loaded.valid else 1


def _value(loaded: LoadedFile) -> dict[str, object]:
    return {
        "file": loaded.file.encode("utf-8", "replace").decode(),  # a path may be no text
        "valid": loaded.valid,
        "diagnostics": [found.to_dict() for found in loaded.diagnostics],
    }


def _lines(loaded: LoadedFile, *, quiet: bool) -> list[str]:
    lines = loaded.render().splitlines()
    if loaded.definitions is not None and not quiet:
        tasks, services = len(loaded.definitions.tasks), len(loaded.definitions.services)
        lines.append(
            f"{loaded.shown_file}: valid: {_counted(tasks, 'task')}, {_counted(services, 'service')}"
        )
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
