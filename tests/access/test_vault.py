"""Secrets: who may do what with them, where they go, and where they are never seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from phased.access.key import Key
from phased.access.sealing import seal, unseal
from phased.access.vault import Vault
from phased.contract.base import to_dict
from phased.contract.secret_calls import ListSecretsRequestFilter
from phased.core.specs import secret_id
from phased.errors import (
    AlreadyExists,
    InvalidArgument,
    KeyUnusable,
    NotFound,
    PermissionDenied,
    Unsupported,
)
from tests.access.build import (
    ALICE,
    BOB,
    ENVIRONMENT,
    INSTALLATION,
    OTHER,
    House,
    everything_in,
    house,
    own,
    secret,
)

pytestmark = pytest.mark.anyio
VALUE = "tr0ub4dor&3-é"
ORGANIZATION: dict[str, Any] = {"scope": {"organizationId": INSTALLATION.organization_id}}


async def test_the_five_methods(tmp_path: Path) -> None:
    """Created, listed, read, replaced, deleted; each is there after a restart."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        made = await here.vault.create(secret("API_KEY", VALUE, projectId=ENVIRONMENT), alice)
        assert here.vault.value(made.id, alice) == VALUE
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        (found,) = here.vault.listed(alice)
        shown = to_dict(found)
        assert shown == to_dict(made)
        assert shown["scope"] == {"projectId": ENVIRONMENT}
        assert shown["environmentVariable"] is True
        assert shown["creator"] == {"id": INSTALLATION.user_id(ALICE), "principal": "PRINCIPAL_USER"}
        await here.vault.update(made.id, "another value", alice)
        assert here.vault.value(made.id.upper(), alice) == "another value"
        (found,) = here.vault.listed(alice)
        assert found.updated_at is not None
        assert found.created_at is not None
        assert found.updated_at > found.created_at
        await here.vault.delete(made.id, alice)
        assert here.vault.listed(alice) == []
        for ask in (here.vault.update(made.id, "x", alice), here.vault.delete(made.id, alice)):
            with pytest.raises(NotFound):
                await ask
    async with house(tmp_path) as here:
        assert here.vault.listed(await here.caller(own())) == []


async def test_no_value_lies_anywhere_in_clear(tmp_path: Path) -> None:
    """Not in the database, its log, the key, reprs; also not the one that was replaced."""
    async with house(tmp_path) as here:
        caller = await here.caller(own())
        made = await here.vault.create(secret("TOKEN", VALUE, projectId=ENVIRONMENT), caller)
        await here.vault.update(made.id, VALUE + "2", caller)
        held = everything_in(tmp_path)
        assert b"TOKEN" in held
        assert b"tr0ub4dor" not in held
        everything = repr([made, here.vault, here.key, here.vault.files(ENVIRONMENT), vars(here.vault)])
        assert "tr0ub4dor" not in everything


async def test_who_may_read_and_change_an_environments_secrets(tmp_path: Path) -> None:
    """Its users; nobody else learns that they are there, and a viewer learns that alone."""
    async with house(tmp_path) as here:
        alice, bob = await here.caller(ALICE), await here.caller(BOB)
        viewer = await here.caller(BOB, "", 62000)
        made = await here.vault.create(secret("KEY", VALUE, projectId=ENVIRONMENT), alice)
        assert here.vault.listed(bob) == []
        with pytest.raises(NotFound):
            here.vault.value(made.id, bob)
        assert [one.name for one in here.vault.listed(viewer)] == ["KEY"]
        with pytest.raises(PermissionDenied):
            here.vault.value(made.id, viewer)
        with pytest.raises(PermissionDenied):
            await here.vault.update(made.id, "x", viewer)
        with pytest.raises(PermissionDenied):
            await here.vault.delete(made.id, viewer)
        with pytest.raises(PermissionDenied):
            await here.vault.create(secret("KEY", projectId=ENVIRONMENT), bob)
        assert here.vault.value(made.id, await here.caller(own())) == VALUE


async def test_a_users_secret_is_for_that_user_alone(tmp_path: Path) -> None:
    """An admin may delete it, and not read it; without a scope a secret is the caller's."""
    async with house(tmp_path) as here:
        alice, admin = await here.caller(ALICE), await here.caller(own())
        made = await here.vault.create(secret("MINE", VALUE), alice)
        assert to_dict(made)["scope"] == {"userId": INSTALLATION.user_id(ALICE)}
        assert here.vault.value(made.id, alice) == VALUE
        assert [one.id for one in here.vault.listed(admin)] == [made.id]
        with pytest.raises(PermissionDenied):
            here.vault.value(made.id, admin)
        assert here.vault.listed(await here.caller(BOB)) == []
        scope: dict[str, Any] = {"scope": {"userId": INSTALLATION.user_id(ALICE)}}
        with pytest.raises(PermissionDenied):
            await here.vault.create(secret("MINE2", **scope), await here.caller(BOB))
        await here.vault.delete(made.id, admin)


