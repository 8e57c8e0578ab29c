"""`phased completion SHELL`: the script that completes commands; click makes it.

Knows click's shells. Must not know any verb.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from phased.cli.options import Common, common_options


@click.command("completion", short_help="Print a script that completes commands in your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
def completion(common: Common, shell: str) -> int:  # noqa: ARG001 - every verb takes the common options
    """Print a script that completes commands in your shell.

    Examples:
      phased completion bash > ~/.local/share/bash-completion/completions/phased
      phased completion fish > ~/.config/fish/completions/phased.fish
    """
    click.echo(script_for(shell))
    return 0


def script_for(shell: str) -> str:
    """The script. Raises UsageError for a shell that there is none for."""
    from phased.cli.application import application  # noqa: PLC0415 - it imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"cannot complete in {shell}: there is no script for it")
    script = kind(application, {}, "phased", "_PHASED_COMPLETE")
    return str(kind.source_template % script.source_vars())
