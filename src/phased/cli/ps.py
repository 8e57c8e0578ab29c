"""`phased ps`: every process of what runs in a daemon, and of what commands left behind.

Knows the daemon's list and how it is shown. Must not know /proc.
"""

from __future__ import annotations

import click

from phased.cli import showing
from phased.cli.connection import connected
from phased.cli.options import Common, common_options
from phased.cli.words import span
from phased.contract.phased_v1_inside import ListProcessesRequest, Process

_HEAD = ("PID", "OF", "STATE", "CPU", "TIME", "MEMORY", "AGE", "COMMAND", "")


@click.command("ps", short_help="Show the processes of running steps and services.")
@common_options
def ps(common: Common) -> int:
    """Show every process of every running step and service, and those that commands which ended left behind.

    CPU is the share of one processor over the life of the process.

    Examples:
      phased ps
      phased ps -o json
    """
    with connected(common) as daemon:
        wanted = common.said("environment")
        environment = None if wanted is None else daemon.find_environment(wanted)
        answer = daemon.client.list_processes(ListProcessesRequest(environment_id=environment))
    showing.write_list(common, answer, [_row(one) for one in answer.processes], _HEAD, "nothing runs")
    return 0


def _row(one: Process) -> tuple[str, ...]:
    cpu = one.cpu_time.total_seconds() if one.cpu_time is not None else 0.0
    age = one.age.total_seconds() if one.age is not None else 0.0
    share = f"{100 * cpu / age:.1f}%" if age > 0 else "-"
    owner = (one.reference or "?") + (f" ({one.part})" if one.part not in {None, "start"} else "")
    return (
        str(one.pid),
        owner,
        one.state or "",
        share,
        f"{cpu:.1f} s",
        f"{int(one.memory_bytes or 0) / (1 << 20):.1f} MiB",
        span(round(age * 1_000_000)),
        one.command or "",
        "left behind" if one.left_behind else "",
    )
