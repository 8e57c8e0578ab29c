"""Tells both feeds of a daemon what happened: the one of resources, and the one of statuses.

Knows the engine's feeds and records. Must not know who reads. What the engine publishes has been saved, so
what is told here has been, too.
"""

from __future__ import annotations

from collections.abc import Callable

from phased.contract.event import ResourceOperation as Operation
from phased.contract.resource import ResourceType
from phased.contract.service import ServicePhase
from phased.core.status import StatusChange
from phased.engine.changes import ChangeFeed
from phased.engine.registry import LiveExecution
from phased.engine.stream import StatusStream
from phased.ports import ServiceRecord


class Bulletin:
    """`tell` is for what is not a status; statuses of executions and services come by themselves."""

    def __init__(self, changes: ChangeFeed, stream: StatusStream) -> None:
        """Nothing has happened."""
        self.changes = changes
        self.stream = stream

    def tell(
        self,
        operation: Operation,
        resource_type: ResourceType,
        resource_id: str,
        environment_id: str,
        creator_id: str,
        *,
        version: int = 0,
    ) -> None:
        """Something was made, changed or removed; `version` is that of its new status, if it has one."""
        self.changes.publish(operation, resource_type, resource_id, environment_id, creator_id)
        self.stream.append(operation, resource_type, resource_id, environment_id, version=version)


class ExecutionListener:
    """Stands among the subscriptions of the engine's feed, and never lets anything wait."""

    def __init__(self, bulletin: Bulletin, live: Callable[[str], LiveExecution | None]) -> None:
        """`live` finds an execution that the engine drives."""
        self._bulletin = bulletin
        self._live = live

    def put(self, change: StatusChange) -> None:
        """An execution has a new status."""
        live = self._live(change.execution_id)
        if live is None:
            return
        record = live.record
        operation = Operation.UPDATE_STATUS if change.expected_version else Operation.CREATE
        self._bulletin.changes.publish(
            operation, ResourceType.TASK_EXECUTION, record.id, record.environment_id, record.creator_id
        )
        self._bulletin.stream.append(
            operation, ResourceType.TASK_EXECUTION, record.id, record.environment_id, change,
            version=change.version,
        )  # fmt: skip

    def wake(self) -> None:
        """Nothing has changed."""


class ServiceListener:
    """The same for services: it remembers of each which spec it told of."""

    def __init__(self, bulletin: Bulletin) -> None:
        """Knows none."""
        self._bulletin = bulletin
        self._told: dict[str, tuple[int, int]] = {}

    def know(self, record: ServiceRecord) -> None:
        """A service that was there before."""
        self._told[record.id] = (record.spec_version, record.status.version)

    def put(self, record: ServiceRecord) -> None:
        """A service was made, changed, or has a new status."""
        for operation in self._operations(record):
            self._bulletin.changes.publish(
                operation, ResourceType.SERVICE, record.id, record.environment_id, record.creator_id
            )
            self._bulletin.stream.append(
                operation, ResourceType.SERVICE, record.id, record.environment_id, record,
                version=record.status.version,
            )  # fmt: skip

    def _operations(self, record: ServiceRecord) -> list[Operation]:
        before = self._told.get(record.id)
        if record.status.progress.phase is ServicePhase.DELETED:
            self._told.pop(record.id, None)
            return [Operation.DELETE]
        self.know(record)
        if before is None:
            return [Operation.CREATE]
        spec, status = before
        operations = [Operation.UPDATE] if record.spec_version != spec else []
        return operations + ([Operation.UPDATE_STATUS] if record.status.version != status else [])
