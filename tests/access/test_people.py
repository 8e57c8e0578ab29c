"""What settings say of people, classes and gateways, and what clients are told of it."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from phased.access.peers import Credentials, credentials, own_credentials
from phased.access.people import groups_of, read_people, read_tier
from phased.contract.base import to_dict
from phased.contract.organization import OrganizationRole, OrganizationTier
from phased.contract.resource import ResourceRole as Role
from phased.contract.user import UserStatus
from phased.core.classes import gateways, read_classes
from phased.engine.environments.classes import EnvironmentClasses
from phased.errors import FailedPrecondition, InvalidArgument, SettingsError
from phased.settings import credentials_directory, load
from tests.access.build import ALICE, INSTALLATION, own

RUNNER = INSTALLATION.runner_id


# ---- people --------------------------------------------------------------------------------------


def test_a_user_is_known_by_the_installation_and_the_uid() -> None:
    """A UUIDv5 of both: the same as long as they are."""
    assert INSTALLATION.user_id(1000) == str(uuid5(UUID(INSTALLATION.id), "uid:1000"))
    assert UUID(INSTALLATION.user_id(1000)).version == 5
    ids = {INSTALLATION.user_id(0), INSTALLATION.organization_id, RUNNER, INSTALLATION.class_id("local")}
    assert len(ids) == 4


def test_the_identity_says_who_and_where() -> None:
    """Subject, organization and the tier that settings name."""
    assert to_dict(INSTALLATION.identity(INSTALLATION.user(7))) == {
        "subject": {"id": INSTALLATION.user_id(7), "principal": "PRINCIPAL_USER"},
        "organizationId": INSTALLATION.organization_id,
        "organizationTier": "ORGANIZATION_TIER_CORE",
    }


@pytest.mark.parametrize("tier", OrganizationTier)
def test_every_tier_can_be_told(tier: OrganizationTier) -> None:
    """By its whole name and without the prefix; others are refused, naming all."""
    assert read_tier(tier.value) is read_tier(tier.name.lower()) is tier
    assert read_tier("") is OrganizationTier.UNSPECIFIED
    with pytest.raises(SettingsError, match="ORGANIZATION_TIER_FREE_ONA"):
        read_tier("GOLD")


def test_users_by_name_and_number() -> None:
    """A role and a status may stand beside each other; the daemon's own user and root are ADMIN."""
    name = pwd.getpwuid(own()).pw_name
    people = read_people(INSTALLATION, [f"{name}=MEMBER", f"{ALICE}=admin", f"{ALICE}=USER_STATUS_LEFT"], [])
    assert people.role(own()) is OrganizationRole.MEMBER
    assert people.role(ALICE) is OrganizationRole.ADMIN
    assert people.status(ALICE) is UserStatus.LEFT
    nobody = read_people(INSTALLATION, [], [])
    assert {nobody.role(own()), nobody.role(0)} == {OrganizationRole.ADMIN}
    assert nobody.role(ALICE) is OrganizationRole.UNSPECIFIED
    assert nobody.status(ALICE) is UserStatus.ACTIVE


def test_groups_by_name_and_number() -> None:
    """Who is in several has the roles of all."""
    gid = os.getegid()
    groups = [f"{grp.getgrgid(gid).gr_name}=ENVIRONMENT_VIEWER", f"{gid}=RESOURCE_ROLE_RUNNER_ADMIN"]
    people = read_people(INSTALLATION, [], groups)
    caller = people.caller(Credentials(0, ALICE, 1, frozenset({1, gid})))
    assert {Role.ENVIRONMENT_VIEWER, Role.RUNNER_ADMIN, Role.USER_IDENTITY} <= caller.roles
    assert Role.ORG_MEMBER not in caller.roles


