"""Environments, tasks and what is asked of a history, as records: what the daemon keeps beside executions.

Knows the contract's vocabulary. Must not know stores, directories or who asks. Times are microseconds since
the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from phased.contract.definitions import TaskDefinition
from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.environment_spec import EnvironmentSpec
from phased.contract.execution import TaskExecutionPhase

AT_WORK: Final = frozenset({EnvironmentPhase.STARTING, EnvironmentPhase.RUNNING, EnvironmentPhase.UPDATING})
"""The phases in which tasks and services can be started."""
AT_REST: Final = frozenset({EnvironmentPhase.STOPPED, EnvironmentPhase.DELETED})


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    """One environment as it is kept: what it should be, and where it stands."""

    id: str
    name: str
    workspace: str
    """The directory that its commands run in, absolute."""
    scratch: bool
    """The directory was made for it, and is removed with it; else a user gave it, and it stays."""
    phase: EnvironmentPhase
    desired: EnvironmentPhase
    """What was asked for last: RUNNING, STOPPED or DELETED."""
    created_at: int
    creator_id: str
    creator_principal: str
    spec: EnvironmentSpec = field(default_factory=EnvironmentSpec)
    """As it was asked for; `machine.class` is the id of its class."""
    spec_version: int = 0
    status_version: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    context_url: str = ""
    """Where its content came from, without credentials."""
    session_id: str = ""
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    has_content: bool = False
    """Its workspace is filled."""
    automations_file: str = ""
    """The file that was read when it was filled, relative to the workspace; "": there was none."""
    automations_failure: str = ""
    """Why that file was not applied."""
    last_started_at: int | None = None
    started_boot: str = ""
    """The boot of the machine in which it was started last."""
    active_at: int | None = None
    active_source: str = ""


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task of an environment as it is kept."""

    id: str
    environment_id: str
    definition: TaskDefinition
    created_at: int
    updated_at: int
    creator_id: str
    creator_principal: str
    spec_version: int

    @property
    def reference(self) -> str:
        """What names it in its environment."""
        return self.definition.reference


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions are asked for; an empty field narrows nothing."""

    environment_ids: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    phases: tuple[TaskExecutionPhase, ...] = ()
    triggers: tuple[str, ...] = ()
    """What started them, in the file's spelling, or `manual`."""
    created_from: int | None = None
    created_before: int | None = None
    sort: str = "createdAt"
    """A key of SORT_KEYS."""
    descending: bool = True
    after: tuple[int | str, str] | None = None
    """Only those that follow this value of the sort key and this id; ties stand in the order of ids."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest execution of a task, in short."""

    task_id: str
    id: str
    phase: TaskExecutionPhase
    created_at: int
    started_at: int | None
    completed_at: int | None
    failure_message: str | None
    started_by: str


SORT_KEYS: Final = (
    "id", "createdAt", "startedAt", "completedAt", "taskId", "startedBy", "phase", "statusVersion",
)  # fmt: skip
"""What executions are sorted by, as the API spells the fields; what is unset counts as the least."""
