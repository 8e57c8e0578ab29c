"""Processes of runs whose supervisor is dead: watched, identified, signalled, as far as can be proved.

Knows /proc and pidfds. Must not know living supervisors or the engine. A process is taken for a run's
leader by pid and start time on the same boot (rule 18), and for another member by its descent, its
session, the run's id in its environment, or its mark: whatever cannot be proved to be ours is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from phased.runners.remains import Trace
from phased.supervisor import system
from phased.supervisor.census import (
    Process,
    elders,
    everyone,
    identity_of_machine,
    look,
    mark_of,
    run_in_environment,
    signal_all,
)

_TICKS = os.sysconf("SC_CLK_TCK")
_SLACK = 0.02
"""Seconds: start times are cut to a kernel tick."""
_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO: _IOWR(0xFF, 11, 64 bytes), linux/pidfd.h
_INFO_EXIT = 8  # PIDFD_INFO_EXIT, since Linux 6.15
_INFO = struct.Struct("QQ11Ii")


@dataclass(slots=True)
class _Ward:
    trace: Trace
    leader: Process | None
    descriptor: int


class Wards:
    """The runs that no supervisor has any more, while a process of them may live."""

    def __init__(self, ended: Callable[[str, int | None], None]) -> None:
        """`ended` gets a run's id and its leader's wait status, None where the kernel does not tell it."""
        self._ended = ended
        self._wards: dict[str, _Ward] = {}
        self._machine = identity_of_machine()
        self._loop = asyncio.get_running_loop()

    def is_same_machine(self, identity: Mapping[str, object]) -> bool:
        """Whether pids of that time mean anything now: same boot, same pid namespace, same first process."""
        return all(identity.get(key) == value for key, value in self._machine.items())

    def take(self, trace: Trace) -> bool:
        """Take a run over; whether its leader lives, so that its end will be told."""
        leader = self._find_leader(trace)
        descriptor = -1
        if leader is not None:
            descriptor = self._watch(trace.run_id, leader)
        self._wards[trace.run_id] = _Ward(trace, leader if descriptor >= 0 else None, descriptor)
        return descriptor >= 0

    def _find_leader(self, trace: Trace) -> Process | None:
        """The process itself, by pid and start; without a pid, the session leader that shows the run's id."""
        if trace.pid:
            process = look(trace.pid)
            return process if process is not None and process.living and _is_leader(trace, process) else None
        for process in everyone().values():
            leads = process.living and process.session == process.pid
            if leads and run_in_environment(process.pid) == trace.run_id:
                trace.pid, trace.start_time = process.pid, process.start
                return process
        return None

    def _watch(self, run_id: str, leader: Process) -> int:
        try:
            descriptor = os.pidfd_open(leader.pid)
        except OSError:
            return -1
        now = look(leader.pid)
        if now is None or now.start != leader.start:
            os.close(descriptor)
            return -1
        self._loop.add_reader(descriptor, self._leader_ended, run_id)
        return descriptor

    def _leader_ended(self, run_id: str) -> None:
        ward = self._wards[run_id]
        status = _status_of(ward.descriptor)
        self._unwatch(ward)
        self._ended(run_id, status)

    def _unwatch(self, ward: _Ward) -> None:
        if ward.descriptor >= 0:
            self._loop.remove_reader(ward.descriptor)
            os.close(ward.descriptor)
            ward.descriptor = -1

    def output_of(self, run_id: str) -> int | None:
        """A new reading end of what a living leader writes to; None where it is no pipe or cannot be had."""
        ward = self._wards.get(run_id)
        if ward is None or ward.descriptor < 0:
            return None
        path = f"/proc/{ward.trace.pid}/fd/1"
        with contextlib.suppress(OSError):
            if os.readlink(path).startswith("pipe:"):
                return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return None

    def has(self, run_id: str) -> bool:
        """Whether it was taken over."""
        return run_id in self._wards

    def is_leader(self, run_id: str, pid: int) -> bool:
        """Whether this is the pid of the run's living leader."""
        ward = self._wards.get(run_id)
        return ward is not None and ward.descriptor >= 0 and ward.trace.pid == pid

    def members(self, supervisors: Iterable[int]) -> dict[str, list[Process]]:
        """The living processes of each ward; runs without any are forgotten, once their leader's end is told.

        `supervisors` are living ones: what descends from them is theirs.
        """
        if not self._wards:
            return {}
        found = self._sort(everyone(), set(supervisors))
        for run_id in [run_id for run_id, ward in self._wards.items() if ward.descriptor < 0]:
            if run_id not in found:
                del self._wards[run_id]
        return found

    def _sort(self, processes: Mapping[int, Process], supervisors: set[int]) -> dict[str, list[Process]]:
        theirs = {pid for supervisor in supervisors for pid in elders(supervisor, processes)}
        leaders = {ward.trace.pid: run_id for run_id, ward in self._wards.items() if ward.descriptor >= 0}
        candidates = [p for p in processes.values() if p.living and p.pid not in theirs | supervisors]
        run_of = {p.pid: run_id for p in candidates if (run_id := self._own_evidence(p, leaders)) is not None}
        found: dict[str, list[Process]] = {}
        for process in candidates:
            run_id = _inherited(process, processes, run_of)
            if run_id is not None:
                found.setdefault(run_id, []).append(process)
        return found

    def _own_evidence(self, process: Process, leaders: Mapping[int, str]) -> str | None:
        if process.pid in leaders:
            return leaders[process.pid]
        shown = run_in_environment(process.pid)
        if shown in self._wards:
            return shown
        mark = mark_of(process.pid)
        for run_id, ward in self._wards.items():
            trace = ward.trace
            later = trace.pid and process.start / _TICKS >= trace.born_after - _SLACK
            in_session = process.session == trace.pid and (ward.descriptor >= 0 or process.pid != trace.pid)
            if later and (in_session or (mark > 0 and mark == trace.mark)):
                return run_id
        return None

    def signal(self, run_id: str, number: int, supervisors: Iterable[int]) -> int:
        """Send a signal to every process of a ward; how many there were."""
        known = list(supervisors)
        return signal_all(lambda: self.members(known).get(run_id, []), number)

    def close(self) -> None:
        """Watch no longer."""
        for ward in self._wards.values():
            self._unwatch(ward)


