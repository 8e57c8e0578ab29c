"""Random graphs of tasks and services whose commands record what they did, in files of their own.

Of a step that ran for an execution there is `EXECUTION.TASK.started` with a line for each time, `.out` with
every line that it printed, and `.code` with its exit code if it came so far. Nothing here reads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class Graph:
    """An automations file, and what its commands are to do."""

    text: str
    tasks: dict[str, list[str]]
    """Each task with what it depends on, services as well."""
    services: list[str]
    codes: dict[str, int]


def random_graph(random: Random, records: Path) -> Graph:
    """Three to seven tasks and up to two services, without a cycle."""
    services = [f"s{number}" for number in range(random.randint(0, 2))]
    tasks: dict[str, list[str]] = {}
    codes: dict[str, int] = {}
    commands: dict[str, str] = {}
    for number in range(random.randint(3, 7)):
        name = f"t{number}"
        before = [*tasks, *services]
        tasks[name] = random.sample(before, min(len(before), random.choice([0, 1, 1, 2, 3])))
        codes[name] = random.choice([0, 0, 0, 0, 0, 3])
        commands[name] = _task(random, records, codes[name])
    body = {
        "tasks": {name: {"command": commands[name], "dependsOn": needs} for name, needs in tasks.items()},
        "services": {name: {"commands": _service(random, records, name)} for name in services},
    }
    return Graph(json.dumps(body), tasks, services, codes)


def _task(random: Random, records: Path, code: int) -> str:
    lines, pause = random.randint(0, 8), random.choice([0.0, 0.02, 0.1])
    child = "(setsid sleep 1000 &) " if random.random() < 0.2 else ":"
    return (
        f'r="{records}/$PHASED_EXECUTION_ID.$PHASED_TASK"\n'
        f'echo started >> "$r.started"\n'
        f"{child}\n"
        f"n=0\n"
        f"while [ $n -lt {lines} ]; do\n"
        f'  n=$((n + 1)); echo "line $n"; echo "line $n" >> "$r.out"; sleep {pause}\n'
        f"done\n"
        f'echo {code} > "$r.code.new"; mv "$r.code.new" "$r.code"\n'
        f"exit {code}"
    )


def _service(random: Random, records: Path, name: str) -> dict[str, str]:
    delay = random.choice([0, 0, 5, 20])
    tries = f'"{records}/{name}.tries"'
    return {
        "start": f'echo $$ >> "{records}/{name}.sessions"; while :; do sleep 0.05; done',
        "ready": f"echo x >> {tries}; [ $(wc -l < {tries}) -gt {delay // 5} ]",
    }
