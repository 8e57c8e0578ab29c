"""`phased schema`: the JSON Schema of the automations file, for editors.

Knows how to print it. What it says is the loader's.
"""

from __future__ import annotations

import json

import click

from phased.cli.options import Common, common_options


@click.command("schema", short_help="Print the JSON Schema of the automations file, for editors.")
@common_options
def schema(common: Common) -> int:
    """Print the JSON Schema (draft 2020-12) of the automations file.

    Editors that use the YAML language server take it from the first line of the automations file.

    Examples:
      phased schema > .ona/automations.schema.json
      # and as the first line of .ona/automations.yaml:
      # yaml-language-server: $schema=automations.schema.json
    """
    from phased import loader  # noqa: PLC0415 - `--help` should not pay for it

    if common.output == "yaml":
        from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format

        write_value(loader.schema(), common.output)
    else:
        click.echo(json.dumps(loader.schema(), indent=2, ensure_ascii=False))
    return 0
