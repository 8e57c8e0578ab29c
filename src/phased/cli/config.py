"""`phased config show`: every setting, its value and where it came from.

Knows settings as data. Must not know what they are used for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from phased.cli.options import Common, common_options

if TYPE_CHECKING:
    from phased.settings import Settings


@click.group("config", short_help="Show settings and where they came from.")
def config() -> None:
    """Show settings.

    A later one wins: default, /etc/phased/phased.toml and $XDG_CONFIG_HOME/phased/phased.toml (or the file
    given by --config), environment variables PHASED_SECTION_KEY, options.
    """


@config.command("show", short_help="Every setting and its value.")
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@common_options
def show(common: Common, origin: bool) -> int:
    """Show every setting and its value, as the file of settings would hold it.

    Examples:
      phased config show
      phased config show --origin
      PHASED_RUN_MAX_PARALLEL=8 phased config show --origin -o json
    """
    settings = common.settings
    if common.output != "text":
        from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format

        write_value(_value(settings, origin=origin), common.output)
        return 0
    for line in _lines(settings, origin=origin):
        click.echo(line)
    return 0


def _values(settings: Settings) -> list[tuple[str, str, Any]]:
    from phased.settings import all_settings  # noqa: PLC0415 - `--help` should not pay for it

    return [(s.section, s.key, getattr(getattr(settings, s.section), s.key)) for s in all_settings()]


def _value(settings: Settings, *, origin: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for section, key, value in _values(settings):
        shown = {"value": value, "origin": settings.origin(f"{section}.{key}")} if origin else value
        answer.setdefault(section, {})[key] = shown
    return answer


def _lines(settings: Settings, *, origin: bool) -> list[str]:
    lines: list[str] = []
    last = None
    for section, key, value in _values(settings):
        if section != last:
            lines += ([""] if last else []) + [f"[{section}]"]
            last = section
        text = f"{key} = {toml_value(value)}"
        lines.append(f"{text:<40}  # {settings.origin(f'{section}.{key}')}" if origin else text)
    return lines


def toml_value(value: Any) -> str:  # noqa: ANN401 - any setting
    """A value as the file of settings holds it."""
    import json  # noqa: PLC0415 - rarely needed

    match value:
        case bool():
            return "true" if value else "false"
        case tuple() | list():
            return f"[{', '.join(toml_value(part) for part in value)}]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml_value(part)}" for key, part in value.items()) + "}"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def example_file() -> str:
    """A file of settings that changes nothing: every setting with its meaning and default, commented out."""
    import textwrap  # noqa: PLC0415 - rarely needed

    from phased.settings import all_settings, sections  # noqa: PLC0415 - `--help` should not pay for it

    lines = [
        "# Settings of phased: every setting, its meaning and its default.",
        "# Read from /etc/phased/phased.toml, then $XDG_CONFIG_HOME/phased/phased.toml; or from the file",
        "# that --config names.",
        "# The environment variable of a setting stands above the file, an option above both.",
        '# A duration is a number of seconds or text: "1.5s", "10m", "1h30m".',
    ]
    kinds = sections()
    last = None
    for item in all_settings():
        if item.section != last:
            lines += ["", f"# {kinds[item.section].__doc__}", f"[{item.section}]"]
            last = item.section
        facts = [item.meaning]
        if item.choices:
            facts.append(f"One of: {', '.join(item.choices)}.")
        if item.least is not None:
            facts.append(f"At least {item.least:g}.")
        facts.append(f"Variable: {item.variable}.")
        lines += ["", *textwrap.wrap(" ".join(facts), 100, initial_indent="# ", subsequent_indent="# ")]
        lines.append(f"#{item.key} = {toml_value(item.default)}")
    return "\n".join(lines) + "\n"
