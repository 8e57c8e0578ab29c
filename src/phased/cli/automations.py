"""`phased automations`: the spellings of another program of this kind, which commands in real files use.

Knows which verbs they mean. Must not do anything itself but `init`.
"""

from __future__ import annotations

from pathlib import Path

import click

from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.errors import AlreadyExists, FileUnreadable

_SAMPLE = """\
# What this workspace runs: tasks end, services go on. `phased validate` checks this file.
tasks:
  hello:
    name: Say hello
    command: echo "hello from $PWD"
services: {}
"""

automations = LazyGroup(
    {
        "task": ("task:task", "As `phased task`."),
        "service": ("service:service", "As `phased service`."),
        "update": ("update:update", "As `phased update`."),
        "validate": ("validate:validate", "As `phased validate`."),
        "init": ("automations:init", "Write an automations file to begin with."),
    },
    name="automations",
    short_help="Other spellings: automations task, service, update, validate, init.",
    help="Other spellings of verbs, for commands that were written for another program of this kind.",
    params=common_parameters(),
    hidden=True,
)


@click.command("init", short_help="Write an automations file to begin with.")
@click.argument("named", metavar="[FILE]", required=False)
@common_options
def init(common: Common, named: str | None) -> int:
    """Write an automations file with one task into the workspace, where there is none.

    Examples:
      phased automations init
    """
    path = Path(named) if named is not None else common.workspace / ".ona" / "automations.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as made:
            made.write(_SAMPLE)
    except FileExistsError as error:
        raise AlreadyExists(f"cannot write {path}: it is there already") from error
    except OSError as error:
        raise FileUnreadable(f"cannot write {path}: {error.strerror or error}") from error
    click.echo(str(path))
    return 0
