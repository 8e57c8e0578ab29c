"""Roles, and which of them hold others.

Knows roles as data. Must not know methods or callers: which roles suffice for a method, the API's table of
routes says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from phased.contract.resource import ResourceRole as Role
from phased.errors import InvalidArgument

HOLDS: Final[Mapping[Role, frozenset[Role]]] = {
    Role.ORG_ADMIN: frozenset(Role) - {Role.UNSPECIFIED, Role.ORG_ADMIN},
    Role.ORG_MEMBER: frozenset({Role.USER_VIEWER, Role.RUNNER_CONFIGURATION_READER, Role.RUNNER_USER}),
    Role.ORG_RUNNERS_ADMIN: frozenset({Role.RUNNER_ADMIN}),
    Role.ORG_PROJECTS_ADMIN: frozenset({Role.PROJECT_ADMIN}),
    Role.ORG_AUTOMATIONS_ADMIN: frozenset({Role.ENVIRONMENT_TASK_ADMIN, Role.ENVIRONMENT_SERVICE_ADMIN}),
    Role.USER_ADMIN: frozenset({Role.USER_IDENTITY, Role.USER_VIEWER}),
    Role.USER_IDENTITY: frozenset({Role.USER_VIEWER}),
    Role.RUNNER_ADMIN: frozenset({Role.RUNNER_USER}),
    Role.RUNNER_USER: frozenset({Role.RUNNER_CONFIGURATION_READER}),
    Role.PROJECT_ADMIN: frozenset({Role.PROJECT_EDITOR}),
    Role.PROJECT_EDITOR: frozenset({Role.PROJECT_USER}),
    Role.ENVIRONMENT_ADMIN: frozenset({Role.ENVIRONMENT_USER}),
    Role.ENVIRONMENT_IDENTITY: frozenset(
        {Role.ENVIRONMENT_USER, Role.ENVIRONMENT_TASK_ENV, Role.ENVIRONMENT_SERVICE_ENV}
    ),
    Role.ENVIRONMENT_USER: frozenset(
        {Role.ENVIRONMENT_VIEWER, Role.ENVIRONMENT_TASK_ADMIN, Role.ENVIRONMENT_SERVICE_ADMIN}
    ),
    Role.ENVIRONMENT_VIEWER: frozenset({Role.ENVIRONMENT_TASK_VIEWER, Role.ENVIRONMENT_SERVICE_VIEWER}),
    Role.ENVIRONMENT_TASK_ADMIN: frozenset({Role.ENVIRONMENT_TASK_USER}),
    Role.ENVIRONMENT_TASK_ENV: frozenset({Role.ENVIRONMENT_TASK_USER}),
    Role.ENVIRONMENT_TASK_USER: frozenset({Role.ENVIRONMENT_TASK_VIEWER}),
    Role.ENVIRONMENT_SERVICE_ADMIN: frozenset({Role.ENVIRONMENT_SERVICE_USER}),
    Role.ENVIRONMENT_SERVICE_ENV: frozenset({Role.ENVIRONMENT_SERVICE_USER}),
    Role.ENVIRONMENT_SERVICE_USER: frozenset({Role.ENVIRONMENT_SERVICE_VIEWER}),
}
"""What who has a role has beside it. A role that is not here holds no other."""

PREFIX: Final = "RESOURCE_ROLE_"


@cache
def closed(roles: frozenset[Role]) -> frozenset[Role]:
    """These roles and all that they hold."""
    found: set[Role] = set()
    more = set(roles)
    while more:
        role = more.pop()
        found.add(role)
        more |= HOLDS.get(role, frozenset()) - found
    return frozenset(found)


def read_role(text: str, known: frozenset[Role]) -> Role:
    """A role by its name, with or without the prefix. Raises InvalidArgument, naming those that are known."""
    name = text.strip().upper().replace("-", "_")
    name = name if name.startswith(PREFIX) else f"{PREFIX}{name}"
    for role in known:
        if role.value == name:
            return role
    names = ", ".join(sorted(role.value for role in known))
    raise InvalidArgument(f"cannot use the role {text!r}: no method asks for it; there are: {names}")
