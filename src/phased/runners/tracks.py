"""What one engine knows of its runs, and how much of that it has been told. Pure bookkeeping.

Knows supervisors' events and the port's reports. Must not know sockets, processes or the loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from phased.ports import RunExited, RunNotStarted, RunReport, RunRequest, RunStarted

if TYPE_CHECKING:
    from phased.runners.link import Link

Event = list[Any]


class Track:
    """One run: where it is, what is known of it, and what of that was told."""

    __slots__ = ("crashes", "fate", "followed", "history", "home", "request", "told")

    def __init__(self, home: Link | None, request: RunRequest | None = None) -> None:
        """`home` is the supervisor that has it, None where that is dead."""
        self.home = home
        self.request = request
        """What was asked for; of runs that an earlier engine asked for, None."""
        self.followed = request is not None
        """Whether the engine wants reports of it."""
        self.history: list[RunReport] = []
        self.told = 0
        self.crashes = 0
        """How many supervisors died while they were to start it, and before they had begun to."""
        self.fate = "running"
        """As `Runner.known` spells it, while no last report is here."""

    @property
    def ended(self) -> bool:
        """Whether the last report is here."""
        return bool(self.history) and not isinstance(self.history[-1], RunStarted)

    def learn(self, report: RunReport) -> None:
        """Add what is new; what is known already changes nothing."""
        if not self.ended and (not self.history or not isinstance(report, RunStarted)):
            self.history.append(report)


class Tracks:
    """All runs that are not forgotten, and the reports that wait to be read."""

    def __init__(self) -> None:
        """None."""
        self._tracks: dict[str, Track] = {}
        self._reports: list[RunReport] = []

    @property
    def waiting(self) -> bool:
        """Whether there are reports to take."""
        return bool(self._reports)

    def get(self, run_id: str) -> Track | None:
        """One that is known."""
        return self._tracks.get(run_id)

    def add(self, run_id: str, track: Track) -> None:
        """A run that was not known."""
        self._tracks[run_id] = track

    def of(self, home: Link) -> list[tuple[str, Track]]:
        """The runs of one supervisor."""
        return [(run_id, track) for run_id, track in self._tracks.items() if track.home is home]

    def events(self, home: Link | None, events: Iterable[Event]) -> None:
        """Learn from what a supervisor told, or left in its journal."""
        for event in events:
            report = report_of(event)
            if report is not None:
                track = self._tracks.get(report.run_id)
                if track is None:
                    track = self._tracks[report.run_id] = Track(home)
                track.learn(report)
                self.tell(track)

    def report(self, report: RunReport) -> None:
        """Learn from a report that was made here."""
        track = self._tracks.get(report.run_id)
        if track is not None:
            track.learn(report)
            self.tell(track)

    def tell(self, track: Track) -> None:
        """Hand out what is new of a run that is followed."""
        if track.followed and track.told < len(track.history):
            self._reports += track.history[track.told :]
            track.told = len(track.history)

    def known(self, run_id: str) -> RunReport | str:
        """As `Runner.known`; of a run that goes on, later reports are handed out from now on."""
        track = self._tracks.get(run_id)
        if track is None:
            return "absent"
        track.told = len(track.history)
        if track.ended:
            return track.history[-1]
        track.followed = track.fate == "running"
        return track.fate

    def take(self) -> list[RunReport]:
        """The reports that wait."""
        reports, self._reports = self._reports, []
        return reports

    def forget(self, run_ids: Sequence[str]) -> list[tuple[str, Track]]:
        """Remove those that have ended; they are returned."""
        done = [(run_id, t) for run_id in run_ids if (t := self._tracks.get(run_id)) and _may_go(t)]
        for run_id, _ in done:
            del self._tracks[run_id]
        return done


def _may_go(track: Track) -> bool:
    return track.ended or track.fate != "running"


def report_of(event: Event) -> RunReport | None:
    """What an event of a supervisor means to an engine; None: nothing."""
    match event:
        case ["started", run_id, at, *_]:
            return RunStarted(run_id, at)
        case ["refused", run_id, at, reason]:
            return RunNotStarted(run_id, reason, at)
        case ["exited", run_id, at, status, note, *_]:
            return exited(run_id, status, at, note)
    return None


def exited(run_id: str, status: int | None, at: int, note: str | None = None) -> RunExited:
    """The report of a wait status; neither code nor signal where that is unknown."""
    code = None if status is None else os.waitstatus_to_exitcode(status)
    signalled = code is not None and code < 0
    return RunExited(
        run_id, None if signalled else code, -code if code is not None and signalled else None, at, note
    )
