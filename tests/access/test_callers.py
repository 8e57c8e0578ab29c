"""Who asks, and what they may: peers, tokens, both, and neither."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from phased.access.identity import environment_subject
from phased.access.peers import Credentials
from phased.access.roles import HOLDS, closed, read_role
from phased.contract.resource import ResourceRole as Role
from phased.contract.resource import ResourceType
from phased.contract.subject import Principal
from phased.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from tests.access.build import (
    ALICE,
    BOB,
    ENVIRONMENT,
    INSTALLATION,
    OTHER,
    STRANGER,
    USERS,
    House,
    house,
    own,
)

pytestmark = pytest.mark.anyio
TASK = ResourceType.TASK
VIEW = frozenset({Role.ENVIRONMENT_TASK_VIEWER})
START = frozenset({Role.ENVIRONMENT_TASK_USER})
ADMIN = frozenset({Role.ORG_ADMIN})


async def token_of(
    here: House, uid: int, role: Role, environment: str | None = None, expires: float | None = None
) -> str:
    """A token that a user has made."""
    return (await here.tokens.create(await here.caller(uid), frozenset({role}), environment, expires))[1]


async def test_the_daemons_user_and_root_may_everything(tmp_path: Path) -> None:
    """In every environment, also in none."""
    async with house(tmp_path) as here:
        for uid in {own(), 0}:
            caller = await here.caller(uid)
            for roles in (VIEW, START, ADMIN):
                caller.allow(TASK, roles).see(ENVIRONMENT, "the task")
            assert caller.sees_all
            assert caller.subject.principal is Principal.USER
            assert caller.subject.id == INSTALLATION.user_id(uid)


async def test_a_member_may_use_own_environments_alone(tmp_path: Path) -> None:
    """What ENVIRONMENT_USER may, there; nothing of others' environments is seen."""
    async with house(tmp_path) as here:
        alice = await here.caller(ALICE)
        alice.allow(TASK, START).see(ENVIRONMENT, "the task")
        with pytest.raises(NotFound, match="cannot find the task"):
            alice.allow(TASK, START).see(OTHER, "the task")
        with pytest.raises(PermissionDenied, match="RESOURCE_ROLE_ORG_ADMIN"):
            alice.allow(TASK, ADMIN)
        assert [one for one in (ENVIRONMENT, OTHER) if alice.reaches(one)] == [ENVIRONMENT]
        assert not alice.sees_all


async def test_a_stranger_is_refused(tmp_path: Path) -> None:
    """Settings name neither the user nor a group."""
    async with house(tmp_path) as here:
        with pytest.raises(PermissionDenied, match=r"access\.users"):
            await here.caller(STRANGER)


async def test_a_group_gives_a_role(tmp_path: Path) -> None:
    """A viewer cannot start, and is told what it takes."""
    async with house(tmp_path) as here:
        viewer = await here.caller(STRANGER, "", 62000)
        viewer.allow(TASK, VIEW).see(ENVIRONMENT, "the task")
        with pytest.raises(PermissionDenied, match="RESOURCE_ROLE_ENVIRONMENT_TASK_USER"):
            viewer.allow(TASK, START)
        both = await here.caller(ALICE, "", 62000)
        both.allow(TASK, START).see(ENVIRONMENT, "the task")
        with pytest.raises(PermissionDenied, match="the task"):
            both.allow(TASK, START).see(OTHER, "the task")


@pytest.mark.parametrize("status", ["SUSPENDED", "LEFT"])
async def test_who_is_suspended_or_left_is_refused_at_the_next_request(tmp_path: Path, status: str) -> None:
    """Also with a token, which was made before."""
    async with house(tmp_path) as here:
        token = await token_of(here, ALICE, Role.ENVIRONMENT_USER, ENVIRONMENT)
        before = await here.access.caller(None, f"Bearer {token}")
        logs = here.access.logs_token(ENVIRONMENT, await here.caller(ALICE))
        here.settle(*USERS, f"{ALICE}={status}")
        with pytest.raises(PermissionDenied, match=r"suspended|left"):
            await here.caller(ALICE)
        for shown in (token, logs):
            with pytest.raises(PermissionDenied, match=r"suspended|left"):
                await here.access.caller(None, f"Bearer {shown}")
        assert not here.access.serves(before)


