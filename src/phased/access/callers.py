"""Who asks, and what they may: a caller is made of a peer, of a token, or of both.

Knows people, tokens and tickets. Must not know methods or messages. A token that a peer shows limits what the
peer may, and never widens it; that holds at each request anew, since settings and tokens change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from phased.access import tickets
from phased.access.identity import environment_subject
from phased.access.roles import closed
from phased.contract.resource import ResourceRole as Role
from phased.contract.resource import ResourceType
from phased.contract.subject import Principal, Subject
from phased.errors import NotFound, PermissionDenied, Unauthenticated

if TYPE_CHECKING:
    from phased.access.key import Key
    from phased.access.peers import Credentials
    from phased.access.people import People
    from phased.access.tokens import Tokens
    from phased.core.access import TokenRecord
    from phased.ports import Clock

SHORT: Final = 3600
"""Seconds for which a token for logs, or one for an environment, is good (`wire-api`, rule 4)."""
_SECOND: Final = 1_000_000
_VIEW: Final = frozenset({Role.ENVIRONMENT_VIEWER})
_ENVIRONMENT_ROLES: Final = {
    "step": closed(frozenset({Role.ENVIRONMENT_IDENTITY})),
    "logs": closed(_VIEW),
    "environment": closed(frozenset({Role.ENVIRONMENT_USER})),
}
"""What each kind of ticket allows, in its environment."""

OwnerOf = Callable[[str], str | None]
"""The id of who created an environment; None where there is none of that id."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may do. `roles` and `own` hold all that they imply (`roles.closed`)."""

    subject: Subject
    """Creator of what is made: a user, an environment, a token (its own id, the principal of its maker)."""
    roles: frozenset[Role]
    """Held everywhere that the caller can reach."""
    own: frozenset[Role] = frozenset()
    """Held in environments that the user behind the caller has created."""
    environment: str | None = None
    """The one environment that the caller can reach; None: all."""
    user_id: str | None = None
    """The local user behind the caller, if there is one: whose environments are theirs."""
    uid: int | None = None
    token_id: str | None = None
    expires_at: int | None = None
    """Microseconds since the epoch."""
    logs_only: bool = False
    """Nothing but logs may be read."""
    user_secrets: bool = True
    """False for steps of a prebuild: for them no secrets of users exist."""
    within: Caller | None = None
    """Who shows a token is held to what they may without it, too."""
    asked: frozenset[Role] = _VIEW
    """The roles of which one suffices for what is asked (`allow` says)."""
    owner_of: OwnerOf = field(default=lambda _: None, compare=False, repr=False)

    @property
    def is_step(self) -> bool:
        """Whether a step asks, or somebody with a step's token."""
        return self.subject.principal is Principal.ENVIRONMENT

    @property
    def creator_id(self) -> str:
        """Whom an environment belongs to that this caller makes."""
        return self.user_id or self.subject.id or ""

    def holds(self, roles: Iterable[Role], environment: str | None = None) -> bool:
        """Whether one of these roles is held: in this environment, or everywhere within reach."""
        roles = frozenset(roles)
        if self.within is not None and not self.within.holds(roles, environment):
            return False
        if environment is None:
            return not self.roles.isdisjoint(roles)
        if self.environment not in {None, environment}:
            return False
        held = self.roles
        if self.user_id is not None and self.own and self.owner_of(environment) == self.user_id:
            held |= self.own
        return not held.isdisjoint(roles)

    def allow(
        self, resource: ResourceType, roles: frozenset[Role], what: str = "this", *, logs: bool = False
    ) -> Caller:
        """Let the caller begin something for which one of `roles` suffices; `logs`: that reads logs alone.

        Returns the caller as one who asks for that: `see` then holds each environment to the same roles.
        Raises PermissionDenied where there is no environment in which they might.
        """
        kind = resource.value.removeprefix("RESOURCE_TYPE_").lower().replace("_", " ")
        if self._is_for_logs_only() and not logs:
            raise PermissionDenied(f"cannot use {what}: this token is for reading logs alone")
        if not self._might(roles):
            needed = ", ".join(sorted(role.value for role in roles)) or "a role that nobody can have"
            raise PermissionDenied(f"cannot use {what}: on this {kind} it takes one of the roles {needed}")
        return replace(self, asked=roles)

    def see(self, environment_id: str, what: str = "it") -> None:
        """Let the caller do what was asked in this environment; `what` is named in the error.

        Raises NotFound where they cannot even look into it, PermissionDenied where they can do only that.
        """
        if self.holds(self.asked, environment_id):
            return
        if self.reaches(environment_id):
            needed = ", ".join(sorted(role.value for role in self.asked))
            raise PermissionDenied(
                f"cannot do this with {what}: in environment {environment_id} it takes one of the roles "
                f"{needed}"
            )
        raise NotFound(f"cannot find {what}: there is none that you may see")

    def reaches(self, environment_id: str) -> bool:
        """Whether an environment may be looked into: what lists and streams are narrowed by."""
        return self.holds(_VIEW, environment_id)

    @property
    def sees_all(self) -> bool:
        """Whether every environment may be looked into: nothing needs to be narrowed."""
        here = self.environment is None and not self.roles.isdisjoint(_VIEW)
        return here and (self.within is None or self.within.sees_all)

    def _might(self, roles: frozenset[Role]) -> bool:
        if self.within is not None and not self.within._might(roles):
            return False
        return not (self.roles | self.own).isdisjoint(roles)

    def _is_for_logs_only(self) -> bool:
        return self.logs_only or (self.within is not None and self.within._is_for_logs_only())


