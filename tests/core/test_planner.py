"""The planner: groups are topological generations, stable, minimal; errors spell out the graph."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.core.planner import closure, cycles, groups, nearest
from phased.errors import CycleFound, UnknownReference

Needs = dict[str, tuple[str, ...]]


@st.composite
def acyclic(draw: st.DrawFn) -> Needs:
    """A graph whose edges point to earlier names, defined in a shuffled order."""
    names = [f"t{number}" for number in range(draw(st.integers(1, 12)))]
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:position]), unique=True)) if position else ())
        for position, name in enumerate(names)
    }
    order = draw(st.permutations(names))
    return {name: needs[name] for name in order}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acyclic())
def test_every_edge_leads_to_a_later_group(needs: Needs) -> None:
    """Whoever is needed stands in an earlier group, for every root."""
    for root in needs:
        place = {name: at for at, group in enumerate(groups(needs, root)) for name in group}
        assert all(place[need] < place[name] for name in place for need in needs[name])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acyclic())
def test_groups_hold_what_is_needed_and_nothing_else(needs: Needs) -> None:
    """The members are the closure of the root, once each."""
    for root in needs:
        members = [name for group in groups(needs, root) for name in group]
        assert sorted(members) == sorted(closure(needs, root))
        assert len(members) == len(set(members))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acyclic())
def test_groups_are_minimal(needs: Needs) -> None:
    """Nobody waits longer than needed: each member of a later group needs one of the group before."""
    for root in needs:
        planned = groups(needs, root)
        for before, group in pairwise(planned):
            assert all(set(needs[name]) & set(before) for name in group)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acyclic())
def test_order_within_a_group_is_the_order_of_definition(needs: Needs) -> None:
    """And so planning twice gives the same."""
    defined = list(needs)
    for root in needs:
        for group in groups(needs, root):
            assert group == sorted(group, key=defined.index)
        assert groups(needs, root) == groups(dict(needs), root)


def test_a_cycle_is_spelled_in_the_direction_of_depends_on() -> None:
    """`build -> gen -> build` reads: build depends on gen, gen on build."""
    needs = {"build": ("gen",), "lint": (), "gen": ("fetch", "build"), "fetch": ()}
    assert cycles(needs) == [("build", "gen", "build")]
    with pytest.raises(CycleFound, match="build -> gen -> build"):
        groups(needs, "build")


def test_a_longer_cycle_is_spelled_in_order() -> None:
    """Three in a circle: the direction shows."""
    assert cycles({"a": ("b",), "b": ("c",), "c": ("a",)}) == [("a", "b", "c", "a")]


def test_needing_oneself_is_a_cycle() -> None:
    """The smallest one."""
    assert cycles({"a": ("a",)}) == [("a", "a")]


def test_every_knot_is_reported_once() -> None:
    """In the order of definition."""
    needs = {"x": ("y",), "y": ("x",), "a": ("b",), "b": ("a",)}
    assert cycles(needs) == [("x", "y", "x"), ("a", "b", "a")]


def test_an_unknown_reference_names_the_nearest() -> None:
    """As the error that people see."""
    with pytest.raises(UnknownReference, match="did you mean build"):
        groups({"build": ()}, "biuld")
    with pytest.raises(UnknownReference, match="cannot find a task 'gne'"):
        groups({"build": ("gne",), "gen": ()}, "build")
    assert nearest("zzz", ["build"]) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), unique=True)))
def test_a_spelled_cycle_is_one_and_there_is_one_where_planning_fails(graph: dict[str, list[str]]) -> None:
    """Each arrow of it stands in the file; it begins with the member that is defined first."""
    needs = {name: tuple(need for need in wanted if need in graph) for name, wanted in graph.items()}
    found = cycles(needs)
    defined = list(needs)
    for cycle in found:
        assert cycle[0] == cycle[-1] == min(cycle, key=defined.index)
        assert all(need in needs[name] for name, need in pairwise(cycle))
        with pytest.raises(CycleFound):
            groups(needs, cycle[0])
    if not found:
        assert all(groups(needs, root) for root in needs)


def test_networkx_is_not_imported_before_a_plan_is_made() -> None:
    """Verbs that plan nothing must not pay for it."""
    code = "import sys, phased.core.planner, phased.core.specs; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