def _inherited(process: Process, processes: Mapping[int, Process], run_of: Mapping[int, str]) -> str | None:
    """A process's run, or that of the nearest ancestor that has one."""
    seen: set[int] = set()
    at: Process | None = process
    while at is not None and at.pid not in seen:
        if at.pid in run_of:
            return run_of[at.pid]
        seen.add(at.pid)
        at = processes.get(at.parent)
    return None


def _is_leader(trace: Trace, process: Process) -> bool:
    """Same pid is not enough: the start must be the one on record, or lie within the spawn (rule 18)."""
    if trace.start_time is not None:
        return process.start == trace.start_time
    return trace.born_after - _SLACK <= process.start / _TICKS <= trace.born_before + _SLACK


def _status_of(descriptor: int) -> int | None:
    """The wait status of a process that has ended: as its parent, or from the kernel's record."""
    with contextlib.suppress(ChildProcessError):
        result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
        if result is not None:
            exited = result.si_code == os.CLD_EXITED
            return result.si_status << 8 if exited else result.si_status
    with contextlib.suppress(OSError):
        answer = fcntl.ioctl(descriptor, _GET_INFO, _INFO.pack(_INFO_EXIT, *[0] * 13))
        mask, *_, status = _INFO.unpack(answer)
        if mask & _INFO_EXIT:
            return int(status)
    return None


def become_heir() -> None:
    """Should a supervisor die, its steps become children of this process, so their status is not lost (19)."""
    with contextlib.suppress(OSError):
        system.become_subreaper()


def exit_of(status: int | None) -> tuple[int | None, int | None]:
    """Exit code and signal of a wait status; neither where it is unknown."""
    if status is None:
        return None, None
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)
