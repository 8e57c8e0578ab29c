"""What the engine needs from the outside world, as small Protocols, and the records that cross them.

Knows the core's vocabulary. Must not know SQLite, processes, sockets or files: those implement these.
Times are integers: microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from phased.contract.definitions import ServiceDefinition
from phased.contract.execution import TaskExecutionSpec
from phased.core.policy import ExecutionPolicy
from phased.core.service_status import ServiceChange
from phased.core.status import StatusChange, StepStatus

if TYPE_CHECKING:  # a foreground run needs none of what these bring
    from phased.core.access import FormerValue, SecretRecord, TokenRecord
    from phased.core.environment import EnvironmentRecord, ExecutionQuery, LastRun, TaskRecord
    from phased.core.firing import FiringRecord

__all__ = [
    "AccessStore",
    "Clock",
    "ContainerRequest",
    "DefinitionStore",
    "ExecutionRecord",
    "FiringStore",
    "HistoryStore",
    "LogShelf",
    "PastExecution",
    "RunExited",
    "RunLost",
    "RunNotStarted",
    "RunProcess",
    "RunReport",
    "RunRequest",
    "RunStarted",
    "Runner",
    "ServiceChange",
    "ServiceRecord",
    "StatusChange",
    "StepStatus",
    "Store",
    "StoredExecution",
]


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution as it is created: everything about it that never changes."""

    id: str
    environment_id: str
    task_id: str
    reference: str
    """Reference of the main task."""
    firing_id: str
    """The firing of a trigger (or `run A B`) that it belongs to."""
    started_by: str
    """The trigger's spelling in the file, or `manual`."""
    creator_id: str
    creator_principal: str
    created_at: int
    spec: TaskExecutionSpec
    policy: ExecutionPolicy = field(default_factory=ExecutionPolicy)
    """Limits, timeouts and retries as they were defined then; stored as `policy.to_dict()`, in JSON."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Id to name of every secret that its steps mount."""
    boot_id: str = ""
    """The boot of the machine in which it was created; deadlines of its steps belong to that boot."""
    workspace: str = ""
    """The directory that its commands run in."""


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """An execution as the store has it: the record and its newest status, with every started step."""

    record: ExecutionRecord
    status: StatusChange


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A service as it is kept: how it is defined, how what runs was defined, and its newest status."""

    id: str
    environment_id: str
    reference: str
    workspace: str
    """The directory that its commands run in."""
    definition: ServiceDefinition
    """What its next start uses."""
    running: ServiceDefinition
    """What its last start used."""
    created_at: int
    creator_id: str
    creator_principal: str
    boot_id: str
    """The boot of the machine in which this was saved; its deadlines belong to that boot."""
    spec_version: int
    """Grows with each change of what the API calls its spec: commands, desired phase, session."""
    status: ServiceChange
    given: Mapping[str, str] = field(default_factory=dict)
    """Variables that who started it handed over: outputs of what it depends on."""
    owner: str = ""
    """The firing, of a run in the foreground, that it was started for and that ends it; "" if none."""
    started_by: str = ""
    """The trigger that started it, or `manual`; "" where nobody has said. Some secrets depend on it."""
    firing_id: str = ""
    """The firing that its session was started for; "" if none. What it depends on runs in that one."""


class Store(Protocol):
    """Remembers. One transaction a call; what a call saved is there after a crash of the process.

    Raises StoreFull where there is no room, StoreError otherwise; then nothing of the call is saved.
    """

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """Save new executions with their first status; all or none."""

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """Save new statuses, several of one execution in order; all or none.

        Raises StaleVersion where `expected_version` is not the version that is stored.
        """

    async def get(self, execution_id: str) -> StoredExecution | None:
        """One execution, or None."""

    async def find(self, prefix: str) -> list[StoredExecution]:
        """The executions whose id begins with `prefix` (hex digits and hyphens), at most ten."""

    async def of_firings(self, firing_ids: Sequence[str]) -> list[StoredExecution]:
        """The executions of these firings, oldest first; takes no longer for a long history."""

    async def clearing(self) -> list[StoredExecution]:
        """The executions that have ended, and what they left behind is being ended; cheap."""

    async def save_services(self, services: Sequence[ServiceRecord], *, durable: bool = False) -> None:
        """Save services, new ones (`expected_version` 0) and known ones; all or none.

        `durable`: a definition is among it, so that it has to survive a loss of power too.

        Raises StaleVersion where `expected_version` is not the version that is stored.
        """

    async def list_services(self, environment_id: str | None = None) -> list[ServiceRecord]:
        """The services of an environment, or all, in the order in which they were first saved."""

    async def remove_services(self, service_ids: Sequence[str]) -> None:
        """Forget services; those that are not there are no error."""

    async def list(
        self, *, reference: str | None = None, unfinished: bool = False, limit: int = 100, offset: int = 0
    ) -> list[StoredExecution]:
        """Newest first (by creation, then id). `unfinished`: only those whose phase is not terminal."""

    async def close(self) -> None:
        """Release what is held; further calls raise StoreError."""


class DefinitionStore(Protocol):
    """Remembers environments and tasks, and is asked for executions. What is saved survives a loss of power.

    Raises StoreFull where there is no room, StoreError otherwise; then nothing of the call is saved.
    """

    async def save_environments(self, records: Sequence[EnvironmentRecord]) -> None:
        """Save environments, new ones and known ones; all or none."""

    async def list_environments(self) -> list[EnvironmentRecord]:
        """All, in the order in which they were first saved."""

    async def remove_environment(self, environment_id: str) -> list[str]:
        """Forget an environment with its tasks, services and executions; the ids of what has logs."""

    async def save_tasks(self, records: Sequence[TaskRecord], *, remove: Sequence[str] = ()) -> None:
        """Save tasks, new ones and known ones, and forget others, by id; all or none."""

    async def list_tasks(self, environment_id: str | None = None) -> list[TaskRecord]:
        """The tasks of an environment, or all, oldest first."""

    async def select(self, query: ExecutionQuery, limit: int) -> list[StoredExecution]:
        """The executions that are asked for, in the order that is asked for."""

    async def last_runs(self, task_ids: Sequence[str]) -> Sequence[LastRun]:
        """The newest execution of each of these tasks that has any. Cheap: no spec and no step is read."""

    async def count(self, query: ExecutionQuery, at_most: int) -> int:
        """How many there are, `after` aside; counting ends at `at_most`."""


class FiringStore(Protocol):
    """Remembers firings of triggers. What a call saved survives a loss of power.

    Raises StoreFull where there is no room, StoreError otherwise; then nothing of the call is saved.
    """

    async def save_firing(self, record: FiringRecord) -> None:
        """Save a new firing, or a known one; of an environment the newest thousand are kept."""

    async def get_firing(self, firing_id: str) -> FiringRecord | None:
        """One firing, or None."""

    async def list_firings(
        self, environment_id: str | None = None, *, unfinished: bool = False
    ) -> list[FiringRecord]:
        """Of an environment, or all, newest first. `unfinished`: only those that are not completed."""


class AccessStore(Protocol):
    """Remembers secrets and tokens. What a call saved survives a loss of power.

    Raises StoreFull where there is no room, StoreError otherwise; then nothing of the call is saved.
    """

    async def save_secret(self, record: SecretRecord, former: FormerValue | None = None) -> None:
        """Save a secret, a new or a known one, and the value that it had."""

    async def remove_secrets(self, former: Sequence[FormerValue]) -> None:
        """Forget these secrets; the values that they had are kept for masking."""

    async def list_secrets(self) -> list[SecretRecord]:
        """All, oldest first."""

    async def list_former_values(self) -> list[FormerValue]:
        """All, oldest first."""

    async def drop_former_values(self, before: int) -> None:
        """Forget those that were replaced before this time: no log is so old."""

    async def save_token(self, record: TokenRecord) -> None:
        """Save a new token."""

    async def remove_tokens(self, token_ids: Sequence[str]) -> None:
        """Forget tokens; those that are not there are no error."""

    async def list_tokens(self) -> list[TokenRecord]:
        """All, oldest first."""


@dataclass(frozen=True, slots=True)
class PastExecution:
    """An execution that has ended, as far as its removal needs it."""

    id: str
    created_at: int
    step_ids: frozenset[str]
    """Of its own steps, and of those whose runs they showed."""


class HistoryStore(Protocol):
    """Forgets executions that have ended.

    Raises StoreFull where there is no room, StoreError otherwise; then nothing of the call is done.
    """

    async def surplus(self, *, keep: int | None, before: int | None, limit: int) -> list[PastExecution]:
        """Those that are not among the newest `keep`, and those that ended before this time; oldest first.

        None is among them whose firing goes on, or has a service.
        """

    async def remove(self, execution_ids: Sequence[str]) -> None:
        """Forget these; those that have not ended stay."""

    async def known(self, execution_ids: Sequence[str]) -> set[str]:
        """Which of these there are."""

    async def oldest(self) -> int | None:
        """When the oldest execution or service was created; None where there is none."""


class LogShelf(Protocol):
    """The folders of logs, by the id of the execution or service. What is missing is no error."""

    async def names(self) -> list[str]:
        """Every folder."""

    async def measure(self, names: Sequence[str]) -> dict[str, int]:
        """The bytes on disk of each of these folders."""

    async def touched(self, name: str) -> int:
        """When something was last put into a folder or taken out of it; 0 where it is not there."""

    async def remove(self, names: Sequence[str]) -> None:
        """Delete folders with all that is in them."""

    async def remove_sessions(self, name: str, kept: frozenset[str], before: int | None) -> None:
        """Delete the files of a folder, or the older ones; not those whose name before its dot is kept."""

    async def shorten(self, name: str, by: int) -> int:
        """Drop the oldest bytes of a folder's longest log; how many, at most `by` (rounded)."""


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """The container that a run is to be, or is to run in."""

    image: str
    environment: tuple[str, ...] = ()
    """As in `runsOn.docker`: `KEY=VALUE`, or `KEY` to pass one of the base environment through."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The configuration of the environment's class: network, pullPolicy."""
    inside: str = ""
    """The id of a run whose container this command runs in; "": it gets one of its own."""

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """What `environment` comes to, beside the image's own; `base` is a step's on this machine."""
        pairs = (entry.partition("=") for entry in self.environment)
        return {
            name: value if equals else base[name] for name, equals, value in pairs if equals or name in base
        }


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One attempt of one step, ready to be started."""

    run_id: str
    command: str
    environment: Mapping[str, str]
    """What this step has beside, or instead of, the base environment that the runner was made with."""
    directory: str
    log: str
    """Where its output goes; the folder exists. Appended to."""
    lasting: bool = False
    """It is a service's command: expected to go on until it is ended."""
    container: ContainerRequest | None = None
    """Where it runs; None: on this machine."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The command runs."""

    run_id: str
    at: int


