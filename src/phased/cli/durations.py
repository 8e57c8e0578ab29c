"""Durations on the command line: `30s`, `10m`, `1h30m`. Knows how settings spell them."""

from __future__ import annotations

import click


class Duration(click.ParamType[float]):
    """Seconds, more than none."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it as a setting is read."""
        from phased.settings import duration  # noqa: PLC0415 - `--help` should not pay for it

        try:
            seconds = duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail("it is more than 0s", param, ctx)
        return seconds
