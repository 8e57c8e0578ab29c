"""The live tree of `phased run` on a terminal: groups and steps, phase, elapsed time, last line of output.

Knows statuses, logs and rich. Must not know the engine. What is done collapses to a line a group, and what
does not fit is counted: failed steps and running ones are the last to go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from phased.cli.outlet import Hides, Outlet, clean, last_line
from phased.cli.progress import LogPath, Tracked, write_summary
from phased.cli.words import ENDED, outcome, span, word
from phased.contract.execution import TaskExecutionPhase as Phase

if TYPE_CHECKING:
    from phased.core.status import StatusChange, StepStatus
    from phased.ports import Clock, StoredExecution

_REFRESHES: Final = 8
"""A second; more would flicker on slow terminals."""
_LISTED: Final = 10
"""A group with more steps shows one by one only those that run or failed."""
_NAMED: Final = 6
_STYLES: Final = {
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "bold red",
    Phase.STOPPED: "yellow",
    Phase.RUNNING: "cyan",
    Phase.PENDING: "cyan",
    Phase.UNSPECIFIED: "dim",
}
_SIGNS: Final = {
    Phase.SUCCEEDED: ("\u2713", "+"),
    Phase.FAILED: ("\u2717", "x"),
    Phase.STOPPED: ("\u25a0", "s"),
    Phase.RUNNING: ("\u25b8", ">"),
    Phase.PENDING: ("\u25b8", ">"),
    Phase.UNSPECIFIED: ("\u00b7", "."),
}
"""For each phase a sign, and one for terminals without Unicode."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that may be left out: the larger `rank` first. It is made only where it is shown."""

    rank: int
    make: Callable[[], Text]


@dataclass(frozen=True, slots=True)
class _Row:
    """A step of a group: its label and what is known of it."""

    label: str
    status: StepStatus | None

    @property
    def phase(self) -> Phase:
        """Its phase; UNSPECIFIED before it starts."""
        return self.status.phase if self.status else Phase.UNSPECIFIED


