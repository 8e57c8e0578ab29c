"""The processes of a container, where its engine runs on this machine. Knows /proc; must not know engines."""

from __future__ import annotations

from phased.ports import RunProcess
from phased.supervisor.census import elders, everyone, look


def processes_in(container: str, pid: int) -> list[RunProcess]:
    """What descends from a container's first process, the leader first, if that can be seen from here.

    The pid is the engine's, and the engine may be on another machine: it counts only where the process shows
    the container's id in its cgroup (cgroups(7)).
    """
    first = look(pid)
    if first is None or not _is_of(container, pid):
        return []
    everybody = everyone()
    members = [everybody[one] for one in elders(pid, everybody) if everybody[one].living]
    leaders = [one for one in members if one.parent == pid]
    leader = min((one.pid for one in leaders), default=0)
    found = [RunProcess(one.pid, one.start, one.name, one.pid == leader, one.state) for one in members]
    found.sort(key=lambda one: (not one.leader, one.pid))
    return (
        [*found, RunProcess(first.pid, first.start, first.name, state=first.state)] if first.living else found
    )


def _is_of(container: str, pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii", errors="replace") as file:
            return container in file.read()
    except OSError:
        return False
