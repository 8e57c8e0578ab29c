"""Tokens: made, kept as digests, listed, revoked, expired; never more than their maker has."""

from __future__ import annotations

from pathlib import Path

import pytest

from phased.contract.resource import ResourceRole as Role
from phased.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from tests.access.build import ALICE, BOB, ENVIRONMENT, OTHER, House, everything_in, house, own

pytestmark = pytest.mark.anyio
USER = frozenset({Role.ENVIRONMENT_USER})


async def check(here: House, token: str) -> None:
    """Show it."""
    await here.access.caller(None, f"Bearer {token}")


async def test_it_is_kept_as_a_digest_alone(tmp_path: Path) -> None:
    """Nothing in the state directory holds the token, and no repr."""
    async with house(tmp_path) as here:
        record, token = await here.tokens.create(await here.caller(own()), USER, description="ci")
        assert token not in repr(record)
        assert len(token) > 43
        await check(here, token)
    async with house(tmp_path) as here:
        await check(here, token)
        assert [one.description for one in here.tokens.listed(await here.caller(own()))] == ["ci"]
        held = everything_in(tmp_path)
        assert token.encode() not in held
        assert record.digest in held


async def test_it_expires(tmp_path: Path) -> None:
    """It is refused, no longer listed, and forgotten at the next start."""
    async with house(tmp_path) as here:
        _, token = await here.tokens.create(await here.caller(own()), USER, expires_in=60)
        here.clock.advance(59)
        await check(here, token)
        here.clock.advance(2)
        with pytest.raises(Unauthenticated, match="expired"):
            await check(here, token)
        assert here.tokens.listed(await here.caller(own())) == []
        reopened = await type(here.tokens).open(here.store.access, here.clock)
        assert await here.store.access.list_tokens() == []
        assert reopened.listed(await here.caller(own())) == []


async def test_it_is_revoked(tmp_path: Path) -> None:
    """At once and for ever; by its maker or an admin, not by others."""
    async with house(tmp_path) as here:
        record, token = await here.tokens.create(await here.caller(ALICE), USER, ENVIRONMENT)
        with pytest.raises(NotFound):
            await here.tokens.revoke(record.id, await here.caller(BOB))
        await check(here, token)
        await here.tokens.revoke(record.id, await here.caller(ALICE))
        with pytest.raises(Unauthenticated, match="revoked"):
            await check(here, token)
        with pytest.raises(NotFound):
            await here.tokens.revoke(record.id, await here.caller(ALICE))
        record, token = await here.tokens.create(await here.caller(ALICE), USER, ENVIRONMENT)
        await here.tokens.revoke(record.id, await here.caller(own()))
    async with house(tmp_path) as here:
        with pytest.raises(Unauthenticated):
            await check(here, token)


async def test_nobody_makes_one_that_may_more(tmp_path: Path) -> None:
    """Not in another's environment, not a role that they lack, not beyond their own token."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        for roles, environment in ((USER, OTHER), (frozenset({Role.ORG_ADMIN}), None)):
            with pytest.raises(PermissionDenied):
                await here.tokens.create(alice, roles, environment)
        with pytest.raises(InvalidArgument):
            await here.tokens.create(alice, frozenset())
        with pytest.raises(InvalidArgument, match="expires"):
            await here.tokens.create(alice, USER, expires_in=0)
        viewer = frozenset({Role.ENVIRONMENT_VIEWER})
        _, token = await here.tokens.create(await here.caller(own()), viewer, ENVIRONMENT, 60)
        narrow = await here.access.caller(None, f"Bearer {token}")
        for roles, environment in ((USER, ENVIRONMENT), (viewer, None), (viewer, OTHER)):
            with pytest.raises(PermissionDenied):
                await here.tokens.create(narrow, roles, environment)
        made, _ = await here.tokens.create(narrow, viewer, ENVIRONMENT)
        assert made.expires_at == here.clock.wall() + 60_000_000


async def test_what_its_maker_loses_it_loses(tmp_path: Path) -> None:
    """Rights are looked at when it is shown."""
    async with house(tmp_path) as here:
        here.settle(f"{ALICE}=ADMIN")
        _, token = await here.tokens.create(await here.caller(ALICE), frozenset({Role.ORG_ADMIN}))
        assert (await here.access.caller(None, f"Bearer {token}")).holds((Role.ORG_ADMIN,))
        here.settle(f"{ALICE}=MEMBER")
        assert not (await here.access.caller(None, f"Bearer {token}")).holds((Role.ORG_ADMIN,))
        here.settle()
        with pytest.raises(PermissionDenied):
            await check(here, token)


async def test_others_tokens_are_not_listed(tmp_path: Path) -> None:
    """An admin sees all."""
    async with house(tmp_path) as here:
        await here.tokens.create(await here.caller(ALICE), USER, ENVIRONMENT)
        await here.tokens.create(await here.caller(BOB), USER, OTHER)
        seen = {uid: len(here.tokens.listed(await here.caller(uid))) for uid in (ALICE, BOB, own())}
        assert seen == {ALICE: 1, BOB: 1, own(): 2}
