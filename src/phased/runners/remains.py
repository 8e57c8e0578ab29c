"""What a supervisor that is dead has left: its journal, read into what became of each run.

Knows generations and journals. Must not know living supervisors. Nothing here signals or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from phased.supervisor.cgroups import path_of
from phased.supervisor.generation import Generation
from phased.supervisor.journal import read_journal

Event = list[Any]


@dataclass(slots=True)
class Trace:
    """What is on record of one run; no `pid`: it may have been started, or not."""

    run_id: str
    log: str
    history: list[Event] = field(default_factory=list)
    """The events as the supervisor would tell them."""
    pid: int = 0
    born_after: float = 0.0
    born_before: float = 0.0
    """Boot clock before and after the spawn, in seconds (rule 18)."""
    start_time: int | None = None
    """Kernel ticks; known only of a run that lived for a while."""
    mark: int = 0
    pipe: int = 0
    """The inode of its output's pipe."""
    acknowledged: bool = False
    cgroup: str = ""
    """Its directory, where runs had cgroups of their own."""

    @property
    def ended(self) -> bool:
        """Whether its end is on record."""
        return bool(self.history) and self.history[-1][0] != "started"


class Remains:
    """One dead generation; whoever has one holds its lock or knows that it is free."""

    def __init__(self, generation: Generation) -> None:
        """Reads the journal."""
        self.generation = generation
        self.identity: dict[str, Any] = {}
        self._cgroups = ""
        self.traces: dict[str, Trace] = {}
        self.wanted: set[str] = set()
        """Runs that somebody asked about and has not forgotten: as long as there are any, it stays."""
        for record in read_journal(generation.journal):
            self._read(record)

    def _read(self, record: Event) -> None:
        match record:
            case [_, "born", _, identity]:
                self.identity = identity
            case [_, "starting", _, run_id, log, *pipe]:  # earlier versions did not write which pipe
                cgroup = path_of(self._cgroups, run_id)
                self.traces[run_id] = Trace(run_id, log, pipe=pipe[0] if pipe else 0, cgroup=cgroup)
            case [_, "cgroup", _, directory]:
                self._cgroups = directory
            case [_, "started", at, run_id, pid, after, before, mark, pipe]:
                trace = self.traces.setdefault(run_id, Trace(run_id, ""))
                trace.pid, trace.mark, trace.pipe = pid, mark, pipe
                trace.born_after, trace.born_before = after, before
                trace.history.append(["started", run_id, at, pid])
            case [_, "identity", _, run_id, _, start_time]:
                self.traces[run_id].start_time = start_time
            case [_, "refused", at, run_id, reason]:
                trace = self.traces.setdefault(run_id, Trace(run_id, ""))
                trace.history.append(["refused", run_id, at, reason])
            case [_, "exited", at, run_id, status, note]:
                trace = self.traces.setdefault(run_id, Trace(run_id, ""))
                trace.history.append(["exited", run_id, at, status, note, 0])
            case [_, "acknowledged", _, run_ids]:
                for run_id in run_ids:
                    if run_id in self.traces:
                        self.traces[run_id].acknowledged = True

    def forget(self, run_ids: set[str]) -> bool:
        """Some are not wanted any more; whether nothing is wanted now, so that it may be removed."""
        self.wanted -= run_ids
        return not self.wanted
