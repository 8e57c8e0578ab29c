"""The runs of one supervisor, from the asking to the acknowledgement. Decides nothing.

Knows the journal, spawning, outputs and the census. Must not know connections: what is to be told is left
in `events`, and the loop tells it after `write`. The order of each run's life (rule 1): its log is opened,
`starting` is written, it is spawned, `started` is written, then it is told.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque

from phased.supervisor.census import Census, Kin, look, signal_all
from phased.supervisor.chase import chase, in_a_hurry
from phased.supervisor.output import Output, new_pipe, steps_end
from phased.supervisor.spawning import NotStartable, Spawner, is_long, script_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from phased.supervisor.actions import Actions
    from phased.supervisor.census import Process
    from phased.supervisor.journal import Journal

    Event = list[Any]

_BUNCH = 16
"""Spawns between two writes to the journal."""
_REAPED_AT_ONCE = 200
_LONGEST_REAPING = 0.05
"""Seconds, asked after so many: children that end faster than they are reaped must not hold up all else."""
_YOUTH = 0.05
"""Seconds after which a run that still lives has its start time read."""


class Run:
    """One attempt of a step; `history` is all that there is to tell of it."""

    __slots__ = ("history", "id", "inode", "log", "note", "output", "pid", "scripted")

    def __init__(self, run_id: str, log: str) -> None:
        """It is about to be started."""
        self.id = run_id
        self.log = log
        self.pid = 0
        self.inode = 0
        """Of its output's pipe."""
        self.scripted = False
        self.output: Output | None = None
        self.note: str | None = None
        """What went wrong with its output."""
        self.history: list[Event] = []


