"""The connection to a daemon, and which of its environments a command line means.

Knows options and the client. Must not know any verb.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phased.cli.options import Common
from phased.cli.places import address_of
from phased.client.sync import Client
from phased.errors import NotFound
from phased.settings import client_environment

if TYPE_CHECKING:
    from phased.client.address import Address
    from phased.contract.environment import Environment

PAGE: Final = 100
"""Entries of one page: as many as may be asked for."""


class Connection:
    """A daemon, and which of its environments is meant."""

    def __init__(self, common: Common, client: Client) -> None:
        """`client` is closed by `connected`."""
        self.common = common
        self.client = client

    @cached_property
    def environments(self) -> list[Environment]:
        """All that the daemon shows."""
        from phased.contract.environment_calls import ListEnvironmentsRequest  # noqa: PLC0415 - not always needed
        from phased.contract.pagination import PaginationRequest  # noqa: PLC0415 - the same

        request = ListEnvironmentsRequest(pagination=PaginationRequest(page_size=PAGE))
        pages = self.client.pages(self.client.list_environments, request)
        return [one for page in pages for one in page.environments]

    @cached_property
    def environment_id(self) -> str:
        """The one that is meant. Raises NotFound where that cannot be told."""
        if (wanted := self.common.said("environment")) is not None:
            return self.find_environment(wanted)
        inside = client_environment().environment_id
        if inside in {one.id for one in self.environments}:  # else it is one of another daemon, or product
            return inside or ""
        if len(self.environments) == 1:
            return self.environments[0].id or ""
        around = [one for one in self.environments if _is_around(self.common.workspace, one)]
        if around:
            return max(around, key=lambda one: len(workspace_of(one))).id or ""
        if not self.environments:
            raise NotFound(
                "cannot find an environment: the daemon has none; `phased environment create` makes one"
            )
        known = ", ".join(f"{one.id} ({name_of(one)})" for one in self.environments[:10])
        raise NotFound(f"cannot tell which environment is meant; give --environment: {known}")

    def find_environment(self, wanted: str) -> str:
        """The id of the environment with this id or name. Raises NotFound."""
        from uuid import UUID  # noqa: PLC0415 - not always needed

        try:
            return str(UUID(wanted))
        except ValueError:
            found = [one.id or "" for one in self.environments if name_of(one) == wanted]
        if len(found) != 1:
            how_many = "several" if found else "none"
            raise NotFound(
                f"cannot tell which environment {wanted!r} is: {how_many} of that name; give its id"
            )
        return found[0]


def name_of(environment: Environment) -> str:
    """What people call it."""
    return (environment.metadata.name if environment.metadata else None) or ""


def workspace_of(environment: Environment) -> str:
    """The directory of its workspace; "" where that is not told."""
    content = environment.status.content if environment.status else None
    return (content.content_location_in_machine if content else None) or ""


def _is_around(directory: Path, environment: Environment) -> bool:
    workspace = workspace_of(environment)
    return bool(workspace) and directory.is_relative_to(workspace)


@contextmanager
def connected(common: Common, address: Address | None = None) -> Iterator[Connection]:
    """The daemon that is meant. Raises SettingsError, FileUnreadable, InvalidArgument."""
    with Client(address or address_of(common)) as client:
        yield Connection(common, client)
