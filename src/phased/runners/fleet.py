"""All supervisors of a state directory: those that live, those that died, and what they leave behind.

Knows links, remains and wards. Must not know the engine. Only a lock that can be taken proves that a
supervisor is dead; several may live at once, and the newest gets what is to be started (rule 7).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from phased.errors import SupervisorLost
from phased.observability import logger
from phased.ports import Clock, RunLost, RunNotStarted, RunReport, RunRequest, RunStarted
from phased.runners.link import Event, Link, LinkLost
from phased.runners.remains import Remains, Trace
from phased.runners.search import Search
from phased.runners.tracks import Track, Tracks, exited
from phased.runners.wards import Wards, become_heir
from phased.supervisor import client
from phased.supervisor.channel import Channel
from phased.supervisor.generation import Generation, generations

_SILENCE = 5.0
"""Seconds after which a supervisor that does not answer is reported, and left for later (rule 7)."""
_RUNS_OF_A_GENERATION = 20_000
"""A supervisor remembers every run it had (rule 3), so after so many the next one takes over."""
_AT_ONCE = 200
"""Runs in one message: a message may carry 253 descriptors."""
_LOOK_AGAIN = 0.01
_STILLBORN = 3
"""Supervisors in a row that may die before they answer."""
_CRASHES = 3
"""Supervisors that may die over one run, before it is given up on."""
_FAULTS = 3
"""How often one supervisor may tell what cannot be understood, before its runs are given up on."""
_REBOOTED = "the machine rebooted"
_MAY_HAVE_RUN = "its supervisor was lost while it was being started; it may have run"


@dataclass(frozen=True, slots=True)
class Kit:
    """What supervisors, and through them steps, are started with."""

    root: str
    """The folder of all generations."""
    program: Sequence[str]
    environment: Mapping[str, str]
    """Of the supervisor itself."""
    base: Mapping[str, Any]
    """environment, shell and umask of every step."""


class Fleet:
    """Owns every link, remains and ward; what they tell goes into `tracks`, and `wake` is called then."""

    def __init__(self, kit: Kit, tracks: Tracks, clock: Clock, wake: Callable[[], None]) -> None:
        """None yet. Belongs to the running event loop."""
        self._kit = kit
        self._tracks = tracks
        self._clock = clock
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._log = logger("phased.runners")
        self._epoch = 0
        self._number = 1
        self._newest: Link | None = None
        self._remains: list[Remains] = []
        self._inquiring: set[Link] = set()
        self._found_out = anyio.Event()
        self._leaving = False
        self._stillborn = 0
        self.links: list[Link] = []
        self.wards = Wards(self._ward_ended)
        self._search = Search(self._looked_for)

    @property
    def has_silent(self) -> bool:
        """Whether a supervisor lives and does not answer: what it was asked for may still be started."""
        return any(not link.supervisor and not link.closed for link in self.links)

    @property
    def supervisors(self) -> list[int]:
        """The pids of those that live and have answered."""
        return [link.supervisor for link in self.links if link.supervisor]

    # ---- starting --------------------------------------------------------------------------------

    def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started. Raises OSError where there is no supervisor and none can be started."""
        link = self._newest
        if link is None or link.closed or link.started >= _RUNS_OF_A_GENERATION:
            link = self._next_generation()
        for request in requests:
            track = self._tracks.get(request.run_id)
            if track is None:
                self._tracks.add(request.run_id, Track(link, request))
            else:
                track.home = link
        _send_start(link, requests)

    def _next_generation(self) -> Link:
        become_heir()
        kit = self._kit
        generation, channel, pid = client.start_supervisor(
            kit.root, kit.program, kit.environment, self._number
        )
        if self._newest is not None:
            self._newest.notify("retire")
        self._number = generation.number + 1
        self._newest = self._link(generation, channel, pid)
        return self._newest

    def _link(self, generation: Generation, channel: Channel, pid: int) -> Link:
        link = Link(generation, channel, pid, self)
        self.links.append(link)
        link.greet(self._epoch, self._kit.base)
        return link

    # ---- what supervisors tell -------------------------------------------------------------------

    def told(self, link: Link, events: Sequence[Event]) -> None:
        """These things happened, perhaps some that were told before."""
        self._tracks.events(link, events)
        self._wake()

    def welcomed(self, link: Link) -> None:
        """All that it keeps was told: what it was asked for and does not have is asked for again.

        That is so where the connection broke, or where it was started by this very link.
        """
        self._stillborn = 0
        missing = [t.request for _, t in self._tracks.of(link) if t.request is not None and not t.history]
        if missing and link.replaces:
            _send_start(link, missing)

    def _ward_ended(self, run_id: str, status: int | None) -> None:
        self._report(exited(run_id, status, self._clock.wall()))

    def _report(self, report: RunReport) -> None:
        self._tracks.report(report)
        self._wake()

    # ---- at the beginning ------------------------------------------------------------------------

    async def meet_all(self) -> None:
        """Find what earlier runners have left. Raises OSError."""
        self._epoch = client.next_epoch(self._kit.root)
        found = generations(self._kit.root)
        self._number = max([0, *(generation.number for generation in found)]) + 1
        # The living first: they say which outputs of the dead they carry.
        for generation in [one for one in found if not await self._meet(one)]:
            self._learn(generation)
        await self._search.over()  # for whoever adopts asks next what is known

    async def _meet(self, generation: Generation) -> bool:
        """Whether it lives."""
        while (lock := generation.take_lock()) is None:
            channel = client.connect(generation)
            if channel is not None:
                await self._get_acquainted(generation, channel)
                return True
            await anyio.sleep(_LOOK_AGAIN)  # it is ending: listens no longer, and still holds its lock
        os.close(lock)
        return False

    def _learn(self, generation: Generation) -> None:
        """From the remains of one that is dead."""
        remains = Remains(generation)
        traces = [trace for trace in remains.traces.values() if not trace.acknowledged]
        for trace in traces:
            self._tracks.add(trace.run_id, Track(None))
        self._bury(remains, traces, {}, {})

    async def _get_acquainted(self, generation: Generation, channel: Channel) -> None:
        link = self._link(generation, channel, 0)
        with anyio.move_on_after(_SILENCE):
            await link.welcomed_at_all.wait()
        if link.supervisor:
            link.notify(
                "retire"
            )  # perhaps of another version: it keeps what it has, gets nothing new (rule 9)
        elif not link.closed:
            self._log.warning("supervisor_silent", directory=generation.directory)
            for trace in Remains(generation).traces.values():
                self._tracks.events(link, [] if trace.acknowledged else trace.history)

    # ---- supervisors that die --------------------------------------------------------------------

    def lost(self, link: Link) -> None:
        """A connection has ended: its supervisor has, or we were too slow to read."""
        self.links.remove(link)
        if link is self._newest:
            self._newest = None
        if not self._leaving:
            self._inquiring.add(link)
            self._loop.call_soon(self._inquire, link)

    @property
    def inquires(self) -> bool:
        """Whether it is not known of a supervisor if it lives: nobody can tell its runs' processes now."""
        unknown = bool(self._inquiring) or self._search.goes_on
        return unknown or any(link.closed for link in self.links)

    async def settled(self) -> None:
        """Wait until that is known. Raises SupervisorLost where it takes too long."""
        with anyio.move_on_after(_SILENCE):
            while self.inquires:
                await self._found_out.wait()
        if self.inquires:
            raise SupervisorLost("cannot tell what runs: a supervisor is about to end, and does not")

    def _inquire(self, link: Link) -> None:
        if self._has_found_out(link):
            self._inquiring.discard(link)
            self._say_found_out()
        else:
            self._loop.call_later(_LOOK_AGAIN, self._inquire, link)

    def _say_found_out(self) -> None:
        self._found_out.set()
        self._found_out = anyio.Event()

    def _has_found_out(self, link: Link) -> bool:
        if self._leaving:
            link.close()
            return True
        if link.faults >= _FAULTS:
            self._give_up(link, [run_id for run_id, _ in self._tracks.of(link)])
            return True
        link.reap()
        lock = link.generation.take_lock()
        if lock is not None:
            os.close(lock)
            runs = [run_id for run_id, _ in self._tracks.of(link)]
            try:
                self._succeed(link)
            except Exception as error:  # noqa: BLE001 - the loop would only log it, and runs would never end
                self._log.error(
                    "supervisor_not_understood", directory=link.generation.directory, reason=repr(error)
                )
                self._give_up(link, runs)
            self._wake()
            return True
        channel = client.connect(link.generation)
        if channel is None:
            return False
        again = self._link(link.generation, channel, link.pid)
        again.replace(link)
        for _, track in self._tracks.of(link):
            track.home = again
        if not again.pid:
            again.notify("retire")
        elif self._newest is None:
            self._newest = again
        return True

    def _give_up(self, link: Link, run_ids: Sequence[str]) -> None:
        """What it tells, or has left, is no use: nobody will say how its runs end."""
        now = self._clock.wall()
        for run_id in run_ids:
            track = self._tracks.get(run_id)
            if track is not None and track.home is link:
                track.home = None
            self._report(RunLost(run_id, "its supervisor could not be understood", now))
        link.close()

    def _succeed(self, link: Link) -> None:
        """It is dead: its runs are told of as far as can be, taken over, or started elsewhere."""
        remains = Remains(link.generation)
        mine = self._tracks.of(link)
        for _, track in mine:
            track.home = None
        traces = [remains.traces[run_id] for run_id, _ in mine if run_id in remains.traces]
        remains.wanted = {trace.run_id for trace in traces}
        # Of some it told, and a full disk kept that out of its journal.
        silent = [t for run_id, t in mine if run_id not in remains.traces and not t.history]
        never = [track.request for track in silent if track.request is not None]
        if traces or never:
            self._log.error("supervisor_lost", directory=link.generation.directory, runs=len(mine))
        self._stillborn += not link.supervisor
        copies, link.copies = link.copies, {}
        link.close()
        self._bury(remains, traces, copies, link.carried)
        if never:
            self._start_again(never)

    def _start_again(self, requests: Sequence[RunRequest]) -> None:
        """No `starting` on record and the supervisor proven dead: they may be sent again (rule 2)."""
        hopeful = [request for request in requests if not self._is_hopeless(request.run_id)]
        now = self._clock.wall()
        for request in requests:
            if request not in hopeful:
                reason = f"{_CRASHES} supervisors died when they were to start it"
                self._report(RunNotStarted(request.run_id, reason, now))
        try:
            if self._stillborn >= _STILLBORN:
                raise OSError(0, "it dies before it answers")
            if hopeful:
                self.start(hopeful)
        except OSError as error:
            reason = error.strerror or str(error)
            for request in hopeful:
                self._report(RunNotStarted(request.run_id, f"no supervisor can be started: {reason}", now))

    def _is_hopeless(self, run_id: str) -> bool:
        track = self._tracks.get(run_id)
        if track is None:
            return False
        track.crashes += 1
        return track.crashes >= _CRASHES

    def _bury(
        self,
        remains: Remains,
        traces: Sequence[Trace],
        copies: Mapping[str, int],
        carried: Mapping[str, str],
    ) -> None:
        """Learn from a journal, and take over what lives; `traces` are the runs that still matter.

        `carried`: the logs of others' runs that it carried the output of.
        """
        same = self.wards.is_same_machine(remains.identity)
        for trace in remains.traces.values() if same else ():
            if trace.ended:
                self.wards.take(trace)
        for trace in traces:
            self._tracks.events(None, trace.history)
            if not trace.ended and (trace.pid or not same):
                self._take_over(trace, same=same)
        alive = self.wards.members(self.supervisors).keys() & remains.traces.keys()
        logs = {
            run_id: trace.log for run_id, trace in remains.traces.items() if run_id in alive | copies.keys()
        }
        self._carry_all({**carried, **logs}, copies)
        if traces or alive:
            self._remains.append(remains)
        else:
            remains.generation.remove()
        self._search.begin(trace for trace in traces if same and not trace.ended and not trace.pid)

    def _take_over(self, trace: Trace, *, same: bool) -> None:
        now = self._clock.wall()
        track = self._tracks.get(trace.run_id)
        if not same:
            self._report(RunLost(trace.run_id, _REBOOTED, now))
        elif self.wards.take(trace):
            self._report(RunStarted(trace.run_id, now))
        elif track is not None and not track.followed:
            track.fate = "gone" if trace.history else "unknown"
        elif trace.history:
            self._report(exited(trace.run_id, None, now))
        else:
            self._report(RunLost(trace.run_id, _MAY_HAVE_RUN, now))

    def _looked_for(self, traces: Collection[Trace]) -> None:
        """Of these only the intent was on record: found, or given up."""
        for trace in traces:
            self._take_over(trace, same=True)
        alive = self.wards.members(self.supervisors)
        self._carry_all({trace.run_id: trace.log for trace in traces if trace.run_id in alive}, {})
        self._say_found_out()

    def _carry_all(self, logs: Mapping[str, str], copies: Mapping[str, int]) -> None:
        """Hand the outputs that still come to a living supervisor, unless one has them already."""
        elsewhere = {run_id for link in self.links for run_id in link.carried}
        for run_id in copies.keys() | logs.keys():
            log = None if run_id in elsewhere else logs.get(run_id)
            pipe = copies.get(run_id)
            if pipe is None and log:
                pipe = self.wards.output_of(run_id)
            if pipe is None:
                continue
            with contextlib.suppress(OSError):
                if log:
                    self._carry(run_id, log, pipe)
            os.close(pipe)

    def _carry(self, run_id: str, log: str, pipe: int) -> None:
        link = self._newest
        if link is None or link.closed:
            link = self._next_generation()
        link.carried[run_id] = log
        link.copies[run_id] = os.dup(pipe)
        link.send({"do": "carry", "run": run_id, "log": log}, [pipe])

    # ---- the end of runs, and of all -------------------------------------------------------------

    def want(self, run_ids: Sequence[str]) -> None:
        """Somebody is interested in these: their journals stay until `forget`."""
        for remains in self._remains:
            remains.wanted |= remains.traces.keys() & set(run_ids)

    def forget(self, run_ids: Sequence[str]) -> None:
        """Results that are saved elsewhere need not be kept by anybody."""
        by_home: dict[Link, list[str]] = {}
        for run_id, track in self._tracks.forget(run_ids):
            if track.home is not None:
                by_home.setdefault(track.home, []).append(run_id)
        for link, done in by_home.items():
            link.acknowledge(done)
        gone = set(run_ids)
        for remains in [remains for remains in self._remains if remains.wanted & gone]:
            remains.wanted -= gone
            self._remove_if_done(remains)

    def _remove_if_done(self, remains: Remains) -> None:
        self.wards.members(self.supervisors)
        if not remains.wanted and not any(self.wards.has(run_id) for run_id in remains.traces):
            remains.generation.remove()
            self._remains.remove(remains)

    async def leave(self, patience: float) -> None:
        """Let go of all; supervisors that have nothing left to do are seen off, within so many seconds."""
        self._leaving = True
        self._search.close()
        with anyio.move_on_after(patience):
            for link in list(self.links):
                await self._part(link)
        for link in self.links:
            link.close()
        self.wards.members(self.supervisors)
        for remains in list(self._remains):
            self._remove_if_done(remains)
        self.wards.close()

    async def _part(self, link: Link) -> None:
        try:
            childless = (await link.ask("retire"))["childless"]
        except LinkLost:
            childless = True
        if link in self.links:
            self.links.remove(link)
        link.close()
        while childless:
            gone = link.reap()
            try:
                lock = link.generation.take_lock()
            except FileNotFoundError:
                return  # its directory was removed, so there is nothing to tidy
            if lock is not None:
                os.close(lock)
            if lock is not None and gone:
                if not self._tracks.of(link):
                    link.generation.remove()
                return
            await anyio.sleep(0.001)


def _send_start(link: Link, requests: Sequence[RunRequest]) -> None:
    """Each with the reading end for its output, of which a copy stays here (rule 11)."""
    link.started += len(requests)
    for begin in range(0, len(requests), _AT_ONCE):
        some = requests[begin : begin + _AT_ONCE]
        pipes = [pipe for request in some if (pipe := link.copy_of(request.run_id)) is not None]
        runs = {
            request.run_id: _in_words(request, has_pipe=request.run_id in link.copies) for request in some
        }
        link.send({"do": "start", "runs": runs}, pipes)


def _in_words(request: RunRequest, *, has_pipe: bool) -> dict[str, object]:
    return {
        "command": request.command,
        "environment": dict(request.environment),
        "directory": request.directory,
        "log": request.log,
        "pipe": int(has_pipe),
    }
