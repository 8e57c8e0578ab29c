"""Codes that log in to the page, once: made over the socket, redeemed by a browser.

Knows callers, roles and time. Must not know HTTP. Of a code only its SHA-256 is kept, in memory; what it
opens is a token, made when it is redeemed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from phased.access.roles import closed
from phased.access.tokens import check_grant
from phased.contract.resource import ResourceRole
from phased.errors import FailedPrecondition

if TYPE_CHECKING:
    from phased.access.callers import Caller
    from phased.ports import Clock

PATIENCE: Final = 300.0
"""Seconds for which a code is good."""
_MOST: Final = 1000
"""Codes that wait at a time."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a code opens."""

    maker: Caller
    roles: frozenset[ResourceRole]
    environment_id: str | None
    ends: float
    """Of the boot clock, in seconds."""


class WebLogins:
    """Those that wait. `origin` is the address of the page."""

    def __init__(self, origin: str, clock: Clock) -> None:
        """There are none."""
        self.origin = origin
        self._clock = clock
        self._waiting: dict[bytes, Login] = {}

    def create(self, maker: Caller, roles: frozenset[ResourceRole], environment_id: str | None) -> str:
        """The address that logs in. Raises PermissionDenied, InvalidArgument as a token's making does.

        Raises FailedPrecondition where too many wait.
        """
        check_grant(maker, roles, environment_id)
        self._forget_old()
        if len(self._waiting) >= _MOST:
            raise FailedPrecondition("cannot make another address: too many wait to be opened; wait a moment")
        code = secrets.token_urlsafe(32)
        ends = self._clock.boot() + PATIENCE
        self._waiting[_digest(code)] = Login(maker, roles, environment_id, ends)
        return f"{self.origin}/web/login?code={code}"

    def redeem(self, code: str) -> Login | None:
        """What it opens; None where it is unknown, used or too old. It is good once."""
        self._forget_old()
        return self._waiting.pop(_digest(code), None)

    def _forget_old(self) -> None:
        now = self._clock.boot()
        self._waiting = {digest: one for digest, one in self._waiting.items() if one.ends > now}


def reachable(origin: str) -> str:
    """An address that a browser on this machine can open, where the daemon listens on all there are."""
    return origin.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def widest(
    maker: Caller, environment_id: str | None, known: Iterable[ResourceRole]
) -> frozenset[ResourceRole]:
    """All of the known roles that a caller can give to a token, without those that others of them hold."""
    given = frozenset(
        role
        for role in known
        if maker.holds((role,), environment_id) or (environment_id is None and role in maker.own)
    )
    return frozenset(
        role for role in given if not any(role in closed(frozenset({one})) for one in given - {role})
    )


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
