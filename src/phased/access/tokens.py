"""Tokens that are made, listed and revoked. Of each only its SHA-256 is kept: it is shown once, when made.

Knows records, roles and the store's port. Must not know requests. A token is 256 random bits, so its digest
needs no salt. All are in memory: to check one is a look into a dictionary.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from phased.access.roles import closed
from phased.contract.resource import ResourceRole as Role
from phased.contract.subject import Principal
from phased.core.access import TokenRecord
from phased.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from phased.ports import AccessStore, Clock

if TYPE_CHECKING:
    from phased.access.callers import Caller

PREFIX: Final = "phased_k_"
"""Never that of a ticket, whatever the random part begins with."""
DEFAULT_ROLE: Final = Role.ENVIRONMENT_USER
_SECOND: Final = 1_000_000
_LONGEST_DESCRIPTION: Final = 200


class Tokens:
    """All tokens. Make one with `open`."""

    def __init__(self, store: AccessStore, clock: Clock, records: Iterable[TokenRecord]) -> None:
        """Use `open`."""
        self._store = store
        self._clock = clock
        self._by_digest = {record.digest: record for record in records}
        self.changed: Callable[[], None] = lambda: None
        """Called after a token was revoked."""

    @classmethod
    async def open(cls, store: AccessStore, clock: Clock) -> Tokens:
        """Read what there is; those that have expired are forgotten. Raises StoreError."""
        now = clock.wall()
        records = await store.list_tokens()
        expired = [record.id for record in records if _is_expired(record, now)]
        if expired:
            await store.remove_tokens(expired)
        return cls(store, clock, (record for record in records if not _is_expired(record, now)))

    async def create(
        self,
        maker: Caller,
        roles: frozenset[Role],
        environment_id: str | None = None,
        expires_in: float | None = None,
        *,
        description: str = "",
    ) -> tuple[TokenRecord, str]:
        """A new token, for its maker's use, and what shows it; `expires_in` in seconds.

        Raises PermissionDenied where it would allow more than its maker may, InvalidArgument, StoreError.
        """
        check_grant(maker, roles, environment_id)
        if expires_in is not None and not 0 < expires_in < 1e9:
            raise InvalidArgument(
                "cannot make the token: expires must be more than 0s; leave it out for never"
            )
        if len(description) > _LONGEST_DESCRIPTION:
            raise InvalidArgument(
                f"cannot make the token: description has more than {_LONGEST_DESCRIPTION} characters"
            )
        token = PREFIX + secrets.token_urlsafe(32)
        now = self._clock.wall()
        record = TokenRecord(
            id=str(uuid4()), digest=_digest(token), roles=tuple(sorted(role.value for role in roles)),
            environment_id=environment_id, created_at=now,
            expires_at=_end(maker, now, expires_in),
            creator_id=maker.creator_id, creator_principal=(maker.subject.principal or Principal.USER).value,
            uid=maker.uid, description=description,
        )  # fmt: skip
        await self._store.save_token(record)
        self._by_digest[record.digest] = record
        return record, token

    def listed(self, viewer: Caller) -> list[TokenRecord]:
        """Those that are good now, oldest first: an admin sees all, others their own."""
        now = self._clock.wall()
        return [
            record
            for record in sorted(self._by_digest.values(), key=lambda record: (record.created_at, record.id))
            if not _is_expired(record, now) and _is_theirs(record, viewer)
        ]

    async def revoke(self, token_id: str, viewer: Caller) -> None:
        """It is refused from now on. Raises NotFound, also for one that the caller cannot see; StoreError."""
        record = next((one for one in self.listed(viewer) if one.id == token_id), None)
        if record is None:
            raise NotFound(
                f"cannot revoke the token {token_id}: there is none; `phased token list` shows them"
            )
        await self._store.remove_tokens([record.id])
        self._by_digest.pop(record.digest, None)
        self.changed()

    def find(self, token: str) -> TokenRecord:
        """What a token is. Raises Unauthenticated where it is unknown, revoked or expired."""
        record = self._by_digest.get(_digest(token))
        if record is None:
            raise Unauthenticated("cannot accept this token: it is unknown or revoked; make a new one")
        if _is_expired(record, self._clock.wall()):
            raise Unauthenticated("cannot accept this token: it has expired; make a new one")
        return record

    def has(self, token_id: str) -> bool:
        """Whether a token is there and has not expired."""
        now = self._clock.wall()
        return any(one.id == token_id and not _is_expired(one, now) for one in self._by_digest.values())


def check_grant(maker: Caller, roles: frozenset[Role], environment_id: str | None) -> None:
    """Raises InvalidArgument for no role at all, PermissionDenied for one that the maker has not."""
    if not roles:
        raise InvalidArgument("cannot make the token: it takes a role; give --role")
    within = maker.environment
    if within is not None and environment_id != within:
        raise PermissionDenied(
            f"cannot make the token: it may be for environment {within} alone; give --environment"
        )
    for role in roles:
        if not maker.holds((role,), environment_id) and not (environment_id is None and role in maker.own):
            raise PermissionDenied(f"cannot make the token: you do not have the role {role.value} yourself")


def _end(maker: Caller, now: int, expires_in: float | None) -> int | None:
    """When it expires: not after the token that it was made with."""
    ends = [maker.expires_at, None if expires_in is None else now + int(expires_in * _SECOND)]
    return min((end for end in ends if end is not None), default=None)


def _is_theirs(record: TokenRecord, viewer: Caller) -> bool:
    if viewer.holds((Role.ORG_ADMIN,)):
        return viewer.environment in {None, record.environment_id}
    return viewer.environment is None and record.creator_id == viewer.user_id


def _is_expired(record: TokenRecord, now: int) -> bool:
    return record.expires_at is not None and record.expires_at <= now


def roles_of(record: TokenRecord) -> frozenset[Role]:
    """The roles of a token and all that they hold; of roles that this version does not know, nothing."""
    known = {role.value: role for role in Role}
    return closed(frozenset(known[name] for name in record.roles if name in known))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
