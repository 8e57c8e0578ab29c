"""Random graphs of tasks and services whose commands record what they did, in files of their own.

A command knows its name: `EXECUTION.TASK` of a step, `SESSION.SERVICE` of a service. Under that name there
is `.started` with a line for each time it ran, `.out` with every line that it printed, `.code` with the exit
code of a task that came so far, and `.ready` once a service was. Nothing here reads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

STOP_TIMEOUT = 3
"""Seconds after which the daemons of a trial kill what did not stop."""


_DEAF = "trap '' TERM"


@dataclass(frozen=True)
class Graph:
    """An automations file, and what its commands are to do."""

    text: str
    tasks: dict[str, list[str]]
    """Each with the tasks and services that it depends on."""
    services: dict[str, list[str]]
    """Each with the services that it depends on."""
    contained: frozenset[str]
    """Those that run in containers."""


def random_graph(random: Random, records: Path, image: str = "") -> Graph:
    """Three to seven tasks, up to two services, no cycle; some are in containers where there is an image."""
    tasks: dict[str, list[str]] = {}
    services: dict[str, list[str]] = {}
    bodies: dict[str, dict[str, Any]] = {}
    for number in range(random.randint(0, 2)):
        name = f"s{number}"
        services[name] = random.sample(list(services), random.randint(0, len(services)))
        bodies[name] = {"commands": _service(random, records), "dependsOn": services[name]}
    for number in range(random.randint(3, 7)):
        name = f"t{number}"
        before = [*tasks, *services]
        tasks[name] = random.sample(before, min(len(before), random.choice([0, 1, 1, 2, 3])))
        bodies[name] = {"command": _task(random, records), "dependsOn": tasks[name]}
    where = Random(random.random())  # drawn apart: with an engine or without, a seed is one graph
    contained = frozenset(name for name in bodies if image and where.random() < 0.35)
    for name in contained:
        bodies[name]["runsOn"] = {"docker": {"image": image}}
    text = json.dumps(
        {
            "tasks": {name: bodies[name] for name in tasks},
            "services": {name: bodies[name] for name in services},
        }
    )
    return Graph(text, tasks, services, contained)


def _task(random: Random, records: Path) -> str:
    lines, pause = random.randint(0, 8), random.choice([0.0, 0.02, 0.1, 0.3])
    code = random.choice([0, 0, 0, 0, 0, 3])
    width = random.choice([1, 1, 1, 3000])
    # What the shell itself says of children that were killed is no output of the command: it goes elsewhere.
    return (
        f'r="{records}/$PHASED_EXECUTION_ID.$PHASED_TASK"\n'
        f'exec 2>> "$r.err"\n'
        f'echo started >> "$r.started"\n'
        f"{random.choice([':', ':', ':', ':', ':', 'trap : TERM', _DEAF])}\n"
        f"{_child(random)}\n"
        f"n=0; w=$(printf '%0{width}d' 0)\n"
        f"while [ $n -lt {lines} ]; do\n"
        f'  n=$((n + 1)); echo "$PHASED_TASK line $n $w"; echo "$PHASED_TASK line $n $w" >> "$r.out"\n'
        f"  sleep {pause}\n"
        f"done\n"
        f'echo {code} > "$r.code.new"; mv "$r.code.new" "$r.code"\n'
        f"exit {code}"
    )


def _child(random: Random) -> str:
    """One that outlives the command, or none; its name is found in its arguments or its variables."""
    return random.choice(
        [
            *[":"] * 6,
            "(setsid sleep 1000 > /dev/null &)",
            "sleep 1000 &",
            """(env -i setsid sh -c "trap '' TERM; sleep 1000; : $r" &)""",
        ]
    )


def _service(random: Random, records: Path) -> dict[str, str]:
    tries, pause = random.choice([0, 0, 1, 4]), random.choice([0.05, 0.2])
    name = f'r="{records}/$PHASED_SESSION.$PHASED_SERVICE"; exec 2>> "$r.err"'
    return {
        "start": (
            f'{name}; echo started >> "$r.started"; n=0\n'
            f'while :; do n=$((n + 1)); echo "beat $n"; echo "beat $n" >> "$r.out"; sleep {pause}; done'
        ),
        "ready": f'{name}; echo x >> "$r.tries"; [ $(wc -l < "$r.tries") -gt {tries} ] && touch "$r.ready"',
    }
