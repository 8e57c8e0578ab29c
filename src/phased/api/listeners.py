"""Where the daemon listens: its unix socket, and TCP where settings say so.

Knows sockets, TLS and settings. Must not know what is answered.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phased.api.gate import Listener
from phased.api.server import BACKLOG, Bound
from phased.errors import FileUnreadable, SettingsError

if TYPE_CHECKING:
    from phased.settings import Settings

_LOCAL_ORIGIN: Final = "http://localhost"
_LONGEST_PATH: Final = 107
"""Bytes of a unix socket's path (unix(7))."""


def bind_unix(path: Path) -> Bound:
    """The daemon's own socket. Raises FileUnreadable."""
    return Bound(listen_unix(path), Listener(_LOCAL_ORIGIN, local=True))


def bind_tcp(settings: Settings) -> Bound:
    """Raises SettingsError, FileUnreadable."""
    made = listen_tcp(settings.listen.address)
    try:
        return _of_tcp(made, settings)
    except SettingsError:
        made.close()
        raise


def bind_web(settings: Settings, remembered: Path) -> Bound:
    """Where the page is served. `remembered` is a file that names the port of the last time.

    Raises SettingsError, FileUnreadable.
    """
    address = settings.web.address
    made = listen_tcp(address, "set web.address") if address else _listen_again(remembered)
    try:
        bound = web_bound(made, settings)
        remembered.write_text(spell_address(made))
    except OSError as error:
        made.close()
        raise FileUnreadable(f"cannot write {remembered}: {error.strerror or error}") from error
    except SettingsError:
        made.close()
        raise
    return bound


def web_bound(made: socket.socket, settings: Settings) -> Bound:
    """A socket on which the page is served; only one that settings name has their certificate.

    Raises SettingsError.
    """
    made.setblocking(False)
    bound = _of_tcp(made, settings, with_tls=bool(settings.web.address))
    return replace(bound, listener=replace(bound.listener, name="web", pages=True))


def is_web(made: socket.socket, settings: Settings, remembered: Path) -> bool:
    """Whether a socket that was passed to this process is that of the page.

    The one of the last time, or what settings name.
    """
    if made.family == socket.AF_UNIX:
        return False
    return spell_address(made) in {_read_text(remembered), settings.web.enabled and settings.web.address}


def spell_address(made: socket.socket) -> str:
    """`127.0.0.1:7000`, `[::1]:7000`."""
    host, port = made.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_again(remembered: Path) -> socket.socket:
    """On the port of the last time where it is free, so that pages that are open find the daemon again."""
    text = _read_text(remembered)
    try:
        if text.startswith("127.0.0.1:"):
            return listen_tcp(text)
    except (FileUnreadable, SettingsError):
        pass
    return listen_tcp("127.0.0.1:0")


def _read_text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""


def adopt(made: socket.socket, settings: Settings) -> Bound:
    """A socket on which a service manager listened for this daemon. Raises SettingsError."""
    made.setblocking(False)
    if made.family == socket.AF_UNIX:
        return Bound(made, Listener(_LOCAL_ORIGIN, local=True))
    return _of_tcp(made, settings)


def is_at(bound: Bound, path: Path) -> bool:
    """Whether a socket is the unix socket of this path."""
    return bound.socket.family == socket.AF_UNIX and bound.socket.getsockname() == os.fspath(path)


def _of_tcp(made: socket.socket, settings: Settings, *, with_tls: bool = True) -> Bound:
    listen = settings.listen
    host, port = made.getsockname()[:2]
    if not ip_address(host).is_loopback and not listen.remote:
        raise SettingsError(
            f"cannot listen on {host}:{port}: others could reach it; set listen.remote to allow "
            "that, or take 127.0.0.1"
        )
    tls = _tls(settings) if with_tls else None
    shown = f"[{host}]" if ":" in host else host
    names = {f"{one}:{port}" for one in (shown, "localhost", "127.0.0.1", "[::1]")}
    names |= {one.lower() for one in listen.hosts}
    scheme = "http" if tls is None else "https"
    return Bound(made, Listener(f"{scheme}://{shown}:{port}", False, frozenset(names), "tcp"), tls)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    listen = settings.listen
    if not listen.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(listen.certificate, listen.key or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"cannot use listen.certificate {listen.certificate}: {error.strerror or error}; give a PEM file "
            "with the certificate, and its key in listen.key"
        ) from error
    return context


def listen_unix(path: Path) -> socket.socket:
    """A socket that only this user may connect to. What an ended daemon left in its place is replaced.

    Raises FileUnreadable where that cannot be, or somebody listens there.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise FileUnreadable(
            f"cannot listen on {path}: the path is longer than {_LONGEST_PATH} bytes; use --socket"
        )
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_abandoned(path)
        before = os.umask(0o177)
        try:
            made.bind(os.fspath(path))
        finally:
            os.umask(before)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise FileUnreadable(f"cannot listen on {path}: {error.strerror or error}; use --socket") from error
    except FileUnreadable:
        made.close()
        raise
    return made


def _remove_abandoned(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileUnreadable(
                f"cannot listen on {path}: something that is no socket is there; use --socket"
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise FileUnreadable(
                f"cannot listen on {path}: {error.strerror or error}; use --socket"
            ) from error
    raise FileUnreadable(f"cannot listen on {path}: another process listens there; use --socket")


def listen_tcp(address: str, hint: str = "use --listen") -> socket.socket:
    """A socket on `HOST:PORT`; port 0 takes a free one. Raises SettingsError, FileUnreadable."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise FileUnreadable(f"cannot listen on {address}: {error.strerror or error}; {hint}") from error
    return made


def split_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:7000`, `[::1]:7000`, `:7000` (loopback). Raises SettingsError."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"cannot listen on {address!r}: it is HOST:PORT, as 127.0.0.1:7000")
    return host.strip("[]") or "127.0.0.1", int(port)
