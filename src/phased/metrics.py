"""What the daemon counts and measures, for Prometheus: every metric is defined here.

Knows names and the library. Must not know the engine: gauges are asked for when somebody reads (a silent
daemon computes nothing), latencies are told by thin wrappers around the store and the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from phased.ports import RunNotStarted, RunReport, RunRequest, RunStarted

if TYPE_CHECKING:
    from phased.core.status import StatusChange
    from phased.ports import Clock, ExecutionRecord, Runner, Store

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_LATENCIES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read off the engine when somebody asks."""

    executions: Mapping[str, int]
    """Executions that have not ended, by phase."""
    steps_running: int
    steps_waiting: int
    """Steps of begun groups that wait for a place among those that run at the same time."""
    services: Mapping[str, int]
    """By phase."""
    subscribers: int
    connections: int


class Metrics:
    """The metrics of one daemon."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter("phased_requests", "Answers, by method and code.", ["method", "code"], **made)
        self.ended = Counter(
            "phased_executions_ended", "Executions that have ended, by phase.", ["phase"], **made
        )
        self.spawn = Histogram(
            "phased_spawn_seconds",
            "From asking for a step to its process running.",
            buckets=_LATENCIES,
            **made,
        )
        self.store = Histogram(
            "phased_store_seconds",
            "What a write to the store takes.",
            ["operation"],
            buckets=_LATENCIES,
            **made,
        )

    def read_from(self, read: Callable[[], Readings]) -> None:
        """Where gauges come from."""
        self._registry.register(_Gauges(read))

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return bytes(generate_latest(self._registry))


class _Gauges:
    """Asked when somebody reads."""

    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read

    def describe(self) -> Iterable[Any]:
        """Nothing beforehand: that would ask too early."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The readings of this moment."""
        readings = self._read()
        yield _by_phase("phased_executions", "Executions that have not ended, by phase.", readings.executions)
        yield _by_phase("phased_services", "Services, by phase.", readings.services)
        singles = {
            "phased_steps_running": ("Steps that run.", readings.steps_running),
            "phased_steps_waiting": ("Steps that could start and wait for a place.", readings.steps_waiting),
            "phased_event_subscribers": ("Streams of events that somebody reads.", readings.subscribers),
            "phased_connections": ("Open connections.", readings.connections),
        }
        for name, (meaning, value) in singles.items():
            yield GaugeMetricFamily(name, meaning, value)


def _by_phase(name: str, meaning: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["phase"])
    for phase, count in values.items():
        family.add_metric([phase], count)
    return family


class TimedStore:
    """A store whose writes are measured. Everything else is the store's own."""

    def __init__(self, store: Store, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def create(self, executions: Sequence[tuple[ExecutionRecord, StatusChange]]) -> None:
        """As the store's."""
        began = self._clock.boot()
        await self._store.create(executions)
        self._metrics.store.labels("create").observe(self._clock.boot() - began)

    async def save(self, changes: Sequence[StatusChange]) -> None:
        """As the store's."""
        began = self._clock.boot()
        await self._store.save(changes)
        self._metrics.store.labels("save").observe(self._clock.boot() - began)
        for change in changes:
            if change.completed_at is not None:
                self._metrics.ended.labels(change.phase.name).inc()


class TimedRunner:
    """A runner whose starts are measured. Everything else is the runner's own."""

    def __init__(self, runner: Runner, metrics: Metrics, clock: Clock) -> None:
        self._runner = runner
        self._metrics = metrics
        self._clock = clock
        self._asked: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the runner has
        return getattr(self._runner, name)

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """As the runner's."""
        now = self._clock.boot()
        self._asked.update((request.run_id, now) for request in requests)
        await self._runner.start(requests)

    async def reports(self) -> list[RunReport]:
        """As the runner's."""
        reports = await self._runner.reports()
        for report in reports:
            began = self._asked.pop(report.run_id, None)
            if began is not None and isinstance(report, RunStarted | RunNotStarted):
                self._metrics.spawn.observe(self._clock.boot() - began)
        return reports
