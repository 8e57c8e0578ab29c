"""Where a daemon is, and what is shown to be let in.

Knows how an address is written. Must not know settings, files or HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from phased.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Address:
    """A daemon's unix socket, or its URL; exactly one of both. Use `of_socket` or `of_url`."""

    socket: str | None = None
    """The path of a unix socket."""
    url: str | None = None
    """`http://HOST:PORT` or `https://HOST:PORT`, without a slash at the end."""
    token: str | None = field(default=None, repr=False)
    certificates: str | None = None
    """File of the authorities that may vouch for an https address; None: those of the system."""

    @classmethod
    def of_socket(cls, path: object, token: str | None = None) -> Self:
        """The daemon that listens on the unix socket at `path` (text or a Path)."""
        return cls(socket=str(path), token=_checked(token))

    @classmethod
    def of_url(cls, url: str, token: str | None = None, certificates: str | None = None) -> Self:
        """The daemon at `http://HOST:PORT`; `HOST:PORT` alone is plain http. Raises InvalidArgument."""
        whole = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(whole)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
        except ValueError:
            usable = False
        if not usable or parts.username or parts.query or parts.fragment:
            raise InvalidArgument(
                f"cannot use the address {url!r}: it is http://HOST:PORT or https://HOST:PORT"
            )
        return cls(url=whole.rstrip("/"), token=_checked(token), certificates=certificates)

    @property
    def base_url(self) -> str:
        """What paths are appended to."""
        return self.url if self.url is not None else "http://localhost"

    def __str__(self) -> str:
        """The path or the URL; never the token."""
        return self.socket if self.socket is not None else self.base_url


def _checked(token: str | None) -> str | None:
    """What cannot stand in a header is no token."""
    if token is None:
        return None
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise InvalidArgument("cannot use this token: it is empty, or has blanks or control characters in it")
    return token