def limited(peer: Caller, token: Caller) -> Caller:
    """Who shows a token: what both may. It is the token that acts, but a step stays its environment."""
    if peer.is_step:
        return replace(
            peer, within=token, token_id=token.token_id, expires_at=token.expires_at,
            user_secrets=peer.user_secrets and token.user_secrets,
        )  # fmt: skip
    return replace(token, within=_both(token.within, peer))


def _both(first: Caller | None, second: Caller) -> Caller:
    return second if first is None else replace(first, within=_both(first.within, second))


class Access:
    """Says who asks. `people` may be replaced when settings were read again: then call `changed`."""

    def __init__(self, people: People, tokens: Tokens, key: Key, clock: Clock) -> None:
        """What it asks others, `owner_of` and `step_of`, is set by who wires it."""
        self.people = people
        self.tokens = tokens
        self._key = key
        self._clock = clock
        self._watchers: set[Callable[[], None]] = set()
        self.owner_of: OwnerOf = lambda _: None
        """Who created an environment."""
        self.step_of: Callable[[int], str | None] = lambda _pid: None
        """The environment whose step a process (by its pid) belongs to, None for others."""
        tokens.changed = self.changed

    async def caller(
        self, peer: Credentials | None, authorization: str = "", *, local: bool = False
    ) -> Caller:
        """Who asks. `authorization` is the header's text (`Bearer TOKEN`), empty where there is none.

        `local`: over the unix socket, where the peer alone suffices. Raises Unauthenticated,
        PermissionDenied; KeyUnusable.
        """
        token = _bearer(authorization)
        behind = self.of_peer(peer) if local else None
        if token is not None:
            shown = self.of_token(token)
            return limited(behind, shown) if behind is not None else shown
        if behind is None:
            raise Unauthenticated(
                "cannot say who you are: send `Authorization: Bearer TOKEN`; `phased token create` makes one"
            )
        return behind

    def of_peer(self, peer: Credentials | None) -> Caller:
        """Who is at the other end of the unix socket: a step, or a user. Raises PermissionDenied.

        That is looked up once a connection, since the kernel tells who made it, and anew with new settings.
        """
        if peer is None:
            raise Unauthenticated("cannot say who you are: the system does not tell who connected")
        people, caller = peer.found.get("caller", (None, None))
        if caller is None or people is not self.people:
            caller = self._look_up(peer)
            peer.found["caller"] = (self.people, caller)
        return cast("Caller", caller)

    def _look_up(self, peer: Credentials) -> Caller:
        environment = self.step_of(peer.pid) if peer.pid > 0 else None
        if environment is not None:
            self.people.check(peer.uid)
            return self._in_environment("step", environment, environment_subject(environment), uid=peer.uid)
        return replace(self.people.caller(peer), owner_of=self.owner_of)

    def of_token(self, token: str) -> Caller:
        """Who shows a token. Raises Unauthenticated, PermissionDenied (a suspended user), KeyUnusable."""
        if token.startswith(tickets.PREFIX):
            return self._of_ticket(tickets.read(self._key, token, self._clock.wall()))
        return self._of_record(self.tokens.find(token))

    def _of_record(self, record: TokenRecord) -> Caller:
        from phased.access.tokens import roles_of  # noqa: PLC0415 - it imports this module

        roles = roles_of(record)
        maker = (
            None
            if record.uid is None
            else replace(self.people.caller_now(record.uid), owner_of=self.owner_of)
        )
        return Caller(
            Subject(id=record.id, principal=Principal(record.creator_principal)), roles, own=roles,
            environment=record.environment_id, user_id=record.creator_id, uid=record.uid, token_id=record.id,
            expires_at=record.expires_at, within=maker, owner_of=self.owner_of,
        )  # fmt: skip

    def _of_ticket(self, ticket: tickets.Ticket) -> Caller:
        if ticket.uid is not None:
            self.people.check(ticket.uid)
        if self.owner_of(ticket.environment_id) is None:
            raise Unauthenticated("cannot accept this token: what it was made for is gone")
        subject = environment_subject(ticket.environment_id)
        if ticket.user_id is not None:
            subject = Subject(id=ticket.user_id, principal=Principal.USER)
        caller = self._in_environment(ticket.kind, ticket.environment_id, subject, uid=ticket.uid)
        return replace(
            caller, user_id=ticket.user_id, expires_at=ticket.expires_at, logs_only=ticket.kind == "logs",
            user_secrets=ticket.user_secrets,
        )  # fmt: skip

    def _in_environment(
        self, kind: tickets.Kind, environment: str, subject: Subject, uid: int | None
    ) -> Caller:
        return Caller(
            subject, _ENVIRONMENT_ROLES[kind], environment=environment, uid=uid, owner_of=self.owner_of
        )

    # ---- tokens that are not kept ----------------------------------------------------------------

    def step_token(self, environment_id: str, started_by: str = "") -> str:
        """The token of an environment's steps: for it alone, as long as it is there. Raises KeyUnusable.

        It is the same for all its steps, so that each view of logs can hide it.
        """
        return tickets.sign(self._key, tickets.of_step(environment_id, started_by))

    def logs_token(self, environment_id: str, maker: Caller) -> str:
        """For CreateEnvironmentLogsToken: reads one environment's logs, for an hour. Raises KeyUnusable."""
        return self._short("logs", environment_id, maker)

    def environment_token(self, environment_id: str, maker: Caller) -> str:
        """For CreateEnvironmentAccessToken: uses one environment, for an hour. Raises KeyUnusable."""
        return self._short("environment", environment_id, maker)

    def _short(self, kind: tickets.Kind, environment_id: str, maker: Caller) -> str:
        ends = self._clock.wall() + SHORT * _SECOND
        if maker.expires_at is not None:
            ends = min(ends, maker.expires_at)
        return tickets.sign(self._key, tickets.Ticket(kind, environment_id, ends, maker.user_id, maker.uid))

    # ---- callers whose rights end while they listen ----------------------------------------------

    def changed(self) -> None:
        """Settings were read again, or a token was revoked: every open stream is looked at."""
        for watcher in list(self._watchers):
            watcher()

    @contextmanager
    def watching(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call `watcher` whenever `serves` may answer otherwise, but for what expires."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    async def ended(self, caller: Caller) -> None:
        """Return once the caller is not served any more: suspended, or the token revoked or expired.

        For open streams: race it with what they wait for.
        """
        import anyio  # noqa: PLC0415 - whoever only asks needs it not

        while self.serves(caller):
            event = anyio.Event()
            self._watchers.add(event.set)
            try:
                with anyio.move_on_after(self._patience(caller)):
                    await event.wait()
            finally:
                self._watchers.discard(event.set)

    def serves(self, caller: Caller) -> bool:
        """Whether a caller who was served before still is."""
        if caller.within is not None and not self.serves(caller.within):
            return False
        if caller.expires_at is not None and caller.expires_at <= self._clock.wall():
            return False
        if caller.token_id is not None and not self.tokens.has(caller.token_id):
            return False
        try:
            if caller.uid is not None:
                self.people.check(caller.uid)
        except PermissionDenied:
            return False
        return True

    def _patience(self, caller: Caller) -> float | None:
        """Seconds until a caller's time is over, at most an hour: the wall clock may be set."""
        ends = [
            one.expires_at
            for one in (caller, caller.within)
            if one is not None and one.expires_at is not None
        ]
        return min([float(SHORT), *((end - self._clock.wall()) / _SECOND for end in ends)])


def _bearer(authorization: str) -> str | None:
    """The token of an Authorization header; None where there is none. Raises Unauthenticated."""
    if not authorization.strip():
        return None
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("cannot accept this Authorization: it is `Bearer TOKEN`")
    return token.strip()
