"""The typed client of the daemon, for the command line and for third parties.

    with Client(Address.of_socket("/run/phased/phased.sock")) as client:
        started = client.start_task(StartTaskRequest(id=task_id)).task_execution
        for execution in client.follow_execution(started.id):
            print(execution.status.phase)

`AsyncClient` has the same methods, to be awaited. Knows the contract and the errors. Must not know the
server. What is named here is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phased.client.address import Address
    from phased.client.asynchronous import AsyncClient
    from phased.client.sync import Client
    from phased.client.wire import StatusEvent

__all__ = ["Address", "AsyncClient", "Client", "StatusEvent"]

_MODULES = {"Address": "address", "AsyncClient": "asynchronous", "Client": "sync", "StatusEvent": "wire"}


def __getattr__(name: str) -> object:
    """Import a class (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