@pytest.mark.parametrize(
    ("users", "groups", "message"),
    [
        (["1"], [], "NAME=WHAT"),
        (["=ADMIN"], [], "NAME=WHAT"),
        (["1=KING"], [], "ADMIN, MEMBER, ACTIVE, SUSPENDED, LEFT"),
        (["no-such-user-here=ADMIN"], [], "there is no 'no-such-user-here'"),
        (["1=ADMIN", "1=MEMBER"], [], "says otherwise"),
        ([], ["no-such-group-here=ENVIRONMENT_VIEWER"], "there is no"),
        ([], ["0=KING"], "KING is no role"),
        ([], ["0=UNSPECIFIED"], "is no role"),
    ],
)
def test_what_settings_cannot_say_of_people(users: list[str], groups: list[str], message: str) -> None:
    """It is named."""
    with pytest.raises(SettingsError, match=message):
        read_people(INSTALLATION, users, groups)


def test_groups_by_the_systems_lists() -> None:
    """Of a user that there is not: none."""
    assert pwd.getpwuid(own()).pw_gid in groups_of(own())
    assert groups_of(ALICE) == frozenset()


# ---- peers ---------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def test_the_kernel_tells_who_is_at_the_other_end(folder: Path) -> None:
    """Process, user and groups of the one that connected; nothing of other sockets."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(folder / "s"))
        listener.listen()
        client.connect(str(folder / "s"))
        connection, _ = listener.accept()
        with connection:
            found = credentials(connection)
        assert found == own_credentials()
        assert found is not None
        assert found.pid == os.getpid()
        assert credentials(connection) is None  # closed
    with socket.socket() as other:
        assert credentials(other) is None


# ---- environment classes -------------------------------------------------------------------------


def classes(*tables: dict[str, Any], preferred: tuple[dict[str, Any], ...] = ()) -> EnvironmentClasses:
    """As settings have them."""
    found, order = read_classes(tables, preferred, INSTALLATION.class_id, RUNNER)
    return EnvironmentClasses(found, INSTALLATION.class_id("local"), order)


def test_there_is_always_local() -> None:
    """It is this daemon's, enabled, and what a new environment gets."""
    found = classes()
    assert [to_dict(one) for one in found.classes] == [
        {
            "id": INSTALLATION.class_id("local"),
            "displayName": "This machine",
            "description": "This machine.",
            "runnerId": RUNNER,
            "enabled": True,
        }
    ]
    assert found.choose("") == found.classes[0]


def test_a_class_has_a_configuration_of_known_keys() -> None:
    """As key and value, in the settings' order."""
    found = classes(
        {"name": "box", "configuration": {"image": "debian:12", "network": "none", "pullPolicy": "never"}}
    )
    shown = to_dict(found.classes[1])
    assert shown["configuration"] == [
        {"key": "image", "value": "debian:12"},
        {"key": "network", "value": "none"},
        {"key": "pullPolicy", "value": "never"},
    ]
    assert shown["runnerId"] == RUNNER


def test_a_disabled_class_is_listed_and_makes_nothing() -> None:
    """`failed_precondition`; one that is unknown, `invalid_argument`."""
    found = classes({"name": "box", "enabled": False})
    assert [one.enabled for one in found.classes] == [True, False]
    with pytest.raises(FailedPrecondition, match="disabled"):
        found.choose(INSTALLATION.class_id("box"))
    with pytest.raises(InvalidArgument):
        found.choose("nothing")
    nothing = classes({"name": "local", "enabled": False})
    with pytest.raises(FailedPrecondition, match="every class is disabled"):
        nothing.choose("")


def test_without_a_class_the_enabled_one_of_the_lowest_order_is_taken() -> None:
    """`localRunner` means local; the order is the settings' where numbers are equal."""
    tables = ({"name": "off", "enabled": False}, {"name": "box"}, {"name": "crate"})
    order: tuple[dict[str, Any], ...] = (
        {"localRunner": True, "order": 3},
        {"class": "crate", "order": 2},
        {"class": "box", "order": 2},
        {"class": "off", "order": 1},
    )
    found = classes(*tables, preferred=order)
    assert found.choose("").id == INSTALLATION.class_id("crate")
    assert [to_dict(one) for one in found.preference] == [
        {"environmentClassId": INSTALLATION.class_id("off"), "order": 1},
        {"environmentClassId": INSTALLATION.class_id("crate"), "order": 2},
        {"environmentClassId": INSTALLATION.class_id("box"), "order": 2},
        {"localRunner": True, "order": 3},
    ]
    assert classes(*tables, preferred=order[:1]).choose("").id == INSTALLATION.class_id("local")


