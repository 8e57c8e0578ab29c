"""Steps as processes of this machine, children of a supervisor and not of this process.

Implements `ports.Runner`. Knows supervisors by their links, the dead by their remains, and orphans as
wards. Must not know executions, statuses or the store. Several generations of supervisor may live at once:
one is the newest and gets what is to be started; others keep what they have until it ends (rule 7).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio

from phased.errors import SupervisorLost
from phased.observability import logger
from phased.ports import Clock, RunExited, RunLost, RunNotStarted, RunProcess, RunReport, RunRequest, RunStarted
from phased.runners.link import Event, Link, LinkLost
from phased.runners.remains import Remains
from phased.runners.surroundings import default_shell, exchangeable, own_umask, steps_environment
from phased.runners.wards import Wards
from phased.supervisor import client
from phased.supervisor.generation import generations

_SILENCE = 5.0
"""Seconds after which a supervisor that does not answer is reported, and left for later."""
_RUNS_OF_A_GENERATION = 20_000
"""A supervisor remembers every run it had (rule 3), so after so many the next one takes over."""
_LOOK_AGAIN = 0.01
_FAREWELL = 1.0


class _Track:
    """What is known of one run, and how much of it the engine has been told."""

    __slots__ = ("followed", "history", "home", "request", "told")

    def __init__(self, home: Link | None, request: RunRequest | None, *, followed: bool) -> None:
        self.home = home
        """The supervisor that has it; None once that is dead."""
        self.request = request
        self.followed = followed
        """Whether the engine gets what comes as reports."""
        self.history: list[RunReport] = []
        self.told = 0

    @property
    def ended(self) -> bool:
        return bool(self.history) and not isinstance(self.history[-1], RunStarted)


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
    ) -> None:
        """`environment` is every step's base, less what was meant for this process alone (rule 16).

        `shell` runs the commands, as `SHELL -c COMMAND`; None: bash if present, else sh. `program` is the
        command that is a supervisor.
        """
        self._root = str(state_directory / "supervisors")
        self._environment = dict(environment)
        self._clock = clock
        self._program = list(program or client.program())
        self._base = {
            "environment": exchangeable(steps_environment(environment)),
            "shell": shell or default_shell(environment),
            "umask": own_umask(),
        }
        self._log = logger("phased.runners")
        self._epoch = 0
        self._links: list[Link] = []
        self._newest: Link | None = None
        self._remains: list[Remains] = []
        self._tracks: dict[str, _Track] = {}
        self._untold: list[_Track] = []
        self._arrived = anyio.Event()
        self._wards: Wards
        self._loop: asyncio.AbstractEventLoop
        self._closing = False
        self._ended_pids: list[Link] = []

    async def __aenter__(self) -> ProcessRunner:
        """Find what earlier supervisors have, living or dead. Raises SupervisorLost."""
        self._loop = asyncio.get_running_loop()
        self._wards = Wards(self._clock, self._watched_ended)
        try:
            self._epoch = client.next_epoch(self._root)
            for generation in generations(self._root):
                await self._meet(Remains(generation))
        except OSError as error:
            raise SupervisorLost(f"cannot use {self._root}: {error.strerror or error}; {_WAY_OUT}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of every supervisor; one that has nothing left to do is seen off."""
        self._closing = True
        with anyio.CancelScope(shield=True):
            for link in self._links:
                link.send({"do": "retire"})
            with anyio.move_on_after(_FAREWELL):
                while any(self._may_end(link) for link in self._links) or not self._all_reaped():
                    await anyio.sleep(0.001)
        for link in self._links:
            link.close()
        self._wards.close()
        for remains in self._remains:
            if not remains.wanted:
                remains.generation.remove()
        self._remains.clear()
"""