async def test_open_streams_end_with_the_callers_rights(tmp_path: Path) -> None:
    """Suspended, revoked, expired: each wakes who waits; a change that concerns others does not end it."""
    async with house(tmp_path) as here:
        token = await token_of(here, ALICE, Role.ENVIRONMENT_USER, ENVIRONMENT)
        caller = await here.access.caller(None, f"Bearer {token}")
        ended: list[str] = []

        async def wait(name: str) -> None:
            await here.access.ended(caller)
            ended.append(name)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, "revoked")
                await anyio.wait_all_tasks_blocked()
                here.settle(*USERS, f"{BOB}=LEFT")
                await anyio.wait_all_tasks_blocked()
                assert not ended
                await here.tokens.revoke(caller.token_id or "", await here.caller(ALICE))
            assert ended == ["revoked"]
            alice = await here.caller(ALICE)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.access.ended, alice)
                await anyio.wait_all_tasks_blocked()
                here.settle(*USERS, f"{ALICE}=SUSPENDED")


async def test_over_tcp_a_token_is_always_needed(tmp_path: Path) -> None:
    """And it has to be one of ours."""
    async with house(tmp_path) as here:
        for header in (
            "",
            "Basic eDp5",
            "Bearer",
            "Bearer nonsense",
            "Bearer phased_t_e30.xyz",
            "Bearer phased_é",
        ):
            with pytest.raises(Unauthenticated):
                await here.access.caller(None, header)
            with pytest.raises(Unauthenticated):
                await here.access.caller(None, header, local=True)


async def test_a_token_is_its_own_subject_of_the_principal_it_was_made_for(tmp_path: Path) -> None:
    """Its environments are its user's."""
    async with house(tmp_path) as here:
        record, token = await here.tokens.create(await here.caller(ALICE), frozenset({Role.ENVIRONMENT_USER}))
        caller = await here.access.caller(None, f"Bearer {token}")
        assert caller.subject.id == record.id != INSTALLATION.user_id(ALICE)
        assert caller.subject.principal is Principal.USER
        assert caller.creator_id == INSTALLATION.user_id(ALICE)
        caller.allow(TASK, START).see(ENVIRONMENT)
        with pytest.raises(NotFound):
            caller.allow(TASK, START).see(OTHER)


async def test_a_token_for_an_environment_cannot_see_another(tmp_path: Path) -> None:
    """Not even an admin's."""
    async with house(tmp_path) as here:
        token = await token_of(here, own(), Role.ENVIRONMENT_USER, ENVIRONMENT)
        caller = await here.access.caller(None, f"Bearer {token}")
        caller.allow(TASK, START).see(ENVIRONMENT)
        with pytest.raises(NotFound):
            caller.allow(TASK, START).see(OTHER)
        with pytest.raises(PermissionDenied):
            caller.allow(TASK, ADMIN)


async def test_a_token_that_a_peer_shows_limits_and_never_widens(tmp_path: Path) -> None:
    """What both may."""
    async with house(tmp_path) as here:
        viewer = await token_of(here, own(), Role.ENVIRONMENT_VIEWER)
        admin = await token_of(here, own(), Role.ORG_ADMIN)
        with pytest.raises(PermissionDenied):
            (await here.caller(own(), viewer)).allow(TASK, START)
        alice = await here.caller(ALICE, admin)
        with pytest.raises(PermissionDenied):
            alice.allow(TASK, ADMIN)
        with pytest.raises(NotFound):
            alice.allow(TASK, START).see(OTHER)
        assert (await here.caller(own(), admin)).allow(TASK, ADMIN)


