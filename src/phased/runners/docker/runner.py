"""Steps as containers: the container is the run, an attached client carries its log (rule 25).

Implements `ports.Runner` over another runner, that starts the clients and has all other runs. Knows clients,
records and the engine's answers. Must not know executions, statuses or the store.

A client is a run of the inner runner. When it ends, by whatever cause, the engine is asked what the container
is: while that runs, the next client goes on with its log; once that has ended, its status is the run's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from signal import SIGKILL
from typing import Final

import anyio
from anyio.abc import TaskGroup

from phased.errors import RunnerError
from phased.observability import logger
from phased.ports import (
    Clock,
    ContainerRequest,
    RunExited,
    RunLost,
    Runner,
    RunNotStarted,
    RunProcess,
    RunReport,
    RunRequest,
    RunStarted,
)
from phased.runners.docker import commands, following
from phased.runners.docker.asking import (
    Client,
    Container,
    EngineAway,
    is_away,
    is_conflict,
    is_unreachable,
    phrase_of,
)
from phased.runners.docker.making import House, client_of
from phased.runners.docker.processes import processes_in
from phased.runners.docker.records import Record, Records, client_id, run_of
from phased.runners.docker.removal import SETTLING, Removal
from phased.runners.docker.track import Track
from phased.runners.docker.verdicts import NOT_STARTED, REFUSED, exited, last_words, without_container

_STARTS: Final = 3
"""How often a container is made or started once more, where a client died before it had."""
_LOOKS: Final = 4
"""How often an engine is asked whether it makes what a dead client had asked for."""
_PAUSE: Final = 0.5
"""Seconds between two questions to an engine that is away, or two clients of one container."""


class DockerRunner:
    """Containers beside the inner runner's processes; its end ends none of them."""

    def __init__(self, inner: Runner, house: House, clock: Clock, tasks: TaskGroup) -> None:
        """`tasks` is where it works; nothing is asked of any engine before there is a container."""
        self._inner = inner
        self._house = house
        self._clock = clock
        self._client = Client(house.engine, house.environment)
        self._records = Records(house.state)
        self._tracks: dict[str, Track] = {}
        self._inside: dict[str, str] = {}
        """Commands in other runs' containers: run to run."""
        self._removal = Removal(self._client, self._records, self._tracks, str(house.state), clock)
        self._at_work = False
        """Whether the engine has begun to start runs, and so has asked for all that it wants to know of."""
        self._reports: list[RunReport] = []
        self._arrived = anyio.Event()
        self._log = logger("phased.runners.docker")
        self._tasks = tasks

    def begin(self) -> None:
        """Read which containers an earlier engine left, and listen to the inner runner from now on."""
        self._tracks.update((record.run_id, Track(record)) for record in self._records.all())
        until = self._clock.boot() + SETTLING
        for track in self._tracks.values():
            track.unmade_until = 0.0 if track.record.was_made else until
        self._tasks.start_soon(self._listen)
        if self._tracks:
            self._tasks.start_soon(self._removal.remove_unclaimed)

    async def _listen(self) -> None:
        while True:
            for report in await self._inner.reports():
                self._hear(report)

    def _tell(self, report: RunReport) -> None:
        self._reports.append(report)
        self._arrived.set()

    # ---- starting --------------------------------------------------------------------------------

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started. Raises SupervisorLost."""
        ready: list[RunRequest] = []
        for request in requests:
            container = request.container
            if container is None:
                ready.append(request)
                continue
            track = self._tracks.get(request.run_id)
            if track is not None and track.started:
                track.followed = True
                continue
            try:
                ready.append(self._prepare(request, container))
            except (RunnerError, OSError) as error:
                self._tell(RunNotStarted(request.run_id, _phrase(error), self._clock.wall()))
        if ready:
            await self._inner.start(ready)

    def _prepare(self, request: RunRequest, container: ContainerRequest) -> RunRequest:
        """The client's run, noted before it is asked for. Raises RunnerError, as a phrase, and OSError."""
        client = client_of(self._house, request, container)
        if container.inside:
            self._inside[request.run_id] = container.inside
            return client
        began = _size(request.log)
        record = Record(request.run_id, container.image, request.directory, request.log, 0, began)
        self._records.put(record)
        leaves_note = self._house.person_of(request.directory) is None
        track = self._tracks[request.run_id] = Track(record, client if leaves_note else None)
        track.followed = self._at_work = True
        return client

    # ---- what the clients' ends mean -------------------------------------------------------------

    def _hear(self, report: RunReport) -> None:
        track = self._tracks.get(run_of(report.run_id))
        if track is None:
            if not isinstance(report, RunStarted):
                self._inside.pop(report.run_id, None)
            self._tell(report)
            return
        if report.run_id != track.record.client_id:
            return
        match report:
            case RunStarted():
                if not track.started:
                    self._report(track, RunStarted(track.record.run_id, report.at))
            case RunNotStarted() if not track.record.client:
                self._end(track, RunNotStarted(track.record.run_id, report.reason, report.at))
            case _:
                self._tasks.start_soon(self._resolve, track, report)

    def _report(self, track: Track, report: RunReport) -> None:
        track.started = track.started or isinstance(report, RunStarted)
        if track.followed:
            self._tell(report)

    def _end(self, track: Track, report: RunReport) -> None:
        if not track.ended:
            track.ended = True
            track.empty = not isinstance(report, RunLost)
            track.container = track.request = None
            self._report(track, report)

    async def _resolve(self, track: Track, report: RunReport | str) -> None:
        """A client has ended, or an earlier engine's is gone: ask the engine, and go on from there."""
        run_id, now = track.record.run_id, self._clock.wall()
        at = now if isinstance(report, str) else report.at
        code = report.code if isinstance(report, RunExited) else None
        try:
            found = await self._inspect_patiently(track, code)
        except RunnerError as error:
            self._end(track, RunLost(run_id, str(error), at))
            return
        if found is None and _was_killed(report) and self._may_make_again(track):
            found = await self._made_late(track)
            if found is None and self._may_make_again(track):
                await self._make_again(track)
                return
        if found is None:
            if not track.record.was_made and code is None:
                track.unmade_until = self._clock.boot() + SETTLING
                self._tasks.start_soon(self._removal.remove_late_ones)
            ended = without_container(track, code, at)
            if isinstance(report, RunLost) and not track.asked:
                ended = RunLost(run_id, report.reason, at)
            self._end(track, ended)
        elif (found.run_id, found.state) != (run_id, str(self._house.state)):
            self._end(track, RunLost(run_id, "another container has its name; remove it (docker rm)", at))
        else:
            await self._go_on(track, found, code, at)

    async def _inspect_patiently(self, track: Track, code: int | None) -> Container | None:
        """Raises RunnerError where the engine stays away."""
        until = self._clock.boot() + self._house.patience
        while True:
            try:
                return await self._client.inspect(track.record.run_id)
            except EngineAway as error:
                complaint = last_words(track)
                if code == REFUSED and not track.asked and is_unreachable(complaint):
                    raise RunnerError(phrase_of(complaint, track.record.image)) from error
                if self._clock.boot() >= until:
                    raise RunnerError(
                        f"the container engine was lost: {error}; its container may live: "
                        f"docker inspect {track.record.run_id}"
                    ) from error
            await anyio.sleep(_PAUSE)

    async def _go_on(self, track: Track, found: Container, code: int | None, at: int) -> None:
        match found.status:
            case "created" | "configured" | "initialized":
                await self._was_made(track, found, code, at)
            case "exited" | "dead" | "stopped":
                whole = code == (0 if track.following else found.code)
                if whole or track.tailed:
                    self._end(track, exited(track, found, at))
                else:
                    track.tailed = True
                    await self._next_client(track, follow=False)
            case _:
                track.container = found
                if track.asked:
                    await self._signal_container(track, track.asked)
                if track.record.was_made:
                    await anyio.sleep(_PAUSE)
                await self._next_client(track, follow=True)

    async def _was_made(self, track: Track, found: Container, code: int | None, at: int) -> None:
        """It has never run: its start was refused, or the client died before (rule 25)."""
        run_id = track.record.run_id
        words = found.error or last_words(track)
        if track.asked:
            self._end(track, RunExited(run_id, None, track.asked, at))
        elif found.error or (code in NOT_STARTED and not is_away(words) and not self._is_late(track, words)):
            self._end(track, RunLost(run_id, phrase_of(words, track.record.image), at))
        elif track.starts >= _STARTS:
            self._end(track, RunLost(run_id, "its container could not be started", at))
        else:
            track.starts += 1
            await self._next_client(track, words=("start", "--attach", run_id))

    def _is_late(self, track: Track, words: str) -> bool:
        """Whether what an earlier client had asked for was made in the end, just before the newest asked."""
        return track.record.makers > 0 and not track.record.was_made and is_conflict(words)

    def _may_make_again(self, track: Track) -> bool:
        """Whether the container, which no engine has, never ran, and nobody wants it to end (rule 2).

        The client is dead, and would have noted that it was made before it was started. Its name is the
        run's: should the engine still make what the dead client asked for, there is one.
        """
        if track.request is None or track.record.was_made or track.asked or track.ended:
            return False
        return track.starts < _STARTS and not self._records.has_note(track.record.run_id)

    async def _made_late(self, track: Track) -> Container | None:
        """What the engine makes in a little while, though the client that asked for it is dead."""
        for _ in range(_LOOKS):
            await anyio.sleep(_PAUSE)
            with suppress(RunnerError):
                if (found := await self._client.inspect(track.record.run_id)) is not None:
                    return found
        return None

    async def _make_again(self, track: Track) -> None:
        assert track.request is not None  # noqa: S101 - for the type; `_may_make_again`
        track.starts += 1
        self._records.drop_note(track.record.run_id)
        record = track.record.next_maker()
        await self._attach(track, record, replace(track.request, run_id=record.client_id))

    async def _next_client(self, track: Track, words: Sequence[str] = (), *, follow: bool = False) -> None:
        """Go on with the log where it broke off, or with what `words` say."""
        if track.ended:
            return
        track.following = not words
        record = track.record.next_client()
        program = self._house.engine.program
        command = [program, *words]
        if not words:
            logs = [program, "logs", *(["--follow"] if follow else []), record.run_id]
            command = [sys.executable, "-I", "-S", following.__file__, record.log, str(record.began), *logs]
        request = RunRequest(
            record.client_id, commands.as_shell_command(command), self._house.engine.variables,
            record.directory, record.log,
        )  # fmt: skip
        await self._attach(track, record, request)

    async def _attach(self, track: Track, record: Record, request: RunRequest) -> None:
        """Send this client after the one that has ended."""
        former = track.record.client_id
        try:
            self._records.put(record)
            track.record = record
            await self._inner.start([request])
            await self._inner.forget([former])
        except (RunnerError, OSError) as error:
            self._end(
                track, RunLost(record.run_id, f"it cannot be followed: {_phrase(error)}", self._clock.wall())
            )

    # ---- the port --------------------------------------------------------------------------------

    async def reports(self) -> list[RunReport]:
        """The next bunch of reports; waits for at least one."""
        while not self._reports:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        reports, self._reports = self._reports, []
        return reports

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every living process of a run; of a container's also its client."""
        track = self._tracks.get(run_id)
        if track is None:
            return await self._inner.processes(run_id)
        found = await self._processes_in(track)
        clients = await self._inner.processes(track.record.client_id)
        if found:
            clients = [replace(one, leader=False) for one in clients]
        return [*found, *clients]

    async def _processes_in(self, track: Track) -> list[RunProcess]:
        container = track.container
        if container is not None and (seen := processes_in(container.id, container.pid)):
            return seen
        if track.empty:
            return []
        try:
            container = await self._client.inspect(track.record.run_id)
        except RunnerError:
            return []
        if container is None or not container.pid or container.run_id != track.record.run_id:
            return []
        track.container = None if track.ended else container
        seen = processes_in(container.id, container.pid)
        return seen or [RunProcess(container.pid, 0, f"container {track.record.run_id}", leader=True)]

    async def signal(self, run_id: str, signal: int) -> int:
        """Send a signal to every process of a run; how many there were."""
        track = self._tracks.get(run_id)
        if track is None:
            outer = self._inside.get(run_id)
            if outer is not None:
                await self._client.signal_command(outer, run_id, signal)
            return await self._inner.signal(run_id, signal)
        count = len(await self.processes(run_id))
        track.asked = signal
        if not await self._signal_container(track, signal) or signal == SIGKILL:
            # It is not there yet: without its client it will not come.
            await self._inner.signal(track.record.client_id, SIGKILL)
        return count

    async def _signal_container(self, track: Track, signal: int) -> bool:
        """Whether it runs, and so was signalled."""
        try:
            found = await self._client.inspect(track.record.run_id)
            if found is None or not found.pid or found.run_id != track.record.run_id:
                return False
            if signal == SIGKILL or not await self._client.signal_all(track.record.run_id, signal):
                await self._client.signal_first(track.record.run_id, signal)
        except RunnerError as error:
            self._log.warning("container_not_signalled", run_id=track.record.run_id, reason=str(error))
            return False
        return True

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Living processes of runs whose leader has ended; none of containers, that end with their leader."""
        found = await self._inner.leftovers()
        if not self._tracks:
            return found
        return {run_id: left for run_id, left in found.items() if run_of(run_id) not in self._tracks}

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """What became of runs that an earlier engine asked for."""
        mine = {run_id: self._tracks[run_id] for run_id in run_ids if run_id in self._tracks}
        clients = {track.record.client_id: run_id for run_id, track in mine.items()}
        told = await self._inner.known([*clients, *(run_id for run_id in run_ids if run_id not in mine)])
        fates: dict[str, RunReport | str] = {}
        for asked, fate in told.items():
            run_id = clients.get(asked)
            fates[run_id or asked] = fate if run_id is None else self._fate(mine[run_id], fate)
        return fates

    def _fate(self, track: Track, fate: RunReport | str) -> RunReport | str:
        track.followed = True
        if fate == "absent" and not track.record.client:
            self._records.remove(track.record.run_id)
            del self._tracks[track.record.run_id]
            return "absent"
        track.started = True
        if isinstance(fate, RunStarted) or fate == "running":
            return "running"
        self._tasks.start_soon(self._resolve, track, fate)
        return "running"

    async def forget(self, run_ids: Sequence[str]) -> None:
        """The results of these runs are saved: their containers are removed."""
        done = {run_id for run_id in run_ids if run_id in self._tracks}
        for run_id in done:
            track = self._tracks[run_id]
            track.ended = True
            if track.record.client:
                await self._inner.forget([client_id(run_id, n) for n in range(1, track.record.client + 1)])
        await self._inner.forget(run_ids)
        self._removal.want(done)
        if done:
            self._tasks.start_soon(self._removal.remove)

    async def leave(self, patience: float) -> None:
        """Remove what is still to be removed, within so many seconds; what stays, the next engine removes."""
        with anyio.move_on_after(patience, shield=True):
            if self._at_work:
                await self._removal.find_unclaimed()
            await self._removal.remove()


def _was_killed(report: RunReport | str) -> bool:
    """Whether a client is known to have ended by a signal."""
    return isinstance(report, RunExited) and report.signal is not None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _phrase(error: Exception) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
