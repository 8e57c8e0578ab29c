"""Orders automations into groups: the one place that knows graphs (and networkx).

Knows references and who needs whom. Must not know files, ids, commands or time.
A group is a topological generation of what is needed; within it, the order of definition.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from phased.errors import CycleFound, UnknownReference

Needs = Mapping[str, Sequence[str]]
"""Every reference that is defined, in the order of definition, and the references it depends on."""


def nearest(reference: str, known: Iterable[str]) -> list[str]:
    """The known references a typing error away from this one, the likeliest first; at most two."""
    return difflib.get_close_matches(reference, list(known), n=2, cutoff=0.6)


def cycles(needs: Needs) -> list[tuple[str, ...]]:
    """One cycle for each knot of references that need each other, as `a -> b -> a`; [] if there is none."""
    graph = _graph(needs).reverse(copy=False)
    order = {reference: position for position, reference in enumerate(needs)}
    found = []
    for knot in nx.strongly_connected_components(graph):
        if len(knot) > 1 or any(graph.has_edge(node, node) for node in knot):
            first = min(knot, key=order.__getitem__)
            edges = nx.find_cycle(graph.subgraph(knot), first)
            path = [edge[0] for edge in edges]
            found.append((*path, path[0]))
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
    inside = set(members)
    graph = _graph({reference: [n for n in needs[reference] if n in inside] for reference in members})
    order = {reference: position for position, reference in enumerate(members)}
    try:
        return [sorted(g, key=order.__getitem__) for g in nx.topological_generations(graph)]
    except nx.NetworkXUnfeasible as error:
        raise CycleFound(cycles({reference: needs[reference] for reference in members})[0]) from error


def _graph(needs: Needs) -> nx.DiGraph[str]:
    """Edges point from what is needed to who needs it, so that generations come in the order of running.

    Edges to unknown references are left out: they are somebody else's error.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from((need, reference) for reference, wanted in needs.items() for need in wanted if need in needs)
    return graph
