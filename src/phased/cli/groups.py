"""Groups of verbs that are imported when they are called.

Knows how a verb is found. Must not know what one does.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

Verbs = Mapping[str, tuple[str, str]]
"""Each verb: its module in this package and its command there (`task:start`), and its line in the help;
those without a line are not listed."""


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are called; help needs none of them."""

    def __init__(self, verbs: Verbs, **facts: Any) -> None:  # noqa: ANN401 - click's own parameters
        super().__init__(**facts)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every verb, in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a verb."""
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"phased.cli.{module}"), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in self.verbs.items() if line])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which verb was likely meant."""
        if args and args[0] not in self.verbs and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib  # noqa: PLC0415 - only for a mistake

            near = difflib.get_close_matches(args[0], list(self.verbs), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(self.verbs)}"
            raise click.UsageError(f"cannot find a verb {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)
