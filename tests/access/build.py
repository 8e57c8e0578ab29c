"""Builders: an installation with a vault, tokens and callers over a real store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from phased.access.callers import Access, Caller
from phased.access.identity import Installation
from phased.access.key import Key
from phased.access.peers import Credentials
from phased.access.people import read_people
from phased.access.tokens import Tokens
from phased.access.vault import Vault
from phased.contract.organization import OrganizationTier
from phased.contract.secret_calls import CreateSecretRequest
from phased.store.sqlite import SqliteStore
from phased.testing.fake_clock import FakeClock

INSTALLATION = Installation("7a8f2f0e-0d0c-4d53-9a64-7f0a1c3a9b11", OrganizationTier.CORE)
ENVIRONMENT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
ALICE, BOB, STRANGER = 61001, 61002, 61003
"""Users that no machine of ours has."""
USERS = (f"{ALICE}=MEMBER", f"{BOB}=MEMBER")
GROUPS = ("62000=RESOURCE_ROLE_ENVIRONMENT_VIEWER",)


@dataclass
class House:
    """Everything that decides who may do what."""

    folder: Path
    store: SqliteStore
    clock: FakeClock
    key: Key
    vault: Vault
    tokens: Tokens
    access: Access
    owners: dict[str, str] = field(default_factory=dict)

    async def caller(self, uid: int, token: str = "", *groups: int) -> Caller:
        """A local user, over the socket."""
        peer = Credentials(0, uid, uid, frozenset({uid, *groups}))
        return await self.access.caller(peer, f"Bearer {token}" if token else "", local=True)

    def settle(self, *users: str, groups: tuple[str, ...] = GROUPS) -> None:
        """Settings were read again."""
        self.access.people = read_people(INSTALLATION, users, groups)
        self.access.changed()


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """One environment is Alice's, the other Bob's; the daemon's own user has none."""
    clock = FakeClock()
    store = SqliteStore.open(folder / "state.db")
    key = Key(folder)
    try:
        tokens = await Tokens.open(store.access, clock)
        vault = await Vault.open(store.access, key, clock, INSTALLATION.organization_id)
        access = Access(read_people(INSTALLATION, USERS, GROUPS), tokens, key, clock)
        made = House(folder, store, clock, key, vault, tokens, access)
        made.owners = {ENVIRONMENT: INSTALLATION.user_id(ALICE), OTHER: INSTALLATION.user_id(BOB)}
        vault.owner_of = access.owner_of = made.owners.get
        yield made
    finally:
        await store.close()


def secret(name: str, value: str = "s3cr3t-value", **facts: object) -> CreateSecretRequest:
    """A request; a variable unless `facts` say otherwise."""
    mounts = {"filePath", "containerRegistryBasicAuthHost", "apiOnly", "environmentVariable"}
    mount = {} if mounts & facts.keys() else {"environmentVariable": True}
    return CreateSecretRequest.model_validate({"name": name, "value": value, **mount, **facts})


def own() -> int:
    """The uid of this process: the daemon's user."""
    return os.geteuid()


def everything_in(folder: Path, names: str = "*") -> bytes:
    """The bytes of all files in a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob(names)) if path.is_file())
