"""Orders automations into groups: the one place that knows graphs.

Knows references and who needs whom. Must not know files, ids, commands or time.
A group is a topological generation of what is needed; within it, the order of definition.

The order is found by the standard library. networkx takes longer to import than most verbs take in all: it is
imported where there is a cycle to be explained (docs/decisions, "What networkx is asked").
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from phased.errors import CycleFound, UnknownReference

if TYPE_CHECKING:
    import networkx as nx

Needs = Mapping[str, Sequence[str]]
"""Every reference that is defined, in the order of definition, and the references it depends on."""


def nearest(reference: str, known: Iterable[str]) -> list[str]:
    """The known references a typing error away from this one, the likeliest first; at most two."""
    return difflib.get_close_matches(reference, list(known), n=2, cutoff=0.6)


def cycles(needs: Needs) -> list[tuple[str, ...]]:
    """One cycle for each knot of references that need each other, as `a -> b -> a`; [] if there is none.

    Each begins with the one of its members that is defined first.
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return _knots(needs)
    return []


def _knots(needs: Needs) -> list[tuple[str, ...]]:
    import networkx as nx  # noqa: PLC0415 - see the module's opening

    order = {reference: position for position, reference in enumerate(needs)}
    found = []
    for knot in nx.strongly_connected_components(_graph(needs)):
        # A graph of its own: the order of a subgraph's view is that of a set, so not always the same.
        members = sorted(knot, key=order.__getitem__)
        inside = {one: [need for need in needs[one] if need in knot] for one in members}
        if len(knot) > 1 or any(one in wanted for one, wanted in inside.items()):
            edges = nx.find_cycle(_graph(inside).reverse(), next(iter(inside)))
            path = [edge[0] for edge in edges]
            first = path.index(min(path, key=order.__getitem__))
            found.append((*path[first:], *path[: first + 1]))
    return sorted(found, key=lambda cycle: order[cycle[0]])


def closure(needs: Needs, root: str) -> list[str]:
    """The root and everything it needs, in the order of definition.

    Raises UnknownReference (for the root, or for a dependency).
    """
    wanted: set[str] = set()
    waiting = [root]
    while waiting:
        reference = waiting.pop()
        if reference in wanted:
            continue
        if reference not in needs:
            raise UnknownReference(reference, near=nearest(reference, needs), known=tuple(needs))
        wanted.add(reference)
        waiting.extend(needs[reference])
    return [reference for reference in needs if reference in wanted]


def groups(needs: Needs, root: str) -> list[list[str]]:
    """The generations of `closure(needs, root)`: every dependency stands in an earlier group.

    Groups are minimal: each member of a later group needs a member of the group just before it.
    Raises CycleFound, UnknownReference.
    """
    members = closure(needs, root)
    wanted = {reference: needs[reference] for reference in members}
    order = {reference: position for position, reference in enumerate(members)}
    sorter = TopologicalSorter(wanted)
    try:
        sorter.prepare()
    except CycleError as error:
        raise CycleFound(cycles(wanted)[0]) from error
    found: list[list[str]] = []
    while sorter.is_active():
        generation = sorter.get_ready()
        sorter.done(*generation)
        found.append(sorted(generation, key=order.__getitem__))
    return found


def depths(needs: Needs) -> dict[str, int]:
    """Of every reference, how many stand before it in its longest chain. Raises CycleFound."""
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise CycleFound(cycles(needs)[0]) from error
    found: dict[str, int] = {}
    depth = 0
    while sorter.is_active():
        generation = sorter.get_ready()
        found.update(dict.fromkeys(generation, depth))
        sorter.done(*generation)
        depth += 1
    return found


def _graph(needs: Needs) -> nx.DiGraph[str]:
    """Edges point from what is needed to who needs it, so that generations come in the order of running.

    Edges to unknown references are left out: they are somebody else's error.
    """
    import networkx as nx  # noqa: PLC0415 - see the module's opening

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from(
        (need, reference) for reference, wanted in needs.items() for need in wanted if need in needs
    )
    return graph
