"""One daemon for each module."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api.daemon import Api, Daemon, daemon


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon on its socket and on TCP."""
    with daemon() as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


@pytest.fixture
def client(served: Daemon) -> Iterator[httpx.Client]:
    """Over the socket: an admin."""
    with served.client() as client:
        yield client


@pytest.fixture
def api(client: httpx.Client) -> Api:
    """Methods by name, over the socket, in the environment of the workspace."""
    return Api(client)
