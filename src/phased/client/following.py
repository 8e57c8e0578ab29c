"""What is news of an execution that is followed, and for how long its daemon may be silent. Pure.

Knows statuses, their versions, and which failures pass. Must not know connections.
"""

from __future__ import annotations

from typing import Final

from phased.contract.error_code import ErrorCode
from phased.contract.event import WatchEventsRequest
from phased.contract.execution import TaskExecution
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.errors import PhasedError, Refused, Unreachable

_PASSING: Final = frozenset({ErrorCode.UNAVAILABLE, ErrorCode.ABORTED})
"""The daemon is ending, or its stream of events fell behind: ask anew."""

ENDED: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED})


class Patience:
    """How long a daemon has been silent, in tries."""

    def __init__(self, tries: int) -> None:
        """`tries` in a row may fail before the failure is raised."""
        self._tries = tries
        self._failed = 0

    def heard(self) -> None:
        """It gave a sign of life."""
        self._failed = 0

    def endure(self, error: PhasedError) -> None:
        """Take it as a pause. Raises the error where that makes no sense, or lasts too long."""
        passing = isinstance(error, Unreachable) or (isinstance(error, Refused) and error.code in _PASSING)
        self._failed += 1
        if not passing or self._failed > self._tries:
            raise error


class Following:
    """The newest copy of an execution, and how long its daemon has been silent."""

    def __init__(self, execution: TaskExecution, tries: int) -> None:
        """`tries` in a row may fail before the failure is raised."""
        self.execution = execution
        self._patience = Patience(tries)

    @property
    def ended(self) -> bool:
        """Whether it does not change any more."""
        return self.execution.status is not None and self.execution.status.phase in ENDED

    @property
    def scope(self) -> WatchEventsRequest:
        """What to watch."""
        metadata = self.execution.metadata
        return WatchEventsRequest(environment_id=metadata.environment_id if metadata else None)

    def take(self, execution: TaskExecution) -> bool:
        """Whether this copy is newer; it counts as a sign of life."""
        self._patience.heard()
        if _version(execution) <= _version(self.execution):
            return False
        self.execution = execution
        return True

    def endure(self, error: PhasedError) -> None:
        """Take it as a pause. Raises the error where that makes no sense, or lasts too long."""
        self._patience.endure(error)


def _version(execution: TaskExecution) -> int:
    status = execution.status
    return int(status.status_version or 0) if status is not None else 0
