"""A service that the engine drives: its machine, its definitions, and who waits for it.

Knows records and machines. Must not know how runs are started or statuses saved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from phased.contract.definitions import ServiceDefinition
from phased.contract.service import ServicePhase as Phase
from phased.core.service import ServiceMachine
from phased.core.service_policy import ServiceLimits, ServicePolicy
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.core.specs import Catalog
from phased.core.versions import next_version
from phased.ports import ServiceRecord

Waiter = Callable[["LiveService"], bool]
"""Told after each bunch of events of a service, once that is saved; answers whether it has seen enough."""

_RUN_RELEVANT = ("start", "ready", "stop", "env", "depends_on", "readiness_timeout", "restart", "runs_on")


@dataclass(slots=True, eq=False)
class LiveService:
    """One service of an environment."""

    record: ServiceRecord
    """As it is saved."""
    machine: ServiceMachine
    catalog: Catalog | None = None
    """What its environment defines; None as long as only its record was read."""
    definition: ServiceDefinition = field(init=False)
    running: ServiceDefinition = field(init=False)
    given: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By session: variables that who asked for it handed over."""
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By session: the trigger that asked for it, or `manual`, and the firing that it belongs to, if any."""
    waiters: list[Waiter] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    """Firings that needed it and may still do."""
    owner: str = ""
    """The firing that it was started for, and that ends it once nobody else uses it; "" if none."""
    ended_by: set[str] = field(default_factory=set)
    """The firings that are ending it now."""

    def __post_init__(self) -> None:
        """The definitions as they are saved."""
        self.definition, self.running = self.record.definition, self.record.running
        self.owner = self.record.owner
        if self.record.firing_id:
            self.asked[self.progress.session] = (self.record.started_by, self.record.firing_id)

    @property
    def id(self) -> str:
        """The service's id."""
        return self.record.id

    @property
    def reference(self) -> str:
        """What names it in its environment."""
        return self.record.reference

    @property
    def phase(self) -> Phase:
        """What the outside sees."""
        return self.machine.phase

    @property
    def progress(self) -> ServiceProgress:
        """All that its machine knows."""
        return self.machine.progress

    @property
    def firing_id(self) -> str:
        """The firing that its session was started by; what it depends on belongs to that, too."""
        return self.asked.get(self.progress.session, ("", ""))[1]

    def is_changed(self) -> bool:
        """Whether something is not saved yet."""
        record = self.record
        return self.progress is not record.status.progress or self.definition is not record.definition

    def next_record(self, wall: int, boot_id: str, change: ServiceChange) -> ServiceRecord:
        """What is to be saved; the spec's version grows where the spec of the API changes."""
        before, now = self.record.status.progress, change.progress
        if not now.outdated:
            self.running = self.definition
        asked = (now.desired, now.wanted_session) != (before.desired, before.wanted_session)
        version = self.record.spec_version
        if asked or self.definition is not self.record.definition:
            version = next_version(version, wall)
        given = self.given.get(now.session, self.record.given if now.session == before.session else {})
        started_by, firing_id = self.asked.get(now.session, (self.record.started_by, ""))
        return replace(
            self.record, definition=self.definition, running=self.running, boot_id=boot_id, given=given,
            owner=self.owner, spec_version=version, started_by=started_by, firing_id=firing_id,
            status=replace(change, expected_version=self.record.status.version),
        )  # fmt: skip

    def take_as_saved(self) -> None:
        """Nobody will save this status any more."""
        status = replace(self.record.status, progress=self.progress)
        self.record = replace(self.record, definition=self.definition, status=status)

    def tell(self) -> None:
        """Tell everybody who waits; those who have seen enough are told no more."""
        self.waiters = [waiter for waiter in self.waiters if not waiter(self)]


def policy_of(definition: ServiceDefinition, limits: ServiceLimits) -> ServicePolicy:
    """What a definition and the settings say of its way."""
    return ServicePolicy.from_definition(definition, limits)


def runs_alike(one: ServiceDefinition, other: ServiceDefinition) -> bool:
    """Whether two definitions mean the same processes: names and triggers change nothing that runs."""
    return all(getattr(one, name) == getattr(other, name) for name in _RUN_RELEVANT)


def restored(record: ServiceRecord, limits: ServiceLimits) -> LiveService:
    """The service as it was saved."""
    machine = ServiceMachine.restore(
        record.id, policy_of(record.running, limits), policy_of(record.definition, limits), record.status
    )
    return LiveService(record, machine)