class Tree:
    """The lines of a frame."""

    def __init__(self, log_path: LogPath, *, unicode: bool = True, hides: Hides | None = None) -> None:
        """`log_path` says where logs lie, `hides` the secrets in them."""
        self._log_path = log_path
        self._hides = hides
        self._unicode = unicode

    def frame(self, executions: Sequence[Tracked], now: int, height: int) -> list[Text]:
        """At most `height` lines; `now` in microseconds."""
        lines = [line for tracked in executions for line in self._execution(tracked, now)]
        if len(lines) <= height:
            return [line.make() for line in lines]
        ranked = sorted(range(len(lines)), key=lambda position: (lines[position].rank, position))
        kept = sorted(ranked[: max(height - 1, 1)])
        more = Text(f"  {self._more()} {len(lines) - len(kept)} more lines", style="dim")
        return [*(lines[position].make() for position in kept), more][:height]

    def _execution(self, tracked: Tracked, now: int) -> Iterator[Line]:
        yield Line(0, lambda: self._head(tracked, now))
        current = not tracked.ended
        for number, group in enumerate(tracked.record.spec.plan, 1):
            rows = [_Row(step.label or "", tracked.steps.get(step.id or "")) for step in group.steps]
            phases = {row.phase for row in rows}
            if phases == {Phase.SUCCEEDED} or (
                phases == {Phase.UNSPECIFIED} and not (current and number == 1)
            ):
                yield self._collapsed(number, rows, next(iter(phases)))
            else:
                yield from self._open(tracked, number, rows, now)

    def _head(self, tracked: Tracked, now: int) -> Text:
        status = tracked.newest
        done = sum(step.phase in ENDED for step in tracked.steps.values())
        text = self._signed("", status.phase, tracked.record.reference, style="bold")
        text.append(f"  {word(status.phase)}", _STYLES[status.phase])
        text.append(f"  {done}/{len(tracked.labels)}", "dim")
        if status.started_at is not None:
            text.append(f"  {span((status.completed_at or now) - status.started_at)}", "dim")
        return text

    def _collapsed(self, number: int, rows: Sequence[_Row], phase: Phase) -> Line:
        names = ", ".join(row.label for row in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        return Line(5, lambda: self._signed("  ", phase, f"group {number}: {names}{more}", style="dim"))

    def _open(self, tracked: Tracked, number: int, rows: Sequence[_Row], now: int) -> Iterator[Line]:
        yield Line(4, lambda: Text(f"    group {number}", style="dim"))
        brief = len(rows) > _LISTED
        counts: dict[Phase, int] = {}
        for row in rows:
            if brief and row.phase in {Phase.SUCCEEDED, Phase.UNSPECIFIED, Phase.STOPPED}:
                counts[row.phase] = counts.get(row.phase, 0) + 1
            else:
                yield self._step(tracked, row, now)
        if counts:
            text = ", ".join(f"{count} {word(phase)}" for phase, count in counts.items())
            yield Line(3, lambda: Text(f"      {text}", style="dim"))

    def _step(self, tracked: Tracked, row: _Row, now: int) -> Line:
        ranks = {Phase.FAILED: 1, Phase.RUNNING: 2, Phase.PENDING: 2}
        return Line(ranks.get(row.phase, 4), lambda: self._step_text(tracked, row, now))

    def _step_text(self, tracked: Tracked, row: _Row, now: int) -> Text:
        text = self._signed("      ", row.phase, row.label)
        step = row.status
        if step is None:
            return text
        if step.phase in ENDED:
            return text.append(f"  {clean(outcome(step))}", _STYLES[step.phase])
        text.append(f"  {outcome(step)}", _STYLES[step.phase])
        if step.started_at is not None:
            text.append(f" {span(now - step.started_at)}", "dim")
        if said := last_line(self._log_path(tracked.record.id, step.id), self._hides):
            text.append(f"  {said.expandtabs(4)}", "dim")
        return text

    def _signed(self, indent: str, phase: Phase, name: str, style: str = "") -> Text:
        text = Text(indent, no_wrap=True, overflow="ellipsis" if self._unicode else "crop", end="")
        text.append(_SIGNS[phase][0 if self._unicode else 1], _STYLES[phase])
        return text.append(f" {name}", style)

    def _more(self) -> str:
        return "\u2026" if self._unicode else "..."


class LiveProgress:
    """Draws the tree again at most eight times a second, in a thread of its own; at the end the summary."""

    def __init__(
        self, stream: TextIO, log_path: LogPath, clock: Clock, *, color: bool, hides: Hides | None = None
    ) -> None:
        """Draw on `stream`, a terminal; `log_path` says where logs lie, `hides` the secrets in them."""
        self._hides = hides
        self._outlet = Outlet(stream)
        self._log_path = log_path
        self._clock = clock
        self._tree = Tree(log_path, unicode="utf" in self._outlet.encoding.lower(), hides=hides)
        self._tracked: dict[str, Tracked] = {}
        self._waiting = ""
        self._lock = threading.Lock()
        self._console = Console(
            file=cast("TextIO", self._outlet), no_color=not color, highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=_REFRESHES,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def begin(self, executions: Sequence[StoredExecution]) -> None:
        """Draw for the first time."""
        self._tracked = {stored.record.id: Tracked.of(stored) for stored in executions}
        self._live.start()

    def changed(self, execution_id: str, change: StatusChange) -> None:
        """Have it drawn, soon."""
        with self._lock:
            self._tracked[execution_id].take(change)

    def note(self, text: str) -> None:
        """Write a line above the tree."""
        self._console.print(Text(clean(text)), soft_wrap=True)

    def waiting(self, text: str) -> None:
        """Have it shown under the tree."""
        with self._lock:
            self._waiting = clean(text)

    def end(self) -> None:
        """Draw for the last time, then the end of what failed and how each execution ended."""
        with self._lock:
            self._waiting = ""
        self._live.stop()
        write_summary(self._outlet, self._tracked.values(), self._log_path, self._clock, self._hides)

    def draw(self) -> list[Text]:
        """The lines of a frame as they are now, each cut to the width of the terminal."""
        width, height = self._console.size
        with self._lock:
            foot = [Text(self._waiting, "yellow", no_wrap=True, overflow="ellipsis")] if self._waiting else []
            tracked = list(self._tracked.values())
            lines = [*self._tree.frame(tracked, self._clock.wall(), max(height - 1 - len(foot), 1)), *foot]
        for line in lines:
            line.truncate(width, overflow=line.overflow or "crop")
            line.end = "\n"
        return lines

    def _render(self) -> RenderableType:
        return Group(*self.draw())
