"""What entries of a file say of each other: who needs whom, and which names mean two things.

Knows the tree of `tasks` and `services`; the planner knows graphs.
"""

from __future__ import annotations

from collections.abc import Iterator

from phased.loader.corrections import likeliest
from phased.loader.nodes import Mapping, Node, Scalar, Sequence
from phased.loader.report import Report, quoted

_SECTIONS = ("tasks", "services")

Edges = dict[str, dict[str, tuple[int, str]]]
"""For each reference, what it depends on, and where and under which path that is written."""


def check(root: Mapping, report: Report) -> None:
    """Report unknown and ambiguous references, cycles, and services with a trigger that only tasks have."""
    sections = {name: _section(root, name) for name in _SECTIONS}
    if any(isinstance(value, Sequence) for key, value in root.entries if key.text in _SECTIONS):
        return  # A list names its entries by no reference, so nothing can be said of who means whom.
    _check_ambiguous(sections, report)
    _check_snapshots(sections["services"], report)
    edges = {
        key.text: _edges(entry, f"{name}.{key.text}") for name in _SECTIONS for key, entry in sections[name]
    }
    known = list(edges)
    for needs in edges.values():
        for wanted, (at, path) in needs.items():
            if wanted not in edges:
                near = likeliest(wanted, known, cutoff=0.6)
                hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(known[:20])}"
                report.error(at, path, f"cannot find {quoted(wanted)} to depend on", hint=hint, text=wanted)
    _check_cycles(edges, report)


def _check_cycles(edges: Edges, report: Report) -> None:
    if not any(edges.values()):
        return  # Most files.
    from phased.core import planner  # noqa: PLC0415 - only for files with dependencies

    for cycle in planner.cycles({reference: tuple(needs) for reference, needs in edges.items()}):
        at, path = edges[cycle[0]][cycle[1]]
        message = f"cannot order what depends on itself: {' -> '.join(cycle)}"
        report.error(at, path, message, hint="remove one of these dependencies", text=cycle[1])


def _check_ambiguous(sections: dict[str, list[tuple[Scalar, Node]]], report: Report) -> None:
    tasks = {key.text: key.at for key, _ in sections["tasks"]}
    for key, _ in sections["services"]:
        if key.text in tasks:
            line, _ = report.source.position(tasks[key.text])
            message = f"cannot use {quoted(key.text)} for a task and a service: it would be ambiguous"
            hint = f"rename one of them; the task stands in line {line}"
            report.error(key.at, f"services.{key.text}", message, hint=hint, text=key.text)


def _check_snapshots(services: list[tuple[Scalar, Node]], report: Report) -> None:
    for key, entry in services:
        for number, trigger in enumerate(_items(entry, "triggeredBy")):
            if trigger.text == "beforeSnapshot":
                path = f"services.{key.text}.triggeredBy[{number}]"
                hint = "use prebuild, or make it a task"
                report.error(
                    trigger.at,
                    path,
                    "cannot start a service by `beforeSnapshot`",
                    hint=hint,
                    text=trigger.text,
                )


def _section(root: Mapping, name: str) -> list[tuple[Scalar, Node]]:
    return [
        entry
        for key, value in root.entries
        if key.text == name
        for entry in (_entries(value))
        if entry[0].text
    ]


def _entries(node: Node) -> list[tuple[Scalar, Node]]:
    return node.entries if isinstance(node, Mapping) else []


def _edges(entry: Node, path: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for number, item in enumerate(_items(entry, "dependsOn")):
        if item.kind == "text" and item.text:
            found.setdefault(item.text, (item.at, f"{path}.dependsOn[{number}]"))
    return found


def _items(entry: Node, name: str) -> Iterator[Scalar]:
    for key, value in _entries(entry):
        if key.text == name and isinstance(value, Sequence):
            yield from (item for item in value.items if isinstance(item, Scalar))
