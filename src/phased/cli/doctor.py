"""`phased doctor`: what this machine has, and what would keep the daemon from working.

Knows the order of the checks and how they are shown. What each looks at, `checks` knows.
"""

from __future__ import annotations

from typing import Final

import click

from phased.cli.options import Common, common_options

_MARKS: Final = {"ok": "ok", "note": "note", "error": "ERROR"}
_COLORS: Final = {"ok": "green", "note": "yellow", "error": "red"}


@click.command("doctor", short_help="Check this machine: what would keep the daemon from working.")
@common_options
def doctor(common: Common) -> int:
    """Check what the daemon needs of this machine: socket, permissions, shell, docker, cgroups, disk, clock.

    Nothing is changed. An error means that something will not work; a note is worth knowing. Exit code 1
    where there is an error.

    Examples:
      phased doctor
      sudo phased doctor --state-dir /var/lib/phased
      phased doctor -o json
    """
    from phased.cli.checks import examine  # noqa: PLC0415 - `--help` should not pay for it

    findings = list(examine(common))
    if common.output == "text":
        width = max(len(one.name) for one in findings)
        for one in findings:
            mark = click.style(f"{_MARKS[one.state]:<5}", fg=_COLORS[one.state])
            click.echo(f"{mark} {one.name:<{width}}  {one.detail}", color=None if common.color else False)
            if one.advice:
                click.echo(f"{'':<{width + 8}}{one.advice}")
    else:
        from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format

        value = [
            {"name": one.name, "state": one.state, "detail": one.detail, "advice": one.advice}
            for one in findings
        ]
        write_value(
            {"healthy": all(one.state != "error" for one in findings), "checks": value}, common.output
        )
    return int(any(one.state == "error" for one in findings))
