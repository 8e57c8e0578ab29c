"""The client has every method that a daemon answers, with its messages."""

from __future__ import annotations

import json
import subprocess
import sys

from phased.api.routes import ROUTES
from phased.client.methods import Methods, Stream, all_methods
from tests.shared import SHARED, needs_shared


def test_the_methods_are_those_of_the_table_of_routes() -> None:
    """Each with the same messages, and no other."""
    served = {route.path: (route.request, route.response) for route in ROUTES}
    assert {method.path: (method.request, method.response) for method in all_methods()} == served


def test_those_that_stream_are_streams() -> None:
    """As the daemon has them."""
    streams = {entry.method.path for entry in vars(Methods).values() if isinstance(entry, Stream)}
    assert streams == {route.path for route in ROUTES if route.streams}


@needs_shared
def test_the_public_methods_are_those_of_the_contract() -> None:
    """By service, name and messages."""
    services = json.loads((SHARED / "reference" / "contract.json").read_text())["services"]
    ours = {method.path: method for method in all_methods()}
    for service, methods in services.items():
        for name, said in methods.items():
            method = ours[f"/{service}/{name}"]
            assert (method.request.proto, method.response.proto) == (said["request"], said["response"])


def test_the_client_imports_no_part_of_the_server() -> None:
    """It is for third parties too."""
    code = "import sys; from phased.client import Client, AsyncClient, Address; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True
    )
    modules = set(done.stdout.split())
    assert not modules & {"starlette", "uvicorn", "connectrpc", "networkx", "sqlite3", "structlog"}
    ours = {name.split(".")[1] for name in modules if name.startswith("phased.")}
    assert ours == {"client", "contract", "errors"}
