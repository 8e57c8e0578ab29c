"""The typed client of the daemon, for the command line and for third parties.

    with Client(Address.of_socket("/run/phased/phased.sock")) as client:
        started = client.start_task(StartTaskRequest(id=task_id)).task_execution
        for execution in client.follow_execution(started.id):
            print(execution.status.phase)

`AsyncClient` has the same methods, to be awaited. Knows the contract and the errors. Must not know the server.
"""

from __future__ import annotations

from phased.client.address import Address
from phased.client.asynchronous import AsyncClient
from phased.client.sync import Client
from phased.client.wire import StatusEvent

__all__ = ["Address", "AsyncClient", "Client", "StatusEvent"]
