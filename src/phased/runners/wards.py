"""Processes of runs whose supervisor is dead: watched, identified, signalled, as far as can be proved.

Knows /proc and pidfds. Must not know living supervisors or the engine. A process is taken for a run's
leader by pid and start time on the same boot (rule 18), and for another member by its descent, the run's id
in its environment, the run's pipe as its output, or its session and mark: whatever cannot be proved to be
ours is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from signal import SIGKILL

from phased.runners.remains import Trace
from phased.supervisor import system
from phased.supervisor.census import (
    Process,
    elders,
    everyone,
    identity_of_machine,
    look,
    mark_of,
    pipes_of,
    run_in_environment,
    signal_all,
)
from phased.supervisor.cgroups import kill_all, pids_in, remove

_TICKS = os.sysconf("SC_CLK_TCK")
_SLACK = 0.02
"""Seconds: start times are cut to a kernel tick."""
_PATIENCE = 0.5
"""Seconds that a stranger's status is waited for, before it is called unknown."""
_ASK_AGAIN = 0.02
_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO: _IOWR(0xFF, 11, 64 bytes), linux/pidfd.h
_INFO_EXIT = 8  # PIDFD_INFO_EXIT, since Linux 6.15
_INFO = struct.Struct("QQ11Ii")


@dataclass(slots=True)
class _Ward:
    trace: Trace
    descriptor: int = -1
    """A pidfd of the leader, until its end was told."""


class Wards:
    """The runs that no supervisor has any more, while a process of them may live."""

    def __init__(self, ended: Callable[[str, int | None], None]) -> None:
        """`ended` gets a run's id and its leader's wait status, None where the kernel does not tell it."""
        self._ended = ended
        self._wards: dict[str, _Ward] = {}
        self._seen: set[tuple[int, int]] = set()
        self._machine = identity_of_machine()
        self._loop = asyncio.get_running_loop()

    def is_same_machine(self, identity: Mapping[str, object]) -> bool:
        """Whether pids of that time mean anything now: same boot, same pid namespace, same first process."""
        return all(identity.get(key) == value for key, value in self._machine.items())

    def take(self, trace: Trace) -> bool:
        """Take a run over; whether its leader is there, so that its end will be told."""
        ward = self._wards[trace.run_id] = _Ward(trace)
        leader = None if trace.ended else _find_leader(trace)
        if leader is not None:
            ward.descriptor = self._watch(trace.run_id, leader)
        return ward.descriptor >= 0

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
        self._loop.remove_reader(ward.descriptor)
        self._find_status(ward, self._loop.time() + _PATIENCE)

    def _find_status(self, ward: _Ward, until: float) -> None:
        """The kernel has it on record once the parent has taken it, a moment after the end."""
        if ward.descriptor < 0:
            return  # closed meanwhile
        status, may_come = _status_of(ward.descriptor)
        if status is None and may_come and self._loop.time() < until:
            self._loop.call_later(_ASK_AGAIN, self._find_status, ward, until)
        else:
            self._unwatch(ward)
            self._ended(ward.trace.run_id, status)

    def _unwatch(self, ward: _Ward) -> None:
        if ward.descriptor >= 0:
            self._loop.remove_reader(ward.descriptor)
            os.close(ward.descriptor)
            ward.descriptor = -1

    def output_of(self, run_id: str) -> int | None:
        """A new reading end of a run's pipe, from a process that has it; None where none has."""
        ward = self._wards.get(run_id)
        pipe = ward.trace.pipe if ward is not None else 0
        for process in self.members(()).get(run_id, []):
            path = pipes_of(process.pid).get(pipe)
            if path is not None:
                with contextlib.suppress(OSError):
                    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return None

    def has(self, run_id: str) -> bool:
        """Whether it was taken over."""
        return run_id in self._wards

    def leader_of(self, run_id: str) -> int:
        """The pid of a run's living leader, else 0."""
        ward = self._wards.get(run_id)
        return ward.trace.pid if ward is not None and ward.descriptor >= 0 else 0

    def members(self, supervisors: Iterable[int]) -> dict[str, list[Process]]:
        """The living processes of each ward; runs without any are forgotten, once their leader's end is told.

        `supervisors` are living ones: what descends from them is theirs.
        """
        if not self._wards:
            return {}
        processes = everyone()
        found = self._sort(processes, set(supervisors))
        for run_id in [run_id for run_id, ward in self._wards.items() if ward.descriptor < 0]:
            if run_id not in found:
                trace = self._wards.pop(run_id).trace
                if trace.cgroup:
                    remove(trace.cgroup)
        self._bury_orphans(processes)
        self._seen |= {(p.pid, p.start) for members in found.values() for p in members}
        return found

    def _bury_orphans(self, processes: Mapping[int, Process]) -> None:
        """Members that became our children, and have ended since, are taken off the kernel's table."""
        leaders = {ward.trace.pid for ward in self._wards.values() if ward.descriptor >= 0}
        for pid, start in list(self._seen):
            process = processes.get(pid)
            if process is None or process.start != start:
                self._seen.discard((pid, start))
            elif not process.living and process.parent == os.getpid() and pid not in leaders:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _sort(self, processes: Mapping[int, Process], supervisors: set[int]) -> dict[str, list[Process]]:
        theirs = {pid for supervisor in supervisors for pid in elders(supervisor, processes)}
        evidence = _Evidence(self._wards.values(), elders(os.getpid(), processes))
        candidates = [p for p in processes.values() if p.living and p.pid not in theirs | supervisors]
        run_of = {p.pid: run_id for p in candidates if (run_id := evidence.run_of(p)) is not None}
        found: dict[str, list[Process]] = {}
        for process in candidates:
            run_id = _inherited(process, processes, run_of)
            if run_id is not None:
                found.setdefault(run_id, []).append(process)
        return found

    def signal(self, run_id: str, number: int, supervisors: Iterable[int]) -> int:
        """Send a signal to every process of a ward; how many there were."""
        known = list(supervisors)
        ward = self._wards.get(run_id)
        cgroup = ward.trace.cgroup if ward is not None else ""
        killed = kill_all(cgroup) if cgroup and number == SIGKILL else 0
        count = signal_all(lambda: self.members(known).get(run_id, []), number, self._loop.time)
        return max(killed, count)

    def close(self) -> None:
        """Watch no longer."""
        for ward in self._wards.values():
            self._unwatch(ward)