async def test_the_organizations_are_an_admins(tmp_path: Path) -> None:
    """Steps everywhere get them."""
    async with house(tmp_path) as here:
        alice, admin = await here.caller(ALICE), await here.caller(own())
        with pytest.raises(PermissionDenied):
            await here.vault.create(secret("ALL", **ORGANIZATION), alice)
        made = await here.vault.create(secret("ALL", VALUE, **ORGANIZATION), admin)
        with pytest.raises(PermissionDenied):
            here.vault.value(made.id, alice)
        assert here.vault.value(made.id, admin) == VALUE
        assert here.vault.variables(ENVIRONMENT) == here.vault.variables(OTHER) == {"ALL": VALUE}


async def test_a_step_may_read_what_its_environment_gets(tmp_path: Path) -> None:
    """What is for the API alone too; not what others get, and no user's during a prebuild."""
    async with house(tmp_path) as here:
        alice, bob = await here.caller(ALICE), await here.caller(BOB)
        mine = await here.vault.create(secret("FOR_API", VALUE, apiOnly=True), alice)
        theirs = await here.vault.create(secret("THEIRS", VALUE), bob)
        token = here.access.step_token(ENVIRONMENT)
        step = await here.access.caller(None, f"Bearer {token}")
        assert here.vault.value(mine.id, step) == VALUE
        assert [one.id for one in here.vault.listed(step)] == [mine.id]
        with pytest.raises(NotFound):
            here.vault.value(theirs.id, step)
        token = here.access.step_token(ENVIRONMENT, "prebuild")
        with pytest.raises(NotFound):
            here.vault.value(mine.id, await here.access.caller(None, f"Bearer {token}"))
        made = await here.vault.create(secret("BY_STEP", VALUE), step)
        assert to_dict(made)["scope"] == {"projectId": ENVIRONMENT}


async def test_names_are_unique_where_they_belong(tmp_path: Path) -> None:
    """Twice in one scope is refused; in two the user's comes first, then the environment's."""
    async with house(tmp_path) as here:
        alice, admin = await here.caller(ALICE), await here.caller(own())
        await here.vault.create(secret("ONE", "of all", **ORGANIZATION), admin)
        assert here.vault.variables(ENVIRONMENT)["ONE"] == "of all"
        await here.vault.create(secret("ONE", "of the environment", projectId=ENVIRONMENT), alice)
        assert here.vault.variables(ENVIRONMENT)["ONE"] == "of the environment"
        await here.vault.create(secret("ONE", "of the user"), alice)
        assert here.vault.variables(ENVIRONMENT)["ONE"] == "of the user"
        assert here.vault.reference(ENVIRONMENT, secret_id(ENVIRONMENT, "ONE")) == "of the user"
        assert here.vault.variables(OTHER)["ONE"] == "of all"
        with pytest.raises(AlreadyExists, match="ONE"):
            await here.vault.create(secret("ONE", "again", projectId=ENVIRONMENT), alice)


@pytest.mark.parametrize("trigger", ["prebuild", "beforeSnapshot"])
async def test_no_users_secrets_during_a_prebuild(tmp_path: Path, trigger: str) -> None:
    """They do not exist: not mounted, and missing where they are named."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        made = await here.vault.create(secret("MINE", VALUE), alice)
        kept = await here.vault.create(secret("ENVIRONMENTS", VALUE, projectId=ENVIRONMENT), alice)
        assert set(here.vault.variables(ENVIRONMENT, "manual")) == {"MINE", "ENVIRONMENTS"}
        assert set(here.vault.variables(ENVIRONMENT, trigger)) == {"ENVIRONMENTS"}
        assert here.vault.reference(ENVIRONMENT, made.id, "manual") == VALUE
        assert here.vault.reference(ENVIRONMENT, made.id, trigger) is None
        assert here.vault.reference(ENVIRONMENT, kept.id, trigger) == VALUE
        assert here.vault.names(ENVIRONMENT, trigger) == {"ENVIRONMENTS": kept.id}


async def test_each_mount_goes_where_it_says(tmp_path: Path) -> None:
    """Variables, files, registries, and nowhere."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        where = {"projectId": ENVIRONMENT}
        await here.vault.create(secret("VARIABLE", "v1", **where), alice)
        await here.vault.create(secret("FILE", "v2", filePath="/run/x/key", **where), alice)
        host = "https://registry.example.com"
        await here.vault.create(secret("LOGIN", "me:v3", containerRegistryBasicAuthHost=host, **where), alice)
        await here.vault.create(secret("API", "v4", apiOnly=True, **where), alice)
        assert here.vault.variables(ENVIRONMENT) == {"VARIABLE": "v1"}
        assert [(one.path, one.value) for one in here.vault.files(ENVIRONMENT)] == [("/run/x/key", "v2")]
        assert here.vault.registries(ENVIRONMENT) == {host: "me:v3"}
        shown = {one.name: to_dict(one) for one in here.vault.listed(alice)}
        assert shown["FILE"]["filePath"] == "/run/x/key"
        assert shown["LOGIN"]["containerRegistryBasicAuthHost"] == host
        assert shown["API"]["apiOnly"] is True


