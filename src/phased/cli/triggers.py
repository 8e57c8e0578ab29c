"""The names of triggers as an argument: those of the automations file (`semantics: Triggers`)."""

from __future__ import annotations

from typing import Final

import click

TRIGGERS: Final = (
    "manual",
    "postMachineStart",
    "postEnvironmentStart",
    "postDevcontainerStart",
    "prebuild",
    "beforeSnapshot",
)


class TriggerName(click.ParamType[str]):
    """One of the triggers, as the file spells it."""

    name = "trigger"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the name; say which was likely meant."""
        import difflib  # noqa: PLC0415 - only for a mistake

        lower = {name.lower(): name for name in TRIGGERS}
        near = difflib.get_close_matches(str(value).lower(), list(lower), n=1)
        hint = f"did you mean {lower[near[0]]}?" if near else f"there are: {', '.join(TRIGGERS)}"
        if value not in TRIGGERS:
            self.fail(f"there is no trigger {value!r}; {hint}", param, ctx)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[click.shell_completion.CompletionItem]:
        """Complete the names."""
        return [
            click.shell_completion.CompletionItem(name) for name in TRIGGERS if name.startswith(incomplete)
        ]


TRIGGER: Final = TriggerName()
