"""`phased web`: an address that logs in to the daemon's page, once; with a browser, opens it.

Knows the daemon's own method and browsers. Must not know pages. The address holds a code that whoever has it
first can use: it is shown on the terminal, and never put into the arguments of a process.
"""

from __future__ import annotations

import html
import os
from contextlib import suppress
from pathlib import Path

import click

from phased.cli import showing
from phased.cli.connection import connected
from phased.cli.options import Common, common_options
from phased.contract.phased_v1_web import CreateWebLoginRequest
from phased.errors import SettingsError
from phased.settings import has_display


@click.command("web", short_help="Log in to the daemon's page, in a browser.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="What the page may do, as ENVIRONMENT_VIEWER; again for more. Default: all that you may.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@common_options
def web(common: Common, roles: tuple[str, ...], no_browser: bool) -> int:
    """Print an address that logs in to the page of the daemon, and open it where there is a browser.

    The address is good once, within five minutes; what it opens, for twelve hours. The daemon serves the page
    when it is started as `phased serve --web`, or with the setting web.enabled.

    Examples:
      phased web
      phased web --role ENVIRONMENT_VIEWER --no-browser
    """
    with connected(common) as daemon:
        wanted = common.said("environment")
        environment = None if wanted is None else daemon.find_environment(wanted)
        answer = daemon.client.create_web_login(
            CreateWebLoginRequest(roles=roles, environment_id=environment)
        )
    if common.output != "text":
        showing.write_message(common, answer)
        return 0
    address = answer.address or ""
    click.echo(address)
    if not no_browser and has_display():
        with suppress(SettingsError):
            _open(address, common.settings.state_directory)
    return 0


def _open(address: str, directory: Path) -> None:
    """Let a browser follow it from a file that only this user can read: arguments are public (proc(5))."""
    import webbrowser  # noqa: PLC0415 - only where there is a display

    file = directory / "web-login.html"
    safe = html.escape(address)
    page = (
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={safe}">'
        f'<meta name="referrer" content="no-referrer"><title>phased</title><p><a href="{safe}">Go on</a>\n'
    )
    with suppress(OSError, webbrowser.Error):
        file.unlink(missing_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(page)
        webbrowser.open(file.absolute().as_uri())