async def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """Without repeating the value."""
    async with house(tmp_path) as here:
        admin = await here.caller(own())
        nowhere = "99999999-9999-4999-8999-999999999999"
        cases: list[tuple[type[Exception], dict[str, object]]] = [
            (Unsupported, {"credentialProxy": {"targetHosts": ["a"]}}),
            (Unsupported, {"source": {"oidcJfrog": {"host": "a.example", "providerName": "p"}}}),
            (Unsupported, {"scope": {"serviceAccountId": nowhere}}),
            (InvalidArgument, {"projectId": nowhere}),
            (InvalidArgument, {"scope": {"organizationId": nowhere}}),
            (InvalidArgument, {"value": "tr0ub4dor\0"}),
        ]
        for kind, facts in cases:
            with pytest.raises(kind) as caught:
                await here.vault.create(secret("NAME", **{"value": VALUE, **facts}), admin)  # type: ignore[arg-type]
            assert "tr0ub4dor" not in str(caught.value)
        assert here.vault.listed(admin) == []


async def test_the_list_is_narrowed(tmp_path: Path) -> None:
    """By project, and by scope."""
    async with house(tmp_path) as here:
        admin, alice = await here.caller(own()), await here.caller(ALICE)
        await here.vault.create(secret("FIRST", projectId=ENVIRONMENT), admin)
        await here.vault.create(secret("SECOND", projectId=OTHER), admin)
        await here.vault.create(secret("THIRD"), alice)
        await here.vault.create(secret("FOURTH", **ORGANIZATION), admin)

        def names(**wanted: object) -> list[str | None]:
            found = ListSecretsRequestFilter.model_validate(wanted)
            return [one.name for one in here.vault.listed(admin, found)]

        assert sorted(map(str, names())) == ["FIRST", "FOURTH", "SECOND", "THIRD"]
        assert names(projectIds=[ENVIRONMENT]) == ["FIRST"]
        assert names(scope={"userId": INSTALLATION.user_id(ALICE)}) == ["THIRD"]
        assert names(**ORGANIZATION) == ["FOURTH"]
        assert names(scope={"projectId": OTHER}) == ["SECOND"]


