"""Tokens that nobody stores: what they allow stands in them, signed with the installation's key.

For what is made often and lives shortly or as long as a step: a row in the database for each would cost a
wait for the disk. Knows signatures. Must not know callers.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import asdict, dataclass
from typing import Final, Literal

from phased.access.key import Key
from phased.errors import Unauthenticated

Kind = Literal["step", "logs", "environment"]
"""A step's own; reading logs alone; using one environment."""

WITHOUT_USERS: Final = frozenset({"prebuild", "beforeSnapshot"})
"""Triggers during which the secrets of users do not exist."""
PREFIX: Final = "phased_t_"
_LONGEST: Final = 2048


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a signed token says."""

    kind: Kind
    environment_id: str
    expires_at: int | None
    """Microseconds since the epoch; None for a step's, which is good as long as its environment is there."""
    user_id: str | None = None
    """The user it was made for."""
    uid: int | None = None
    user_secrets: bool = True


def of_step(environment_id: str, started_by: str = "") -> Ticket:
    """What a step's token says; `started_by` as in an execution's metadata."""
    return Ticket("step", environment_id, None, user_secrets=started_by not in WITHOUT_USERS)


def sign(key: Key, ticket: Ticket) -> str:
    """The token. Raises KeyUnusable."""
    said = {name: value for name, value in asdict(ticket).items() if value not in (None, "", True)}
    body = urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{PREFIX}{body}.{_signature(key, body)}"


def read(key: Key, token: str, now: int) -> Ticket:
    """What a token says. Raises Unauthenticated where it is not ours, or is expired; KeyUnusable."""
    body, _, signature = token.removeprefix(PREFIX).partition(".")
    try:
        genuine = len(token) <= _LONGEST and hmac.compare_digest(
            signature.encode("ascii"), _signature(key, body).encode("ascii")
        )
        if not genuine:
            raise ValueError
        ticket = Ticket(
            **{"expires_at": None, **json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))}
        )
    except (ValueError, TypeError, Base64Error):
        raise Unauthenticated(
            "cannot accept this token: it is not one of this daemon's; make a new one"
        ) from None
    if ticket.expires_at is not None and ticket.expires_at <= now:
        raise Unauthenticated("cannot accept this token: it has expired; make a new one")
    return ticket


def _signature(key: Key, body: str) -> str:
    return (
        urlsafe_b64encode(hmac.digest(key.derive("tickets"), body.encode(), "sha256")).rstrip(b"=").decode()
    )
