"""Steps as processes of this machine, children of a supervisor and not of this process.

Implements `ports.Runner`. Knows what is known of each run; who lives and who died, the fleet knows. Must not
know executions, statuses or the store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from phased.errors import SupervisorLost
from phased.ports import Clock, RunProcess, RunReport, RunRequest
from phased.runners.fleet import Fleet, Kit
from phased.runners.identity import Person
from phased.runners.link import Link, LinkLost
from phased.runners.surroundings import default_shell, exchangeable, own_umask, steps_environment
from phased.runners.tracks import Tracks
from phased.supervisor import client
from phased.supervisor.identity import FLAG, spell

Answer = TypeVar("Answer")

_FAREWELL = 5.0
"""Seconds that leaving waits at most for supervisors that have nothing left to do."""


class ProcessRunner:
    """Runs commands by a supervisor below `STATE/supervisors`. Enter it before use.

    Leaving it ends no step: those that run go on, and the next ProcessRunner of the same state directory
    finds them. Only one at a time may use a state directory.
    """

    def __init__(
        self,
        state_directory: Path,
        environment: Mapping[str, str],
        shell: str | None,
        clock: Clock,
        *,
        program: Sequence[str] | None = None,
        person: Person | None = None,
    ) -> None:
        """`environment` is every step's base, less what was meant for this process alone (rule 16).

        `shell` runs the commands, as `SHELL -c COMMAND`; None: bash if present, else sh. `program` is the
        command that is a supervisor; `person` another user as whom steps run (only root can).
        """
        base: dict[str, Any] = {
            "environment": exchangeable(steps_environment(environment)),
            "shell": shell or default_shell(environment),
            "umask": own_umask(),
        }
        root = str(state_directory.absolute() / "supervisors")
        command = list(program or client.program())
        if person is not None:
            command += [FLAG, spell(person.uid, person.gid, person.groups)]
        self._base = base
        self._kit = Kit(root, command, dict(environment), base)
        self._clock = clock
        self._tracks = Tracks()
        self._arrived = anyio.Event()
        self._fleet: Fleet

    async def __aenter__(self) -> Self:
        """Find what earlier supervisors have, living or dead. Raises SupervisorLost."""
        self._fleet = Fleet(self._kit, self._tracks, self._clock, self._wake)
        try:
            await self._fleet.meet_all()
        except OSError as error:
            raise self._unusable(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of every supervisor; those that have nothing left to do are seen off."""
        with anyio.CancelScope(shield=True):
            await self._fleet.leave(_FAREWELL)

    def keep_of_logs(self, budget: int) -> None:
        """How many bytes of each step's log are kept, 0 all. To be called before it is entered."""
        self._base["log_budget"] = budget

    def use_cgroups(self, where: str) -> None:
        """`auto`, `off` or a directory (`run.cgroup`). To be called before it is entered."""
        self._base["cgroup"] = where

    @property
    def supervisors(self) -> list[int]:
        """The pids of the supervisors that live: what descends from them are steps."""
        return self._fleet.supervisors

    def _unusable(self, error: OSError) -> SupervisorLost:
        way_out = "check that it can be written to and has room, or give another --state-dir"
        reason = error.strerror or str(error)
        return SupervisorLost(f"cannot run steps with {self._kit.root}: {reason}; {way_out}")

    def _wake(self) -> None:
        if self._tracks.waiting:
            self._arrived.set()

    async def start(self, requests: Sequence[RunRequest]) -> None:
        """Ask for runs to be started. Raises SupervisorLost."""
        fresh = []
        for request in requests:
            track = self._tracks.get(request.run_id)
            if track is None:
                fresh.append(request)
            elif not track.followed:
                track.followed = True
                self._tracks.tell(track)
        try:
            if fresh:
                self._fleet.start(fresh)
        except OSError as error:
            raise self._unusable(error) from error
        self._wake()

    async def reports(self) -> list[RunReport]:
        """The next bunch of reports; waits for at least one."""
        while not self._tracks.waiting:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._tracks.take()

    async def processes(self, run_id: str) -> list[RunProcess]:
        """Every living process of a run. Raises SupervisorLost where nobody can tell."""
        return await self._once_settled(lambda: self._processes_now(run_id))

    async def _processes_now(self, run_id: str) -> list[RunProcess]:
        found: list[RunProcess] = []
        for link in self._homes(run_id):
            with contextlib.suppress(LinkLost):
                found += _processes((await link.ask("processes", run=run_id))["processes"])
        return found + self._wards().get(run_id, [])

    async def signal(self, run_id: str, signal: int) -> int:
        """Send a signal to every process of a run; how many there were. Raises SupervisorLost."""
        return await self._once_settled(lambda: self._signal_now(run_id, signal))

    async def _signal_now(self, run_id: str, signal: int) -> int:
        count = 0
        for link in self._homes(run_id):
            with contextlib.suppress(LinkLost):
                count += (await link.ask("signal", run=run_id, signal=signal))["count"]
        return count + self._fleet.wards.signal(run_id, signal, self._fleet.supervisors)

    async def leftovers(self) -> Mapping[str, list[RunProcess]]:
        """Living processes of runs whose leader has ended, by run id. Raises SupervisorLost."""
        return await self._once_settled(self._leftovers_now)

    async def _once_settled(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What is answered while a supervisor dies may leave its runs out, as if they were no more."""
        while True:
            answer = await ask()
            if not self._fleet.inquires:
                return answer
            await self._fleet.settled()

    async def _leftovers_now(self) -> Mapping[str, list[RunProcess]]:
        found: dict[str, list[RunProcess]] = {}
        for link in list(self._fleet.links):
            with contextlib.suppress(LinkLost):
                for run_id, rows in (await link.ask("leftovers"))["runs"].items():
                    found.setdefault(run_id, []).extend(_processes(rows))
        for run_id, members in self._wards().items():
            if not self._fleet.wards.leader_of(run_id):
                found.setdefault(run_id, []).extend(members)
        return found

    async def known(self, run_ids: Sequence[str]) -> Mapping[str, RunReport | str]:
        """What became of runs that an earlier engine asked for."""
        self._fleet.want(run_ids)
        found = {run_id: self._tracks.known(run_id) for run_id in run_ids}
        if self._fleet.has_silent:
            return {run_id: "unknown" if fate == "absent" else fate for run_id, fate in found.items()}
        return found

    async def forget(self, run_ids: Sequence[str]) -> None:
        """The results of these runs are saved: nobody needs to keep them any more."""
        self._fleet.forget(run_ids)

    def _homes(self, run_id: str) -> list[Link]:
        """Who may have processes of a run: its supervisor, or any where it is not known any more."""
        track = self._tracks.get(run_id)
        if track is not None:
            return [track.home] if track.home is not None else []
        return list(self._fleet.links)

    def _wards(self) -> dict[str, list[RunProcess]]:
        wards = self._fleet.wards
        return {
            run_id: [
                RunProcess(p.pid, p.start, p.name, p.pid == wards.leader_of(run_id), p.state) for p in members
            ]
            for run_id, members in wards.members(self._fleet.supervisors).items()
        }


def _processes(rows: Sequence[Sequence[Any]]) -> list[RunProcess]:
    return [RunProcess(pid, start, name, bool(leader), state) for pid, start, name, leader, state in rows]
