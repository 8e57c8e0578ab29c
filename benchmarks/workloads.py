"""What is done: steps that do nothing, in three shapes, and the limits that this project set itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

COMMAND = "true"
SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Workload:
    """Steps in groups: groups one after another, the steps of a group `at_once` at a time."""

    title: str
    groups: tuple[int, ...]
    at_once: int
    steady_limit: float
    """How often the floor's time an engine that is up already may take."""
    whole_limit: float | None = None
    """The same for the whole process `phased run`; None: none was set."""

    def names(self) -> Iterator[list[str]]:
        """The names of the steps, group by group."""
        number = 0
        for size in self.groups:
            yield [f"s{number + offset}" for offset in range(size)]
            number += size

    def automations(self) -> str:
        """An automations file whose task `all` needs every step; `warm` is one step by itself."""
        lines = ["tasks:", "  warm:", f"    command: '{COMMAND}'"]
        before: list[str] = []
        for group in self.names():
            for name in group:
                lines += [f"  {name}:", f"    command: '{COMMAND}'"]
                lines += [f"    dependsOn: [{', '.join(before)}]"] if before else []
            before = group
        needed = before if len(self.groups) > 1 else [name for group in self.names() for name in group]
        return "\n".join([*lines, "  all:", f"    dependsOn: [{', '.join(needed)}]", ""])


def workloads(scale: float = 1.0) -> list[Workload]:
    """The four; `scale` makes them smaller."""

    def some(count: int) -> int:
        return max(4, round(count * scale))

    many, chain, layers, wide = some(1000), some(300), some(20), some(50)
    return [
        Workload(f"{many} independent, 16 at a time", (many,), 16, 1.5, 2.2),
        Workload(f"{many} independent, 2 at a time", (many,), 2, 2.0),
        Workload(f"{layers} layers of {wide}, 16 at a time", (wide,) * layers, 16, 1.6),
        Workload(f"chain of {chain}", (1,) * chain, 16, 1.8),
    ]