class _Evidence:
    """What wards are known by. A pid, a session and a mark can each be another's by chance; two cannot.

    So a mark counts for what descends from this process, the heir of a dead supervisor (rule 20), or with the
    session; a session alone only where there are no marks. A pipe is one run's alone,
    and so is a cgroup.
    """

    def __init__(self, wards: Iterable[_Ward], heirs: Collection[int]) -> None:
        """`heirs`: the descendants of this process."""
        self._wards = {ward.trace.run_id: ward for ward in wards}
        self._sessions = {ward.trace.pid: ward for ward in self._wards.values() if ward.trace.pid}
        self._marks = {ward.trace.mark: ward for ward in self._wards.values() if ward.trace.mark}
        self._pipes = {ward.trace.pipe: ward for ward in self._wards.values() if ward.trace.pipe}
        self._in_cgroups = {
            pid: ward
            for ward in self._wards.values()
            if ward.trace.cgroup
            for pid in pids_in(ward.trace.cgroup)
        }
        self._heirs = heirs

    def run_of(self, process: Process) -> str | None:
        """What a process itself shows."""
        ward = self._sessions.get(process.pid)
        if ward is not None and _is_leader(ward.trace, process):
            return ward.trace.run_id
        if process.pid in self._in_cgroups:
            return self._in_cgroups[process.pid].trace.run_id
        shown = run_in_environment(process.pid)
        if shown in self._wards:
            return shown
        ward = self._by_output(process) or self._by_session_or_mark(process)
        if ward is None or process.start / _TICKS < ward.trace.born_after - _SLACK:
            return None
        return ward.trace.run_id

    def _by_session_or_mark(self, process: Process) -> _Ward | None:
        ward = self._sessions.get(process.session)
        if ward is None and process.pid not in self._heirs:
            return None
        mark = mark_of(process.pid)
        if ward is not None and ward.trace.mark == 0 and process.pid not in self._heirs:
            leader = look(ward.trace.pid)  # where it is gone, its number may have led another session since
            return ward if leader is not None and _is_leader(ward.trace, leader) else None
        if ward is not None and ward.trace.mark in (0, mark):
            return ward
        return self._marks.get(mark) if process.pid in self._heirs else None

    def _by_output(self, process: Process) -> _Ward | None:
        found = (self._pipes.get(inode) for inode in pipes_of(process.pid))
        return next((ward for ward in found if ward is not None), None)


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


def _find_leader(trace: Trace) -> Process | None:
    """The process itself, by pid and start.

    A zombie is found too where it is our child, so that its status can be had; any other had ended before.
    """
    process = look(trace.pid) if trace.pid else None
    if process is None or not _is_leader(trace, process):
        return None
    return process if process.living or process.parent == os.getpid() else None


def _is_leader(trace: Trace, process: Process) -> bool:
    """Same pid is not enough: the start must be the one on record, or lie within the spawn (rule 18)."""
    if trace.start_time is not None:
        return process.start == trace.start_time
    return trace.born_after - _SLACK <= process.start / _TICKS <= trace.born_before + _SLACK


def _status_of(descriptor: int) -> tuple[int | None, bool]:
    """The wait status of a process that has ended: as its parent, or from the kernel's record.

    Also whether it may still come: the kernel keeps such records, and its parent has not taken it yet.
    """
    with contextlib.suppress(ChildProcessError):
        result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
        if result is not None:
            exited = result.si_code == os.CLD_EXITED
            return (result.si_status << 8 if exited else result.si_status), False
    try:
        answer = fcntl.ioctl(descriptor, _GET_INFO, _INFO.pack(_INFO_EXIT, *[0] * 13))
    except OSError:
        return None, False
    mask, *_, status = _INFO.unpack(answer)
    return (int(status), False) if mask & _INFO_EXIT else (None, True)


def become_heir() -> None:
    """Should a supervisor die, its steps become our children, so their status is not lost (rule 19)."""
    with contextlib.suppress(OSError):
        system.become_subreaper()