@pytest.mark.parametrize(
    ("table", "preferred", "message"),
    [
        ({"name": "x", "display_name": "ab"}, {}, "displayName: must have at least 3"),
        ({"name": "x", "display_name": "a" * 128}, {}, "displayName: must have at most 127"),
        ({"name": "x", "description": "ab"}, {}, "description: must have at least 3"),
        ({"name": "x", "description": "a" * 201}, {}, "description: must have at most 200"),
        ({"name": "box", "enabled": "yes"}, {}, "enabled: must be true or false"),
        ({"name": "box", "colour": "red"}, {}, "there is no colour"),
        (
            {"name": "box", "configuration": {"memory": "1G"}},
            {},
            "there is no memory; there are: image",
        ),
        ({"name": "box", "configuration": {"image": 1}}, {}, "is text"),
        ({"name": "box", "configuration": "x"}, {}, "is a table"),
        ({"display_name": "abc"}, {}, "has a name"),
        ({"name": "box"}, {"class": "bix"}, "there is no class 'bix'; there are: local, box"),
        ({"name": "box"}, {"class": "local"}, "write localRunner = true"),
        ({"name": "box"}, {"class": INSTALLATION.class_id("local")}, "write localRunner = true"),
        ({"name": "box"}, {"class": "box", "localRunner": True}, "either class or localRunner"),
        ({"name": "box"}, {"order": 1}, "either class or localRunner"),
        ({"name": "box"}, {"class": "box", "order": "first"}, "whole number"),
        ({"name": "box"}, {"class": "box", "rank": 1}, "there is no rank"),
    ],
)
def test_what_settings_cannot_say_of_classes(
    table: dict[str, Any], preferred: dict[str, Any], message: str
) -> None:
    """It is named."""
    with pytest.raises(SettingsError, match=message):
        classes(table, preferred=(preferred,) if preferred else ())


def test_a_class_stands_once() -> None:
    """Two of one name are refused."""
    with pytest.raises(SettingsError, match="two classes named box"):
        classes({"name": "box"}, {"name": "box"})


def test_classes_are_read_from_a_file(tmp_path: Path) -> None:
    """And, as JSON, from a variable."""
    file = tmp_path / "phased.toml"
    file.write_text(
        "[[environments.classes]]\nname = 'box'\nconfiguration = { image = 'debian:12' }\n"
        "[[environments.preferred]]\nclass = 'box'\norder = 1\n"
    )
    found = load(file, environ={}).environments
    assert classes(*map(dict, found.classes), preferred=tuple(map(dict, found.preferred))).choose("").id == (
        INSTALLATION.class_id("box")
    )
    environ = {"PHASED_ENVIRONMENTS_CLASSES": '[{"name": "box"}]'}
    assert load(environ={"HOME": str(tmp_path), **environ}).environments.classes == ({"name": "box"},)
    with pytest.raises(SettingsError, match="write JSON"):
        load(environ={"HOME": str(tmp_path), "PHASED_ENVIRONMENTS_CLASSES": "box"})


# ---- gateways ------------------------------------------------------------------------------------


def test_each_listener_is_a_gateway() -> None:
    """With the settings' region; two of one name are a settings error."""
    found = gateways([("socket", "http://localhost"), ("tcp", "https://127.0.0.1:7000")], "home")
    assert [to_dict(one) for one in found] == [
        {"name": "socket", "url": "http://localhost", "region": "home"},
        {"name": "tcp", "url": "https://127.0.0.1:7000", "region": "home"},
    ]
    assert to_dict(gateways([("tcp", "http://x")])[0]) == {"name": "tcp", "url": "http://x"}
    with pytest.raises(SettingsError, match="two listeners are named tcp"):
        gateways([("tcp", "http://x"), ("tcp", "http://y")])


def test_where_systemd_puts_credentials() -> None:
    """Only where it says so."""
    assert credentials_directory({"CREDENTIALS_DIRECTORY": "/run/credentials/phased.service"}) == Path(
        "/run/credentials/phased.service"
    )
    assert credentials_directory({}) is None
