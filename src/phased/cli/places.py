"""Where the daemon is that a command line means.

Knows options, variables and settings. Must not know the client beyond an address. The order of places is that
of `cli: Everywhere`; an option counts for more than a variable.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from phased.cli.options import Common
from phased.client.address import Address
from phased.errors import FileUnreadable
from phased.settings import client_environment

SYSTEM_SOCKET: Final = Path("/run/phased/phased.sock")
"""Where the daemon listens that is a system service."""
_PATIENCE: Final = 10.0
"""Seconds in which a daemon that listens takes a connection."""


def address_of(common: Common) -> Address:
    """Where the daemon is that is meant, whether it is there or not.

    Raises SettingsError, FileUnreadable, InvalidArgument.
    """
    named = _named(common)
    if named is not None:
        return named
    for path in _sockets(common):
        if _answers(path):
            return Address.of_socket(path, _token(common))
    return Address.of_socket(common.settings.socket_path, _token(common))


def daemon_in_use(common: Common) -> Address | None:
    """The daemon to use where a verb could do without: a named one, or that of the state directory.

    Raises as `address_of`.
    """
    named = _named(common)
    if named is not None:
        return named
    for path in _own_sockets(common):
        if _answers(path):
            return Address.of_socket(path, _token(common))
    return None


def _named(common: Common) -> Address | None:
    """What an option names, or the variable for a daemon on TCP."""
    url, socket_path = common.said("address"), common.said("socket")
    if url is not None and socket_path is not None:
        raise click.UsageError("cannot use both --address and --socket; give one")
    if socket_path is not None:
        return Address.of_socket(common.settings.socket_path, _token(common))
    if url is None and common.said("state_dir") is None:
        url = client_environment().address
    return None if url is None else Address.of_url(url, _token(common))


def _sockets(common: Common) -> Iterator[Path]:
    """Where a daemon may listen, the likeliest first."""
    yield from _own_sockets(common)
    yield common.settings.socket_path
    yield SYSTEM_SOCKET


def _own_sockets(common: Common) -> Iterator[Path]:
    """What a variable or the settings name, and the lock of the state directory."""
    from phased import daemon  # noqa: PLC0415 - the composition root

    settings = common.settings
    configured = settings.origin("paths.socket") != "default"
    if configured and common.said("state_dir") is None:
        yield settings.socket_path
    held = daemon.daemon_socket(settings)
    if held is not None:
        yield held


def _answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(_PATIENCE)
        try:
            tried.connect(str(path))
        except OSError:
            return False
        return True


def _token(common: Common) -> str | None:
    if (file := common.said("token_file")) is not None:
        try:
            return Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise FileUnreadable(f"cannot read the token in {file}: {reason}") from error
    if (token := common.said("token")) is not None:
        common.note(
            "warning: everybody can read --token in the list of processes; use --token-file or PHASED_TOKEN"
        )
        return token
    return client_environment().token
