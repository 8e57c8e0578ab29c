"""Local users: what settings say each may do, and whether they are served at all.

Knows uids, groups and the settings' texts. Must not know sockets or tokens. The user of the daemon and root
are ADMIN unless settings say otherwise; others are nobody until settings name them or a group of theirs.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from phased.access.callers import Caller
from phased.access.identity import Installation
from phased.access.peers import Credentials
from phased.access.roles import PREFIX, closed
from phased.contract.organization import OrganizationRole, OrganizationTier
from phased.contract.resource import ResourceRole as Role
from phased.contract.user import UserStatus
from phased.errors import PermissionDenied, SettingsError

T = TypeVar("T")

ADMIN: Final = frozenset({Role.ORG_ADMIN, Role.ORG_MEMBER, Role.USER_IDENTITY})
MEMBER: Final = frozenset({Role.ORG_MEMBER, Role.USER_IDENTITY})
MEMBERS_OWN: Final = frozenset({Role.ENVIRONMENT_USER})
"""What a member may do in environments of their own."""

_ROLES: Final[Mapping[str, OrganizationRole]] = {
    "ADMIN": OrganizationRole.ADMIN, "MEMBER": OrganizationRole.MEMBER,
}  # fmt: skip
_STATUSES: Final[Mapping[str, UserStatus]] = {
    "ACTIVE": UserStatus.ACTIVE, "SUSPENDED": UserStatus.SUSPENDED, "LEFT": UserStatus.LEFT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class People:
    """What settings say of users and groups. Make one with `read_people`."""

    installation: Installation
    roles: Mapping[int, OrganizationRole] = field(default_factory=dict)
    statuses: Mapping[int, UserStatus] = field(default_factory=dict)
    groups: Mapping[int, frozenset[Role]] = field(default_factory=dict)
    owner: int = field(default_factory=os.geteuid)

    def status(self, uid: int) -> UserStatus:
        """Whether a user is served."""
        return self.statuses.get(uid, UserStatus.ACTIVE)

    def role(self, uid: int) -> OrganizationRole:
        """What a user is here; UNSPECIFIED: nothing by themselves."""
        if uid in self.roles:
            return self.roles[uid]
        return OrganizationRole.ADMIN if uid in {0, self.owner} else OrganizationRole.UNSPECIFIED

    def caller(self, peer: Credentials) -> Caller:
        """A local user who asks. Raises PermissionDenied where they are not served."""
        self.check(peer.uid)
        granted = frozenset[Role]().union(*(self.groups.get(group, frozenset()) for group in peer.groups))
        match self.role(peer.uid):
            case OrganizationRole.ADMIN:
                roles, own = ADMIN | granted, frozenset[Role]()
            case OrganizationRole.MEMBER:
                roles, own = MEMBER | granted, MEMBERS_OWN
            case _ if granted:
                roles, own = granted | {Role.USER_IDENTITY}, frozenset[Role]()
            case _:
                raise PermissionDenied(
                    f"cannot serve the user {user_name(peer.uid)} (uid {peer.uid}): settings name neither "
                    "them nor a group of theirs; see access.users and access.groups"
                )
        subject = self.installation.user(peer.uid)
        return Caller(subject, closed(roles), closed(own), user_id=subject.id, uid=peer.uid)

    def caller_now(self, uid: int) -> Caller:
        """A user who is not at the other end of a socket: the groups are those of the system's lists."""
        return self.caller(Credentials(0, uid, -1, groups_of(uid)))

    def check(self, uid: int) -> None:
        """Raises PermissionDenied where a user is suspended or has left."""
        status = self.status(uid)
        if status is not UserStatus.ACTIVE:
            what = "is suspended" if status is UserStatus.SUSPENDED else "has left"
            raise PermissionDenied(
                f"cannot serve the user {user_name(uid)} (uid {uid}): this user {what} "
                "(access.users in the settings)"
            )


def read_people(installation: Installation, users: Iterable[str], groups: Iterable[str]) -> People:
    """From the settings access.users and access.groups, each entry a name or number and what it is given.

    Users: `alice=ADMIN`, `1001=MEMBER`, `bob=SUSPENDED`; one may have a role and a status. Groups:
    `staff=RESOURCE_ROLE_ENVIRONMENT_VIEWER`. Raises SettingsError.
    """
    roles: dict[int, OrganizationRole] = {}
    statuses: dict[int, UserStatus] = {}
    for entry in users:
        uid, word = _entry("access.users", entry, lambda name: pwd.getpwnam(name).pw_uid)
        word = word.removeprefix("ORGANIZATION_ROLE_").removeprefix("USER_STATUS_")
        if word in _ROLES:
            _put(roles, uid, _ROLES[word], entry)
        elif word in _STATUSES:
            _put(statuses, uid, _STATUSES[word], entry)
        else:
            raise SettingsError(
                f"cannot use access.users: {entry!r}: a user is one of {', '.join([*_ROLES, *_STATUSES])}"
            )
    granted: dict[int, frozenset[Role]] = {}
    for entry in groups:
        gid, word = _entry("access.groups", entry, lambda name: grp.getgrnam(name).gr_gid)
        granted[gid] = granted.get(gid, frozenset()) | {_role(entry, word)}
    return People(installation, roles, statuses, granted)


def read_tier(text: str) -> OrganizationTier:
    """From the setting organization.tier: a name of OrganizationTier, its prefix may be left out.

    Raises SettingsError.
    """
    name = text.upper().removeprefix("ORGANIZATION_TIER_") or "UNSPECIFIED"
    for tier in OrganizationTier:
        if tier.name == name:
            return tier
    names = ", ".join(tier.value for tier in OrganizationTier)
    raise SettingsError(f"cannot use organization.tier: {text!r} is not one of {names}")


def groups_of(uid: int) -> frozenset[int]:
    """The groups of a user by the system's lists; none where there is no such user."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))


def user_name(uid: int) -> str:
    """A user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _entry(setting: str, entry: str, number_of: Callable[[str], int]) -> tuple[int, str]:
    name, equals, word = (part.strip() for part in entry.partition("="))
    if not equals or not name or not word:
        raise SettingsError(f"cannot use {setting}: {entry!r}: write NAME=WHAT")
    try:
        number = int(name) if name.isascii() and name.isdigit() else number_of(name)
    except KeyError:
        raise SettingsError(
            f"cannot use {setting}: {entry!r}: there is no {name!r} on this machine"
        ) from None
    return number, word.upper()


def _put(found: dict[int, T], uid: int, value: T, entry: str) -> None:
    if found.setdefault(uid, value) != value:
        raise SettingsError(
            f"cannot use access.users: {entry!r}: another entry says otherwise; keep one of them"
        )


def _role(entry: str, word: str) -> Role:
    name = word if word.startswith(PREFIX) else f"{PREFIX}{word}"
    for role in Role:
        if role.value == name and role is not Role.UNSPECIFIED:
            return role
    raise SettingsError(f"cannot use access.groups: {entry!r}: {word} is no role; they begin with {PREFIX}")