async def test_old_values_mask_old_logs(tmp_path: Path) -> None:
    """Replaced and deleted ones too, in their own environment alone; until no log is so old."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        made = await here.vault.create(secret("KEY", "first-value", projectId=ENVIRONMENT), alice)
        await here.vault.update(made.id, "second-value", alice)
        await here.vault.delete(made.id, alice)
        await here.vault.create(secret("KEY", "third-value", projectId=ENVIRONMENT), alice)
    async with house(tmp_path) as here:
        text = "first-value second-value third-value"
        assert here.vault.masker(ENVIRONMENT).text(text) == "*********** ************ ***********"
        assert here.vault.masker(OTHER).text(text) == text
        here.clock.advance(60)
        await here.vault.drop_former_values(here.clock.wall())
        assert here.vault.masker(ENVIRONMENT).text(text) == "first-value second-value ***********"
        assert await here.store.access.list_former_values() == []


async def test_tokens_of_steps_are_masked(tmp_path: Path) -> None:
    """A step that prints its environment does not give its rights to who may read its log."""
    async with house(tmp_path) as here:
        for trigger in ("", "manual", "prebuild", "beforeSnapshot"):
            token = here.access.step_token(ENVIRONMENT, trigger)
            assert (
                here.vault.masker(ENVIRONMENT).text(f"PHASED_TOKEN={token}.")
                == f"PHASED_TOKEN={'*' * len(token)}."
            )
            assert here.vault.masker(OTHER).text(token) == token


async def test_an_environments_secrets_go_with_it(tmp_path: Path) -> None:
    """Others stay."""
    async with house(tmp_path) as here:
        admin = await here.caller(own())
        await here.vault.create(secret("FIRST", projectId=ENVIRONMENT), admin)
        await here.vault.create(secret("SECOND", projectId=OTHER), admin)
        await here.vault.delete_of(ENVIRONMENT)
        assert [one.name for one in here.vault.listed(admin)] == ["SECOND"]


# ---- the key -------------------------------------------------------------------------------------


async def reopened(here: House, key: Key) -> Vault:
    """Another daemon on the same state, perhaps with another key."""
    return await Vault.open(here.store.access, key, here.clock, INSTALLATION.organization_id)


async def test_the_key_is_a_file_for_its_user_alone(tmp_path: Path) -> None:
    """Made at its first use, not in the database."""
    async with house(tmp_path) as here:
        assert not here.key.path.exists()
        await here.vault.create(secret("KEY", VALUE, projectId=ENVIRONMENT), await here.caller(own()))
        assert here.key.path == tmp_path / "phased.key"
        assert here.key.path.stat().st_mode & 0o777 == 0o600
        text = here.key.path.read_bytes().strip()
        assert text not in everything_in(tmp_path, "state.db*")
        assert everything_in(tmp_path, "*key*") == here.key.path.read_bytes()


async def test_a_key_that_is_lost_or_changed_is_said_and_never_replaced(tmp_path: Path) -> None:
    """No second key is made as long as there are secrets of the first."""
    async with house(tmp_path) as here:
        admin = await here.caller(own())
        made = await here.vault.create(secret("KEY", VALUE, projectId=ENVIRONMENT), admin)
        kept = here.key.path.read_bytes()
        here.key.path.unlink()
        lost = await reopened(here, Key(tmp_path))
        lost.owner_of = here.vault.owner_of
        with pytest.raises(KeyUnusable, match="is missing"):
            lost.value(made.id, admin)
        with pytest.raises(KeyUnusable, match="is missing"):
            await lost.create(secret("OTHER", projectId=ENVIRONMENT), admin)
        assert not here.key.path.exists()
        here.key.path.write_bytes(b"another key, long enough\n")
        here.key.path.chmod(0o600)
        with pytest.raises(KeyUnusable, match="not the one"):
            (await reopened(here, Key(tmp_path))).value(made.id, admin)
        here.key.path.write_bytes(kept)
        assert (await reopened(here, Key(tmp_path))).value(made.id, admin) == VALUE
        here.key.path.chmod(0o640)
        with pytest.raises(KeyUnusable, match="chmod 600"):
            (await reopened(here, Key(tmp_path))).value(made.id, admin)


async def test_the_key_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    """Then no file is made."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "phased.key").write_bytes(os.urandom(32).hex().encode())
    key = Key(tmp_path, credentials)
    sealed = seal(key, "id", VALUE)
    assert unseal(Key(tmp_path, credentials), "id", sealed) == VALUE
    assert not (tmp_path / "phased.key").exists()


def test_a_value_is_bound_to_its_secret(tmp_path: Path) -> None:
    """Whoever can write to the database cannot pass one secret off as another, nor change one."""
    key = Key(tmp_path)
    sealed = seal(key, "one", VALUE)
    assert unseal(key, "one", sealed) == VALUE
    assert seal(key, "one", VALUE) != sealed
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for name, found in (("other", sealed), ("one", changed), ("one", b""), ("one", b"\x02" + sealed[1:])):
        with pytest.raises(KeyUnusable):
            unseal(key, name, found)


def test_a_key_that_is_no_key_is_refused(tmp_path: Path) -> None:
    """A link, a folder, too short."""
    (tmp_path / "phased.key").write_bytes(b"short")
    (tmp_path / "phased.key").chmod(0o600)
    with pytest.raises(KeyUnusable, match="5 bytes"):
        Key(tmp_path).derive("x")
    (tmp_path / "phased.key").unlink()
    (tmp_path / "phased.key").mkdir()
    with pytest.raises(KeyUnusable, match="directory"):
        Key(tmp_path).derive("x")
    (tmp_path / "phased.key").rmdir()
    (tmp_path / "phased.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyUnusable):
        Key(tmp_path).derive("x")