async def test_a_step_has_the_rights_of_its_environment_whoever_it_runs_as(tmp_path: Path) -> None:
    """Also with an admin's token; the principal is the environment."""
    async with house(tmp_path) as here:
        admin = await token_of(here, own(), Role.ORG_ADMIN)
        here.access.step_of = {4711: ENVIRONMENT}.get
        peer = Credentials(4711, own(), own())
        for header in ("", f"Bearer {admin}"):
            caller = await here.access.caller(peer, header, local=True)
            assert caller.subject == environment_subject(ENVIRONMENT)
            caller.allow(TASK, START).see(ENVIRONMENT)
            with pytest.raises(NotFound):
                caller.allow(TASK, START).see(OTHER)
            with pytest.raises(PermissionDenied):
                caller.allow(TASK, ADMIN)


async def test_a_steps_token_is_good_as_long_as_its_environment(tmp_path: Path) -> None:
    """It outlives the daemon: the next one of the same key takes it."""
    async with house(tmp_path) as here:
        token = here.access.step_token(ENVIRONMENT, "prebuild")
    async with house(tmp_path) as here:
        caller = await here.access.caller(None, f"Bearer {token}")
        assert caller.subject.principal is Principal.ENVIRONMENT
        assert not caller.user_secrets
    async with house(tmp_path) as here:
        here.owners.clear()
        with pytest.raises(Unauthenticated, match="gone"):
            await here.access.caller(None, f"Bearer {token}")


async def test_a_token_for_logs_reads_logs_of_one_environment_for_an_hour(tmp_path: Path) -> None:
    """And nothing else."""
    async with house(tmp_path) as here:
        token = here.access.logs_token(ENVIRONMENT, await here.caller(ALICE))
        caller = await here.access.caller(None, f"Bearer {token}")
        caller.allow(TASK, VIEW, logs=True).see(ENVIRONMENT)
        with pytest.raises(NotFound):
            caller.allow(TASK, VIEW, logs=True).see(OTHER)
        with pytest.raises(PermissionDenied, match="logs alone"):
            caller.allow(TASK, VIEW)
        here.clock.advance(3599)
        assert here.access.serves(await here.access.caller(None, f"Bearer {token}"))
        here.clock.advance(2)
        assert not here.access.serves(caller)
        with pytest.raises(Unauthenticated, match="expired"):
            await here.access.caller(None, f"Bearer {token}")


async def test_a_signed_token_cannot_be_changed(tmp_path: Path) -> None:
    """Each byte of it counts."""
    async with house(tmp_path) as here:
        token = here.access.environment_token(ENVIRONMENT, await here.caller(ALICE))
        await here.access.caller(None, f"Bearer {token}")
        for at in range(9, len(token), 7):
            other = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            with pytest.raises(Unauthenticated):
                await here.access.caller(None, f"Bearer {other}")


def test_roles_hold_others() -> None:
    """Each role reaches what its row says, and an admin everything."""
    assert closed(frozenset({Role.ORG_ADMIN})) == set(Role) - {Role.UNSPECIFIED}
    assert closed(frozenset({Role.ENVIRONMENT_IDENTITY})) >= {
        Role.ENVIRONMENT_TASK_VIEWER,
        Role.ENVIRONMENT_USER,
    }
    assert Role.ENVIRONMENT_TASK_USER not in closed(frozenset({Role.ENVIRONMENT_VIEWER}))
    for role, held in HOLDS.items():
        assert role not in held


def test_a_role_is_read_by_its_name() -> None:
    """Those that no method asks for are refused, and the others named."""
    known = frozenset({Role.ENVIRONMENT_USER, Role.ENVIRONMENT_VIEWER})
    assert read_role("environment-user", known) is Role.ENVIRONMENT_USER
    assert read_role("RESOURCE_ROLE_ENVIRONMENT_VIEWER", known) is Role.ENVIRONMENT_VIEWER
    with pytest.raises(
        InvalidArgument, match="RESOURCE_ROLE_ENVIRONMENT_USER, RESOURCE_ROLE_ENVIRONMENT_VIEWER"
    ):
        read_role("RESOURCE_ROLE_SESSION_ADMIN", known)