@dataclass(frozen=True, slots=True)
class RunNotStarted:
    """The command could not be started; `reason` is a phrase: `no such directory: /x`."""

    run_id: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class RunExited:
    """The command's leader ended; exactly one of code and signal is set, neither where it is unknown."""

    run_id: str
    code: int | None
    signal: int | None
    at: int
    note: str | None = None
    """What went wrong beside it, for people: `output was lost: No space left on device`."""


@dataclass(frozen=True, slots=True)
class RunLost:
    """Nobody can say any more how the run ends; `reason` is a phrase."""

    run_id: str
    reason: str
    at: int


RunReport = RunStarted | RunNotStarted | RunExited | RunLost


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process that belongs to a run, as far as can be proved."""

    pid: int
    start_time: int
    """Kernel clock ticks since boot; with the pid and the boot id, the process's identity."""
    command: str
    leader: bool = False
    state: str = ""
    """The kernel's letter for what it does (proc(5)); D: it cannot be ended at the moment."""


class Runner(Protocol):
    """Runs steps. An async context manager; reports come in bunches, in order."""

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started; how each went comes as a report. Idempotent by run id.

        Raises SupervisorLost where they cannot be asked for at all.
        """

    async def reports(self) -> list[RunReport]:
        """The next bunch of reports; waits for at least one."""

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every process of a run that still lives: also those that left its session or lost their parent."""

    async def signal(self, run_id: str, signal: int) -> int:
        """Send a signal to every process of a run, each identified first; how many there were."""

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Living processes of runs whose leader has ended, by run id; {} (and cheap) where there are none."""

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """What became of runs that an earlier engine asked for: a last report if there is one, else a word.

        "running", "gone" (it started, and no record of its end is left), "unknown" (it may have run) or
        "absent" (it never started).
        """

    async def forget(self, run_ids: Sequence[str]) -> None:
        """The results of these runs are saved: nobody needs to keep them any more."""


class StepAccess(Protocol):
    """What steps get of secrets, and the way back to the daemon. `started_by` is an execution's, else empty.

    Raises PhasedError where a secret is there and cannot be had; the step then fails before its command.
    """

    def mounted(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:
        """The variables that secrets are mounted as; those that are files are put into their places."""

    def secret(self, environment_id: str, secret_id: str, started_by: str = "") -> str | None:
        """The value of a secret that a step names, None where it is missing."""

    def way_back(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:
        """The variables by which a step or service reaches the daemon again; they outrank all."""


class NoAccess:
    """Implements `StepAccess` where there are no secrets and no daemon."""

    def mounted(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:  # noqa: ARG002 - the port's shape
        """Nothing."""
        return {}

    def secret(self, environment_id: str, secret_id: str, started_by: str = "") -> str | None:  # noqa: ARG002 - as above
        """Every one is missing."""
        return None

    def way_back(self, environment_id: str, started_by: str = "") -> Mapping[str, str]:  # noqa: ARG002 - as above
        """None."""
        return {}


class Clock(Protocol):
    """The one source of time."""

    def wall(self) -> int:
        """Microseconds since the epoch."""

    def boot(self) -> float:
        """Seconds of the boot clock: grows through suspend, is not moved when the wall clock is set."""

    def boot_id(self) -> str:
        """Which boot of the machine this is; boot clocks of different boots say nothing of each other."""
