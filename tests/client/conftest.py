"""One daemon for each module, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from phased.client import Address, Client
from phased.contract.environment_calls import ListEnvironmentsRequest
from tests.api.daemon import Daemon, daemon


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon on its socket and on TCP."""
    with daemon() as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


@pytest.fixture
def address(served: Daemon) -> Address:
    """Its socket."""
    return Address.of_socket(served.socket)


@pytest.fixture
def client(address: Address) -> Iterator[Client]:
    """One that blocks."""
    with Client(address) as made:
        yield made


@pytest.fixture
def environment_id(client: Client) -> str:
    """The only environment."""
    (only,) = client.list_environments(ListEnvironmentsRequest()).environments
    assert only.id is not None
    return only.id