class Steps:
    """All runs. The loop calls `pump` when a watched pipe can be read, and `reap` when a child has ended."""

    def __init__(
        self,
        actions: Actions,
        journal: Journal,
        generation: int,
        watch: Callable[[int], None],
        unwatch: Callable[[int], None],
    ) -> None:
        """None yet. `watch` and `unwatch` take the reading end of a pipe."""
        self._watch, self._unwatch = watch, unwatch
        self._actions = actions
        self._journal = journal
        self.spawner = Spawner(actions, generation)
        self.waiting: deque[tuple[str, Mapping[str, Any], int | None]] = deque()
        """Asked for, not begun: lost with the connection that asked, and nobody is told."""
        self.events: list[Event] = []
        self.childless = True
        self.unreaped = False
        """Whether `reap` is to be called again, as it left some."""
        self.log_budget = 0
        """Bytes of each log that are kept, 0 all."""
        self.carried: dict[str, str] = {}
        """Runs of which only the output is here."""
        self._runs: dict[str, Run] = {}
        self._past: dict[str, list[Event]] = {}
        self._leaders: dict[int, Run] = {}
        self._sessions: dict[int, str] = {}
        self._outputs: dict[int, Run] = {}
        self._young: deque[tuple[float, Run]] = deque()
        self._picture: Census | None = None
        """Of this turn: a census costs milliseconds, and many are asked for when many runs end."""

    # ---- starting --------------------------------------------------------------------------------

    def ask(self, run_id: str, request: Mapping[str, Any], pipe: int | None) -> None:
        """A run to be started. One that is known is answered with what is known (rule 3).

        `pipe` is the reading end for its output, of which the daemon keeps a copy; it is taken over.
        """
        known = self.history(run_id)
        if known is None:
            self.waiting.append((run_id, request, pipe))
            return
        self.events += known
        _close(pipe)

    def drop_waiting(self) -> None:
        """What was not begun never was."""
        while self.waiting:
            _close(self.waiting.popleft()[2])

    def history(self, run_id: str) -> list[Event] | None:
        """What is known of a run, None where it never was."""
        run = self._runs.get(run_id)
        return run.history if run is not None else self._past.get(run_id)

    def begin_some(self) -> None:
        """Start the next bunch of what waits."""
        bunch: list[tuple[Run, Mapping[str, Any], Output]] = []
        while self.waiting and len(bunch) < _BUNCH:
            run_id, request, pipe = self.waiting.popleft()
            if run_id in self._runs or run_id in self._past:
                _close(pipe)
                continue
            run = self._runs[run_id] = Run(run_id, request["log"])
            output = self._prepare(run, pipe)
            if output is not None:
                bunch.append((run, request, output))
            else:
                _close(pipe)
        if not bunch:
            return
        self.write()
        self.spawner.begin()
        for run, request, output in bunch:
            self._spawn(run, request, output)
        self.spawner.end()

    def _prepare(self, run: Run, pipe: int | None) -> Output | None:
        """Open its log, note that it is being started; None where it is refused."""
        if not self._journal.has_room():
            why = self._journal.full or "no space left"
            self._refuse(run, f"the state directory cannot be written to: {why}")
            return None
        try:
            log, position = self._actions.open_log(run.log)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._refuse(run, f"its log {run.log} cannot be opened: {reason}")
            return None
        try:
            pipe = new_pipe() if pipe is None else pipe
            output = Output(pipe, log, position, self._actions, self.log_budget)
        except OSError as error:
            os.close(log)
            self._refuse(run, f"there is no pipe for its output: {error.strerror}")
            return None
        run.inode = os.fstat(pipe).st_ino
        self._journal.record("starting", self._actions.wall(), run.id, run.log, run.inode)
        return output

    def _spawn(self, run: Run, request: Mapping[str, Any], output: Output) -> None:
        theirs = None
        before = self._actions.boot()
        try:
            theirs = steps_end(output.pipe)
            run.pid = self.spawner.start(run.id, request, request["environment"], theirs)
        except (NotStartable, OSError) as error:
            output.close()
            self._refuse(run, str(error))
        else:
            run.scripted = is_long(request["command"])
            self._started(run, output, before)
        finally:
            _close(theirs)

    def _started(self, run: Run, output: Output, before: float) -> None:
        after, at = self._actions.boot(), self._actions.wall()
        self.childless = False
        run.output = output
        self._leaders[run.pid] = run
        self._sessions[run.pid] = run.id
        self._outputs[output.pipe] = run
        self._young.append((after + _YOUTH, run))
        mark = self.spawner.marks.current
        self._journal.record("started", at, run.id, run.pid, before, after, mark, run.inode)
        self._tell(run, ["started", run.id, at, run.pid])
        self._watch(output.pipe)

    def _refuse(self, run: Run, reason: str) -> None:
        at = self._actions.wall()
        self._journal.record("refused", at, run.id, reason)
        self._tell(run, ["refused", run.id, at, reason])

    def _tell(self, run: Run, event: Event) -> None:
        run.history.append(event)
        self.events.append(event)

    # ---- output and identity ---------------------------------------------------------------------

    def pump(self, pipe: int) -> None:
        """There is output in this pipe, or its end."""
        run = self._outputs.get(pipe)
        if run is None or run.output is None:
            return
        run.output.pump()
        if run.output.ended:
            self._close_output(run)
            self.carried.pop(run.id, None)
            if self._leaders.get(run.pid) is not run:
                self._journal.record("closed", self._actions.wall(), run.id)
                self.events.append(["closed", run.id])

    def carry(self, run_id: str, log: str, pipe: int) -> None:
        """Go on with the output of a run that another supervisor, which is dead, has started."""
        run = Run(run_id, log)
        try:
            descriptor, position = self._actions.open_log(log)
        except OSError:
            os.close(pipe)
            return
        run.output = Output(pipe, descriptor, position, self._actions, self.log_budget)
        self._outputs[pipe] = run
        self.carried[run_id] = log
        self._watch(pipe)

    def _close_output(self, run: Run) -> None:
        output = run.output
        if output is not None:
            self._unwatch(output.pipe)
            del self._outputs[output.pipe]
            run.note = output.note
            output.close()
            run.output = None

    def identify(self) -> None:
        """Read the start time of runs that have come of age; most have ended by then."""
        if not self._young:
            return
        now = self._actions.boot()
        while self._young and self._young[0][0] <= now:
            _, run = self._young.popleft()
            if self._leaders.get(run.pid) is run:
                process = look(run.pid)
                if process is not None:
                    self._journal.record("identity", self._actions.wall(), run.id, run.pid, process.start)

    def patience(self) -> float | None:
        """Seconds until `identify` has something to do; None where nobody is young."""
        return max(self._young[0][0] - self._actions.boot(), 0.0) if self._young else None

    # ---- ending ----------------------------------------------------------------------------------

    def reap(self) -> None:
        """Take the status of children that have ended: leaders, and orphans that came to us."""
        self._picture = None
        self.unreaped = self._reap_some()
        if self.unreaped:
            until = self._actions.boot() + _LONGEST_REAPING
            while self.unreaped and self._actions.boot() < until:
                self.unreaped = self._reap_some()

    def _reap_some(self) -> bool:
        """Whether there may be more."""
        for _ in range(_REAPED_AT_ONCE):
            try:
                pid, status = self._actions.reap()
            except ChildProcessError:
                self.childless = True
                self.spawner.cgroups.remove_empty(())
                return False
            if pid == 0:
                self.spawner.cgroups.remove_empty(self._leaders.values())
                return False
            run = self._leaders.pop(pid, None)
            if run is not None:
                self._exited(run, status)
        return True

    def _exited(self, run: Run, status: int) -> None:
        if run.output is not None:
            run.output.drain()
            run.note = run.output.note
            if run.output.ended:
                self._close_output(run)
        self.spawner.cgroups.remove(run.id)
        if run.scripted:
            with contextlib.suppress(OSError):
                os.unlink(script_path(run.log))
        at = self._actions.wall()
        self._journal.record("exited", at, run.id, status, run.note)
        self._tell(run, ["exited", run.id, at, status, run.note, int(run.output is not None)])

    def acknowledge(self, run_ids: Iterable[str]) -> None:
        """These results are kept elsewhere now; that they were here is still known (rule 3)."""
        done = []
        for run_id in run_ids:
            run = self._runs.get(run_id)
            if run is not None and run.history and run.history[-1][0] != "started":
                self._past[run_id] = self._runs.pop(run_id).history[-1:]
                done.append(run_id)
        if done:
            self._journal.record("acknowledged", self._actions.wall(), done)

    def use_cgroups(self, where: str) -> None:
        """As `Cgroups.use`; where they are is on record, for a time when this process is dead."""
        cgroups = self.spawner.cgroups
        if not cgroups.directory:
            cgroups.use(where)
            if cgroups.directory:
                self._journal.record("cgroup", self._actions.wall(), cgroups.directory)

    def write(self) -> None:
        """Put into the journal what has happened; only then may it be told."""
        self._journal.write()

    # ---- who there is ----------------------------------------------------------------------------

    def unacknowledged(self) -> dict[str, list[Event]]:
        """Every run that runs, or whose end nobody has acknowledged, with its history."""
        return {run_id: run.history for run_id, run in self._runs.items() if run.history}

    def open_outputs(self) -> list[tuple[str, int]]:
        """Runs whose output still comes, with the reading end."""
        return [(run.id, pipe) for pipe, run in self._outputs.items()]

    def members(self, run_id: str) -> list[Process]:
        """The living processes of one run, as they were at the first question of this turn."""
        if self.childless:
            return []
        if self._picture is None:
            self._picture = self._census()
        found = self._picture.members.get(run_id, [])
        seen = {process.pid for process in found}
        others = [look(pid) for pid in self.spawner.cgroups.pids(run_id) if pid not in seen]
        return [*found, *(process for process in others if process is not None and process.living)]

    def _members_now(self, run_id: str) -> list[Process]:
        """As they are at this moment, for signals: each further census is one of all processes.

        Where newcomers come, others have ended: unless they are reaped first, each census takes longer than
        the one before, and a loop of forks fills the kernel's table. What was seen before counts no more
        then, as its pids may be others' by now.
        """
        if self._picture is not None and self._picture.has_newcomers(run_id):
            self.reap()
        return self.members(run_id)

    def look_anew(self) -> None:
        """A turn begins: what was seen in the last one does not count any more."""
        self._picture = None

    def leader(self, run_id: str) -> int:
        """The pid of a run's leader while it lives, else 0."""
        run = self._runs.get(run_id)
        return run.pid if run is not None and self._leaders.get(run.pid) is run else 0

    def leftovers(self) -> dict[str, list[Process]]:
        """Living processes of runs whose leader has ended; costs nothing where there is no child."""
        if self.childless:
            self._sessions.clear()
            return {}
        living = {run.id for run in self._leaders.values()}
        found = self._census().members
        self._forget_sessions(living | found.keys())
        return {run_id: members for run_id, members in found.items() if run_id not in living}

    def signal(self, run_id: str, number: int) -> int:
        """Send a signal to every process of a run; how many there were.

        It may reap, so what has ended is in `events`. It takes a bounded time, in which it may not reach what
        forks meanwhile: who wants nothing left sends it again.
        """
        killed = self.spawner.cgroups.kill(run_id) if number == signal.SIGKILL else 0
        with in_a_hurry():
            count = self._chase(run_id) if number == signal.SIGKILL else 0
            count += signal_all(lambda: self._members_now(run_id), number, self._actions.boot, os.getpid())
            count += self._chase(run_id) if number == signal.SIGKILL else 0
        return max(killed, count)

    def _chase(self, run_id: str) -> int:
        kin = self._kin()
        return chase(
            self._leaders, lambda orphan: (kin.run_of(orphan) or "") == run_id, self.reap, self._actions.boot
        )

    def _kin(self) -> Kin:
        pipes = {run.inode: run.id for run in self._outputs.values() if run.inode}
        in_cgroups = bool(self.spawner.cgroups.directory)
        return Kin(self._sessions, self.spawner.marks.runs, pipes, self._knows, in_cgroups=in_cgroups)

    def _census(self) -> Census:
        leaders = {pid: run.id for pid, run in self._leaders.items()}
        return Census(os.getpid(), leaders, self._kin(), self._actions.boot)

    def _knows(self, run_id: str) -> bool:
        return run_id in self._runs or run_id in self._past

    def _forget_sessions(self, living: set[str]) -> None:
        self._sessions = {pid: run_id for pid, run_id in self._sessions.items() if run_id in living}


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
