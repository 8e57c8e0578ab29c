"""Options that every verb has, before or after it, and what they lead to: settings, workspace, catalog.

Knows options and settings. Must not know any verb. The table: `cli: Everywhere`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from phased.errors import FileUnreadable

if TYPE_CHECKING:
    from phased.core.specs import Catalog
    from phased.loader import LoadedFile
    from phased.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

STANDARD_INPUT: Final = "-"
_KEY = "phased.common"
_MAX_INPUT = 4 * 1024 * 1024
"""Bytes of an automations file on standard input; the loader refuses more."""


class Common:
    """What was said with the options that every verb has. Settings and files are read when first needed."""

    def __init__(self, given: dict[str, Any]) -> None:
        """`given` holds the options by long name; those that were not given are missing."""
        self._given = given
        self._settings: Settings | None = None

    @property
    def output(self) -> str:
        """`text`, `json` or `yaml`."""
        return str(self._given.get("output") or "text")

    @property
    def quiet(self) -> bool:
        """Whether to leave out what is only for people who wait."""
        return bool(self._given.get("quiet"))

    @property
    def color(self) -> bool:
        """Whether colour is allowed where the stream is a terminal."""
        from phased.settings import wants_no_color  # noqa: PLC0415 - `--help` should not pay for it

        return not (self._given.get("no_color") or wants_no_color())

    @property
    def settings(self) -> Settings:
        """All settings, flags included. Raises SettingsError, FileUnreadable."""
        if self._settings is None:
            self._settings = self.settings_with({})
        return self._settings

    def settings_with(self, flags: dict[str, tuple[Any, str]]) -> Settings:
        """All settings, where a verb's own flags (value and option by `section.key`) stand above the rest."""
        from phased import settings  # noqa: PLC0415 - see color

        given = self._given
        if (state_dir := given.get("state_dir")) is not None:
            flags = {"paths.state_dir": (str(Path(state_dir).absolute()), "--state-dir"), **flags}
        if (socket := given.get("socket")) is not None:
            flags = {"paths.socket": (str(Path(socket).absolute()), "--socket"), **flags}
        config = given.get("config")
        return settings.load(Path(config) if config else None, flags=flags)

    def said(self, name: str) -> str | None:
        """An option as it was given on the command line, by its long name; None where it was not."""
        value = self._given.get(name)
        return None if value is None else str(value)

    @property
    def workspace(self) -> Path:
        """The workspace directory, absolute and resolved. Raises FileUnreadable where there is none."""
        directory = self._given.get("directory")
        try:
            workspace = Path(directory or ".").resolve(strict=True)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FileUnreadable(
                f"cannot use the workspace directory {directory or '.'}: {reason}; "
                "make it, or name another with -C"
            ) from error
        if not workspace.is_dir():
            raise FileUnreadable(
                f"cannot use the workspace directory {directory}: it is not a directory; name one with -C"
            )
        return workspace

    @property
    def file(self) -> str | None:
        """The automations file as it was named; None: it is looked for in the workspace."""
        given = self._given.get("file")
        return None if given is None else str(given)

    def load(self, file: str | None = None, *, lenient: bool = False, portable: bool = False) -> LoadedFile:
        """The automations file with all that is wrong in it. Raises FileUnreadable."""
        from phased import loader  # noqa: PLC0415 - see color

        name = file if file is not None else self.file
        if name == STANDARD_INPUT:
            text = sys.stdin.buffer.read(_MAX_INPUT + 1) if sys.stdin else b""
            return loader.read(None, text=text, lenient=lenient, portable=portable)
        path = Path(name) if name is not None else loader.find(self.workspace)
        return loader.read(path, lenient=lenient, portable=portable)

    def catalog(self, *, lenient: bool = False) -> Catalog:
        """Everything that the automations file defines; its warnings go to standard error.

        Raises FileUnreadable, InvalidFile.
        """
        from phased import loader  # noqa: PLC0415 - see color
        from phased.cli.diagnostics import write_diagnostics  # noqa: PLC0415 - see color
        from phased.core.specs import Catalog, environment_id  # noqa: PLC0415 - see color

        if "config" in self._given:
            _ = self.settings  # a file that was named must be there, whether or not this verb needs it
        loaded = self.load(lenient=lenient)
        definitions = loader.definitions(loaded)
        if not self.quiet:
            write_diagnostics(loaded.file, loaded.diagnostics)
        return Catalog(environment_id(str(self.workspace)), definitions)

    def note(self, text: str) -> None:
        """Something for a person who reads along, on standard error."""
        if not self.quiet:
            click.echo(text, err=True)


class _Format(click.Choice[str]):
    """`-o json`; also `-o=json`, as other programs of this kind take it."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take the name."""
        return super().convert(str(value).removeprefix("="), param, ctx)


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> object:
    """Remember what was given, wherever it stood; the last one counts."""
    source = context.get_parameter_source(parameter.name or "")
    if source is click.core.ParameterSource.COMMANDLINE:
        given(context)[parameter.name or ""] = value
    return value


def given(context: click.Context) -> dict[str, Any]:
    """The common options that were given so far."""
    found: dict[str, Any] = context.meta.setdefault(_KEY, {})
    return found


def _option(*names: str, **facts: Any) -> click.Option:  # noqa: ANN401 - click's own parameters
    return click.Option(names, expose_value=False, callback=_keep, **facts)


def common_parameters() -> list[click.Parameter]:
    """The options of `cli: Everywhere`, new ones at each call."""
    return [
        _option("-C", "--directory", metavar="DIR", help="Workspace directory. Default: the current one."),
        _option("-f", "--file", metavar="FILE", help="Automations file, - for standard input."),
        _option("--state-dir", metavar="DIR", help="Where state and logs live."),
        _option("--socket", metavar="PATH", help="The daemon's socket."),
        _option("--address", metavar="URL", help="A daemon on TCP, as http://127.0.0.1:7000."),
        _option("--token-file", metavar="FILE", help="File with the token that the daemon asks for."),
        _option("--token", metavar="TOKEN", help="The token itself; others can read it in the process list."),
        _option(
            "-e", "--environment", "--environment-id", metavar="ID", help="Which of its environments."
        ),
        _option("--config", metavar="FILE", help="File of settings."),
        _option(
            "-o", "--output", type=_Format(["text", "json", "yaml"]), help="Format of the answer.",
            show_default="text",
        ),
        _option("-q", "--quiet", is_flag=True, help="No progress, no notes."),
        _option("--no-color", is_flag=True, help="No colour; as NO_COLOR in the environment."),
    ]  # fmt: skip


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that all have, and its function a Common as the first argument."""

    @click.pass_context
    def verb(context: click.Context, /, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own
        return function(Common(given(context)), *arguments, **options)

    wrapped: Any = update_wrapper(verb, function)
    # click's mark for a paragraph whose lines stay as they are
    wrapped.__doc__ = (function.__doc__ or "").replace("    Examples:\n", "    \b\n    Examples:\n")
    parameters = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = [*reversed(common_parameters()), *parameters]
    return wrapped  # type: ignore[no-any-return]
