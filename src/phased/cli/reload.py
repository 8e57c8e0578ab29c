"""`phased reload`: the daemon's next version takes its place.

Knows whom to ask, and how to see that it was done. The rest is the daemon's.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Final

import click

from phased.cli.connection import connected
from phased.cli.options import Common, common_options
from phased.contract.phased_v1 import Daemon, GetStatusRequest
from phased.errors import PermissionDenied, PhasedError, Unavailable

_PATIENCE: Final = 60.0
_PAUSE: Final = 0.05


@click.command("reload", short_help="Let the daemon's new version take its place.")
@common_options
def reload(common: Common) -> int:
    """Start what is installed now in the place of the daemon that runs.

    It keeps its pid and its sockets; steps and services go on, and clients at most connect again. Settings
    are read anew. If the new version cannot be loaded, the old one stays.

    Examples:
      pip install --upgrade phased && phased reload
    """
    from phased import daemon  # noqa: PLC0415 - heavy, and `--help` should not pay for it

    before = _daemon(common)
    pid = int(before.pid or 0)
    try:
        os.kill(pid, signal.SIGUSR2)
    except ProcessLookupError:
        raise Unavailable(f"cannot reload the daemon: process {pid} is not on this machine") from None
    except PermissionError:
        raise PermissionDenied(f"cannot reload the daemon {pid}: it is another user's") from None
    clock = daemon.system_clock()
    deadline = clock.boot() + _PATIENCE
    while clock.boot() < deadline:
        with suppress(PhasedError):  # it is between two versions
            now = _daemon(common)
            if now.started_at != before.started_at:
                click.echo(f"phased {now.version} runs as process {now.pid}", err=True)
                return 0
        time.sleep(_PAUSE)
    raise Unavailable(f"cannot see that the daemon {pid} was reloaded; its log says why")


def _daemon(common: Common) -> Daemon:
    with connected(common) as connection:
        found = connection.client.get_status(GetStatusRequest()).daemon
    if found is None:
        raise Unavailable("cannot reload the daemon: it does not say which process it is")
    return found
