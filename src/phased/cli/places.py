"""Where the daemon is that a command line means.

Knows options, variables and settings. Must not know the client beyond an address. The order of places is that
of `cli: Everywhere`; an option counts for more than a variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from phased.cli.options import Common
from phased.client.address import Address
from phased.errors import FileUnreadable
from phased.settings import client_environment

SYSTEM_SOCKET: Final = Path("/run/phased/phased.sock")
"""Where the daemon listens that is a system service."""


def address_of(common: Common) -> Address:
    """Where the daemon is that is meant, whether it is there or not."""
    return named_address(common) or Address.of_socket(_likely_socket(common), _token(common))


def daemon_in_use(common: Common) -> Address | None:
    """The daemon to use where a verb could do without: a named one, or that of the state directory."""
    named = named_address(common)
    if named is None or named.url is not None or common.said("socket") is not None:
        return named
    return named if named.socket is not None and Path(named.socket).exists() else None


def named_address(common: Common) -> Address | None:
    """What options, variables, settings or the lock of the state directory name."""
    from phased import daemon  # noqa: PLC0415 - the composition root

    url, socket = common.said("address"), common.said("socket")
    if url is not None and socket is not None:
        raise click.UsageError("cannot use both --address and --socket; give one")
    surroundings = client_environment()
    settings = common.settings
    token = _token(common)
    if url is None and socket is None and common.said("state_dir") is not None:
        held = daemon.daemon_socket(settings)
        if held is not None:
            return Address.of_socket(held, token)
    url = url or (None if socket else surroundings.address)
    if url is not None:
        return Address.of_url(url, token)
    if settings.origin("paths.socket") != "default":
        return Address.of_socket(settings.socket_path, token)
    held = daemon.daemon_socket(settings)
    return None if held is None else Address.of_socket(held, token)


def _likely_socket(common: Common) -> Path:
    own = common.settings.socket_path
    return SYSTEM_SOCKET if not own.exists() and SYSTEM_SOCKET.exists() else own


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
