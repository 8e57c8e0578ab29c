"""`phased serve`: the daemon, in the foreground.

Knows options. The daemon itself is `phased.serving.serve`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from phased.cli.options import Common, common_options


@click.command("serve", short_help="Run the daemon, in the foreground.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Listen on TCP too; a token is needed there. Port 0 takes a free one.",
)
@click.option("--web", is_flag=True, help="Serve the page too; `phased web` logs in to it.")
@common_options
def serve(common: Common, listen: str | None, web: bool) -> int:
    """Run the daemon for a workspace and whatever other environments it is asked for.

    It answers on its socket, which only you may use, and says READY on standard error once it does.
    Ctrl-C or SIGTERM ends it: running work is stopped, or goes on, as the setting daemon.on_stop says; a
    second one kills. SIGHUP without a terminal, or `phased reload`, lets a new version take its place.

    Examples:
      phased serve
      phased serve --web
      phased serve -C ~/project --listen 127.0.0.1:7000
      phased serve --state-dir /var/lib/phased --socket /run/phased/phased.sock
    """
    if os.getpid() == 1:
        _become_init()
    import anyio  # noqa: PLC0415 - heavy, and `--help` should not pay for it

    from phased.serving import serve as serving  # noqa: PLC0415 - the same

    flags: dict[str, tuple[Any, str]] = {}
    if listen is not None:
        flags["listen.address"] = (listen, "--listen")
    if web:
        flags["web.enabled"] = (True, "--web")
    handover = anyio.run(serving.serve, common.settings_with(flags), common.workspace, _say)
    if handover is not None:
        handover.run()
    return 0


def _say(text: str) -> None:
    click.echo(text, err=True)


def _become_init() -> None:
    """Process 1 must outlive the daemon: it becomes a small one that starts this command line again."""
    init = Path(__file__).parents[1] / "supervisor" / "init.py"
    again = [sys.executable, "-m", "phased", *sys.argv[1:]]
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-X", "utf8", str(init), *again])  # noqa: S606 - no shell
