"""Secrets: made, listed, replaced, deleted, and handed to steps. Values are encrypted wherever they are kept.

Knows records, callers and the key. Must not know requests or processes. All records are in memory, encrypted;
a value is decrypted when it is handed out, and never kept in clear but in a Masker.

Whose a secret is decides who gets it (`semantics: Who, what and where`; ours, where the contract is silent):
* PROJECT: an environment's own; its id is the project's id. Users of the environment read and change it.
* USER: of one local user: steps in environments that this user created get it, but not during a prebuild.
  Nobody else may read its value, not even an admin.
* ORGANIZATION: steps in all environments get it. Admins read and change it.
Where two of one name are mounted, the user's comes first, then the environment's. A caller who can reach one
environment alone (a step) may read what is mounted there, and what is for the API alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from phased.access.masking import Masker
from phased.access.sealing import seal, unseal
from phased.access.tickets import WITHOUT_USERS, of_step, sign
from phased.contract.resource import ResourceRole as Role
from phased.contract.secret import Secret, SecretScope
from phased.contract.subject import Principal, Subject
from phased.core.access import FormerValue, MountKind, ScopeKind, SecretRecord
from phased.core.specs import secret_id
from phased.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unsupported,
)

if TYPE_CHECKING:
    from phased.access.callers import Caller
    from phased.access.key import Key
    from phased.contract.secret_calls import CreateSecretRequest, ListSecretsRequestFilter
    from phased.ports import AccessStore, Clock

_PRECEDENCE: Final = (ScopeKind.ORGANIZATION, ScopeKind.PROJECT, ScopeKind.USER)
"""Later ones win."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_USE: Final = (Role.ENVIRONMENT_USER,)
_ADMIN: Final = (Role.ORG_ADMIN,)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whose secrets a step gets."""

    environment_id: str
    user_id: str | None
    """Who created the environment; None during a prebuild."""
    organization_id: str

    def covers(self, scope: ScopeKind, owner_id: str) -> bool:
        """Whether what is owned so is among them."""
        match scope:
            case ScopeKind.PROJECT:
                return owner_id == self.environment_id
            case ScopeKind.USER:
                return owner_id == self.user_id
            case ScopeKind.ORGANIZATION:
                return owner_id == self.organization_id


@dataclass(frozen=True, slots=True)
class MountedFile:
    """A secret that steps find as a file."""

    secret_id: str
    name: str
    path: str
    former: tuple[str, ...] = ()
    value: str = ""

    def __repr__(self) -> str:
        """Without the value."""
        return f"MountedFile({self.name!r}, {self.path!r})"


class Vault:
    """All secrets. Make one with `open`."""

    def __init__(
        self, store: AccessStore, key: Key, clock: Clock, organization_id: str,
        records: Iterable[SecretRecord] = (), former: Iterable[FormerValue] = (),
    ) -> None:  # fmt: skip
        """Use `open`."""
        self._store = store
        self._key = key
        self._clock = clock
        self._organization = organization_id
        self._records = {record.id: record for record in records}
        self._former = list(former)
        self._maskers: dict[str, Masker] = {}
        self.owner_of: Callable[[str], str | None] = lambda _: None
        """Who created an environment; set by who wires it."""
        self.on_delete: Callable[[str], None] = lambda _: None
        """Called with the id of a secret that is deleted."""

    @classmethod
    async def open(cls, store: AccessStore, key: Key, clock: Clock, organization_id: str) -> Vault:
        """Read what there is. Raises StoreError; a key that is missing shows only when it is needed."""
        secrets, former = await store.list_secrets(), await store.list_former_values()
        return cls(store, key, clock, organization_id, secrets, former)

    def reach(self, environment_id: str, started_by: str = "") -> Reach:
        """Whose secrets the steps of an environment get; `started_by` as in an execution's metadata."""
        user = None if started_by in WITHOUT_USERS else self.owner_of(environment_id)
        return Reach(environment_id, user, self._organization)

    # ---- the five methods ------------------------------------------------------------------------

    async def create(self, request: CreateSecretRequest, caller: Caller) -> Secret:
        """A new secret, without its value.

        Without a scope it is the environment's, where the caller can reach only one, else the user's own.
        Raises AlreadyExists, InvalidArgument, PermissionDenied, Unsupported, KeyUnusable, StoreError.
        """
        scope, owner = self._scope(request, caller)
        self._check(caller, scope, owner, "create")
        mount, place = _mount(request)
        value = request.value or ""
        _check_value(mount, value)
        for record in self._records.values():
            if (record.scope, record.owner_id, record.name) == (scope, owner, request.name):
                raise AlreadyExists(
                    f"cannot create the secret {request.name}: there is one of that name (id {record.id}); "
                    "set its value instead"
                )
        now = self._clock.wall()
        made = str(uuid4())
        record = SecretRecord(
            id=made, name=request.name, scope=scope, owner_id=owner, mount=mount, place=place,
            sealed=seal(self._key, made, value, may_make=not self._has_any), created_at=now, updated_at=now,
            creator_id=caller.subject.id or "",
            creator_principal=(caller.subject.principal or Principal.USER).value,
        )  # fmt: skip
        await self._store.save_secret(record)
        self._records[record.id] = record
        self._maskers.clear()
        return message(record)

    def listed(self, caller: Caller, wanted: ListSecretsRequestFilter | None = None) -> list[Secret]:
        """Those that the caller may know of, oldest first, by name where that is the same."""
        found = [
            record
            for record in self._records.values()
            if self._may_know(caller, record) and _is_wanted(record, wanted)
        ]
        return [message(record) for record in sorted(found, key=lambda one: (one.created_at, one.id))]

    def value(self, wanted: str, caller: Caller) -> str:
        """The value. Raises NotFound, PermissionDenied, KeyUnusable."""
        record = self._known(wanted, caller)
        if not self._may_read(caller, record):
            raise PermissionDenied(f"cannot read the secret {wanted}: its value is not for you")
        return self._unseal(record)

    async def update(self, wanted: str, value: str, caller: Caller) -> None:
        """Replace a value; the old one is kept, encrypted, to mask old logs.

        Raises NotFound, InvalidArgument, PermissionDenied, KeyUnusable, StoreError.
        """
        record = self._known(wanted, caller)
        self._check(caller, record.scope, record.owner_id, "change")
        _check_value(record.mount, value)
        now = max(self._clock.wall(), record.updated_at + 1)
        sealed = seal(self._key, record.id, value, may_make=False)
        former = _former(record, now)
        record = replace(record, sealed=sealed, updated_at=now)
        await self._store.save_secret(record, former)
        self._records[record.id] = record
        self._former.append(former)
        self._maskers.clear()

    async def delete(self, wanted: str, caller: Caller) -> None:
        """Forget a secret. Raises NotFound, PermissionDenied, StoreError."""
        record = self._known(wanted, caller)
        self._check(caller, record.scope, record.owner_id, "delete")
        await self._remove([record])

    async def delete_of(self, environment_id: str) -> None:
        """An environment is deleted, and its own secrets with it. Raises StoreError."""
        mine = [one for one in self._records.values() if one.owner_id == environment_id]
        if mine:
            await self._remove(mine)

    async def _remove(self, records: Iterable[SecretRecord]) -> None:
        former = [_former(record, self._clock.wall()) for record in records]
        await self._store.remove_secrets(former)
        for one in former:
            self._records.pop(one.secret_id, None)
            self.on_delete(one.secret_id)
        self._former += former
        self._maskers.clear()

    async def drop_former_values(self, before: int) -> None:
        """No log is left that is older: forget the values that were replaced before. Raises StoreError."""
        await self._store.drop_former_values(before)
        self._former = [one for one in self._former if one.until >= before]
        self._maskers.clear()

    # ---- what steps get --------------------------------------------------------------------------

    def variables(self, environment_id: str, started_by: str = "") -> dict[str, str]:
        """The secrets that every step of an environment finds as variables. Raises KeyUnusable."""
        found = self._mounted(environment_id, started_by, MountKind.ENVIRONMENT_VARIABLE)
        return {name: self._unseal(record) for name, record in found.items()}

    def names(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:
        """The ids of the same by name: where a variable comes from, without its value."""
        found = self._mounted(environment_id, started_by, MountKind.ENVIRONMENT_VARIABLE)
        return {name: record.id for name, record in found.items()}

    def files(self, environment_id: str, started_by: str = "") -> list[MountedFile]:
        """The secrets that steps find as files. Raises KeyUnusable."""
        found = self._mounted(environment_id, started_by, MountKind.FILE_PATH, by_place=True)
        return [
            MountedFile(
                record.id, record.name, record.place, self._former_of(record.id), self._unseal(record)
            )
            for record in found.values()
        ]

    def registries(self, environment_id: str, started_by: str = "") -> dict[str, str]:
        """Basic authentication (`user:password`) of container registries, by host. Raises KeyUnusable."""
        found = self._mounted(environment_id, started_by, MountKind.REGISTRY_HOST, by_place=True)
        return {host: self._unseal(record) for host, record in found.items()}

    def reference(self, environment_id: str, wanted: str, started_by: str = "") -> str | None:
        """The value of a secret that a step names; None where there is none that it gets. Raises KeyUnusable.

        `wanted` is its id, or the id under which a file names it by its name (`core.specs.secret_id`).
        """
        reach = self.reach(environment_id, started_by)
        for record in self._within(reach, reverse=True):
            if wanted in {record.id, secret_id(environment_id, record.name)}:
                return self._unseal(record)
        return None

    def masker(self, environment_id: str) -> Masker:
        """Hides every value that an environment's steps have or had, and their tokens. Raises KeyUnusable."""
        known = self._maskers.get(environment_id)
        if known is None:
            reach = self.reach(environment_id)
            former = [one for one in self._former if reach.covers(one.scope, one.owner_id)]
            values = [unseal(self._key, one.secret_id, one.sealed) for one in former]
            values += [self._unseal(record) for record in self._within(reach)]
            with_tokens = self._key.exists
            if with_tokens:
                values += [sign(self._key, of_step(environment_id, trigger)) for trigger in ("", "prebuild")]
            known = Masker(values)
            if with_tokens:  # else the first token may be made at any moment
                self._maskers[environment_id] = known
        return known

    # ---- inside ----------------------------------------------------------------------------------

    @property
    def _has_any(self) -> bool:
        return bool(self._records or self._former)

    def _unseal(self, record: SecretRecord) -> str:
        return unseal(self._key, record.id, record.sealed)

    def _within(self, reach: Reach, *, reverse: bool = False) -> Iterator[SecretRecord]:
        """What is in reach, the most general first (`reverse`: last)."""
        for scope in reversed(_PRECEDENCE) if reverse else _PRECEDENCE:
            for record in self._records.values():
                if record.scope is scope and reach.covers(record.scope, record.owner_id):
                    yield record

    def _mounted(
        self, environment_id: str, started_by: str, kind: MountKind, *, by_place: bool = False
    ) -> dict[str, SecretRecord]:
        found = self._within(self.reach(environment_id, started_by))
        return {one.place if by_place else one.name: one for one in found if one.mount is kind}

    def _former_of(self, wanted: str) -> tuple[str, ...]:
        return tuple(unseal(self._key, wanted, one.sealed) for one in self._former if one.secret_id == wanted)

    def _known(self, wanted: str, caller: Caller) -> SecretRecord:
        record = self._records.get(wanted.lower())
        if record is None or not self._may_know(caller, record):
            raise NotFound(f"cannot find the secret {wanted}: there is none; `phased secret list` shows them")
        return record

    def _scope(self, request: CreateSecretRequest, caller: Caller) -> tuple[ScopeKind, str]:
        """Whose the new secret is."""
        given = request.scope or SecretScope.model_construct()
        project = given.project_id or request.project_id
        if given.service_account_id:
            raise Unsupported("cannot create the secret: there are no service accounts here; leave scope out")
        if project:
            return ScopeKind.PROJECT, project.lower()
        if given.organization_id:
            return ScopeKind.ORGANIZATION, given.organization_id.lower()
        if given.user_id:
            return ScopeKind.USER, given.user_id.lower()
        if caller.environment is not None:
            return ScopeKind.PROJECT, caller.environment
        return ScopeKind.USER, caller.creator_id

    def _check(self, caller: Caller, scope: ScopeKind, owner: str, verb: str) -> None:
        """Raises PermissionDenied, InvalidArgument for an owner that does not exist."""
        match scope:
            case ScopeKind.PROJECT:
                if self.owner_of(owner) is None:
                    raise InvalidArgument(
                        f"cannot {verb} the secret: scope.projectId: {owner} is no environment; a secret for "
                        "one environment bears its id"
                    )
                allowed = caller.holds(_USE, owner)
            case ScopeKind.USER:
                allowed = caller.environment is None and (owner == caller.user_id or caller.holds(_ADMIN))
            case ScopeKind.ORGANIZATION:
                if owner != self._organization:
                    raise InvalidArgument(
                        f"cannot {verb} the secret: scope.organizationId: it is {self._organization} here"
                    )
                allowed = caller.environment is None and caller.holds(_ADMIN)
        if not allowed:
            raise PermissionDenied(
                f"cannot {verb} the secret: it is of a {scope.value} that is not yours to change"
            )

    def _may_know(self, caller: Caller, record: SecretRecord) -> bool:
        """Whether a caller may know that a secret is there."""
        if caller.environment is not None:
            return caller.reaches(caller.environment) and self._gets(caller, record)
        match record.scope:
            case ScopeKind.PROJECT:
                return caller.reaches(record.owner_id)
            case ScopeKind.USER:
                return record.owner_id == caller.user_id or caller.holds(_ADMIN)
            case ScopeKind.ORGANIZATION:
                return True

    def _may_read(self, caller: Caller, record: SecretRecord) -> bool:
        """Whether a caller may read a value."""
        if caller.environment is not None:
            return caller.holds(_USE, caller.environment) and self._gets(caller, record)
        match record.scope:
            case ScopeKind.PROJECT:
                return caller.holds(_USE, record.owner_id)
            case ScopeKind.USER:
                return record.owner_id == caller.user_id and caller.holds((Role.USER_IDENTITY,))
            case ScopeKind.ORGANIZATION:
                return caller.holds(_ADMIN)

    def _gets(self, caller: Caller, record: SecretRecord) -> bool:
        started_by = "" if caller.user_secrets else "prebuild"
        return self.reach(caller.environment or "", started_by).covers(record.scope, record.owner_id)


def message(record: SecretRecord) -> Secret:
    """A secret as the API shows it."""
    owner = record.owner_id
    scope = {f"{record.scope.value}_id": owner}
    mount = {record.mount.value: record.place or True}
    return Secret.model_construct(
        None,
        id=record.id,
        name=record.name,
        project_id=owner if record.scope is ScopeKind.PROJECT else None,
        created_at=_EPOCH + timedelta(microseconds=record.created_at),
        updated_at=_EPOCH + timedelta(microseconds=record.updated_at),
        creator=Subject.model_construct(id=record.creator_id, principal=Principal(record.creator_principal)),
        scope=SecretScope.model_construct(None, **scope),
        **mount,
    )


def _mount(request: CreateSecretRequest) -> tuple[MountKind, str]:
    """How it is mounted, and where. Raises Unsupported for what needs more than this daemon has."""
    if request.credential_proxy is not None:
        raise Unsupported(
            "cannot create the secret: there is no credential proxy here; leave credentialProxy out"
        )
    if request.source is not None and request.source.oidc_jfrog is not None:
        raise Unsupported("cannot create the secret: source.oidcJfrog is not exchanged here; give its value")
    if request.file_path is not None:
        return MountKind.FILE_PATH, request.file_path
    if request.container_registry_basic_auth_host is not None:
        return MountKind.REGISTRY_HOST, request.container_registry_basic_auth_host
    return (MountKind.ENVIRONMENT_VARIABLE if request.environment_variable else MountKind.API_ONLY), ""


def _check_value(mount: MountKind, value: str) -> None:
    """Raises InvalidArgument, which does not repeat the value."""
    if "\0" in value and mount is MountKind.ENVIRONMENT_VARIABLE:
        raise InvalidArgument("cannot keep the secret: value: a variable cannot hold a NUL character")


def _is_wanted(record: SecretRecord, wanted: ListSecretsRequestFilter | None) -> bool:
    if wanted is None:
        return True
    projects = {one.lower() for one in wanted.project_ids}
    if projects and not (record.scope is ScopeKind.PROJECT and record.owner_id in projects):
        return False
    if wanted.scope is None:
        return True
    given = {
        ScopeKind.PROJECT: wanted.scope.project_id,
        ScopeKind.USER: wanted.scope.user_id,
        ScopeKind.ORGANIZATION: wanted.scope.organization_id,
    }[record.scope]
    return (given or "").lower() == record.owner_id


def _former(record: SecretRecord, until: int) -> FormerValue:
    return FormerValue(record.id, record.scope, record.owner_id, record.sealed, until)
