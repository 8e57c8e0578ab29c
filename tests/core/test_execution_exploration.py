"""Every interleaving of {start, exit, stop, deadline, kill, crash, adopt} for small plans, exhaustively.

A little world obeys the machine's instructions; every choice it has is a branch. In each state that can be
reached the invariants hold, and the end can be reached without anybody's help.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from phased.contract.execution import TaskExecutionSpec
from phased.core import events as e
from phased.core import instructions as i
from phased.core.execution import ExecutionMachine
from phased.core.phases import State
from phased.core.policy import ExecutionPolicy, StepPolicy
from tests.core.build import EXECUTION, at, spec


@dataclass
class World:
    """A machine and what its instructions have set going."""

    plan: TaskExecutionSpec
    policy: ExecutionPolicy
    shared: bool
    machine: ExecutionMachine
    runs: dict[str, str] = field(default_factory=dict)
    """By step: starting, running, gone (its leader)."""
    attempts: dict[str, int] = field(default_factory=dict)
    """By step: whose run that is."""
    awaiting: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    reminders: set[e.StepEvent] = field(default_factory=set)
    clearing: bool = False
    dying: bool = False
    """Whether the daemon saves, and dies before it does anything."""
    second: int = 0
    """Time passes with each event, so much that every reminder is due."""

    @property
    def now(self) -> e.Instant:
        """The time."""
        return at(self.second)

    def key(self) -> object:
        """What tells two worlds apart; versions and times do not."""
        m = self.machine
        steps = tuple((s.state, s.attempt, s.cause) for s in m.steps.values())
        going = (frozenset(self.awaiting), frozenset(self.killed), frozenset(self.reminders), self.clearing)
        return steps, m.phase, m.begun, m.stop_requested, m.changed, tuple(sorted(self.runs.items())), going

    def happen(self, event: e.Event) -> None:
        """Hand an event over, and obey."""
        self.second += 1000
        for instruction in self.machine.handle(event, self.now):
            if not self.dying:
                self.obey(instruction)
        self.machine.change(self.now)
        self.machine.check()

    def obey(self, instruction: i.Instruction) -> None:
        match instruction:
            case i.StartStep(step):
                assert self.runs.get(step) != "running", "two attempts at a time"
                self.begin(step)
            case i.DetachStep(step) if self.shared:
                self.forget(step)
                self.happen(e.StepDetached(step))
            case i.KillStep(step) if step in self.runs:
                self.killed.add(step)
            case i.AwaitEmpty(step):
                assert self.runs[step] == "gone", "its leader has not ended"
                self.awaiting.add(step)
            case i.RemindOfTimeout(step, attempt):
                self.reminders.add(e.StepTimedOut(step, attempt))
            case i.RemindOfLimit(step, attempt):
                self.reminders.add(e.StepLimitReached(step, attempt))
            case i.RemindOfRetry(step):
                self.reminders.add(e.StepDue(step))
            case i.EndLeftovers():
                self.clearing = True
            case i.Finish():
                assert not self.awaiting
                assert not set(self.runs.values()) & {"starting", "running"}

    def begin(self, step: str) -> None:
        self.runs[step], self.attempts[step] = "starting", self.machine.steps[step].attempt

    def forget(self, step: str) -> None:
        self.runs.pop(step, None)
        self.awaiting.discard(step)
        self.killed.discard(step)

    def remind(self, reminder: e.StepEvent) -> None:
        """A reminder is due."""
        self.reminders.discard(reminder)
        self.happen(reminder)

    def clear(self) -> None:
        """Nothing is left of what ended steps left behind."""
        self.clearing = False
        self.happen(e.LeftoversEnded())

    def give_up(self, stuck: e.StepStuck) -> None:
        """Its processes outlive SIGKILL."""
        self.forget(stuck.step_id)
        self.happen(stuck)

    def crash(self) -> None:
        """The daemon dies after it saved; the next one restores. Runs go on meanwhile."""
        self.machine = ExecutionMachine.restore(self.plan, self.policy, self.machine.status())
        self.awaiting, self.killed, self.reminders, self.clearing = set(), set(), set(), False
        for instruction in self.machine.resume(self.now):
            self.obey(instruction)
        self.adopt()
        self.machine.check()

    def adopt(self) -> None:
        """What the next daemon is told of runs that never were (`engine.adoption`)."""
        for step in self.machine.live_steps:
            if step.id in self.runs and self.attempts[step.id] == step.attempt:
                continue
            if step.state is State.STARTING:
                self.begin(step.id)
            elif step.state in {State.CANCELLING, State.ABORTING}:
                self.happen(e.StepRefused(step.id, "it never was"))

    def die_while(self, act: Act) -> None:
        """This happens and is saved; nothing that follows from it is done."""
        self.dying = True
        act(self)
        self.dying = False
        self.crash()


Act = Callable[[World], None]


def by_itself(world: World) -> Iterator[Act]:
    """What can happen without anybody's help."""
    for step, run in world.runs.items():
        yield from of_run(step, run, world)
    for reminder in world.reminders:
        yield partial(World.remind, reminder=reminder)
    if world.clearing:
        yield World.clear


def of_run(step: str, run: str, world: World) -> Iterator[Act]:
    """What can become of one run."""

    def report(state: str | None, event: e.StepEvent) -> Act:
        def act(w: World) -> None:
            w.forget(step) if state is None else w.runs.update({step: state})
            w.happen(event)

        return act

    if run == "starting":
        yield report("running", e.StepStarted(step))
        yield report(None, e.StepRefused(step, "no"))
        yield report(None, e.StepLost(step, "lost"))
    if run == "running":
        yield report("gone", e.StepSucceeded(step))
        yield report("gone", e.StepFailed(step, code=1))
        yield report(None, e.StepLost(step, "lost"))
    if step in world.awaiting:
        yield report(None, e.StepEmptied(step))


def by_misfortune(world: World) -> Iterator[Act]:
    """What can happen, but is not to be counted on for an end: what was killed lives on."""
    for step in world.killed:
        stuck = e.StepStuck(step, world.machine.steps[step].attempt, "stuck")
        yield partial(World.give_up, stuck=stuck)


def by_others() -> Iterator[Act]:
    """What somebody may do, at any time."""
    yield lambda w: w.happen(e.StopRequested("x"))
    yield lambda w: w.happen(e.KillRequested("x"))
    yield lambda w: w.crash()


_WIDE = ("a b",)
"""Has so many states that deaths in mid-act are left to the others."""


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize(
    ("groups", "step"),
    [
        (("a",), StepPolicy(timeout=5, retries=1)),
        (("a", "b"), StepPolicy(timeout=5)),
        (_WIDE, StepPolicy()),
        (("a", "b!", "c"), StepPolicy()),
    ],
    ids=["one step", "two groups", "two at a time", "with a join"],
)
def test_every_interleaving_keeps_the_invariants_and_ends(
    groups: tuple[str, ...], step: StepPolicy, shared: bool
) -> None:
    """From every state that can be reached, the end can be."""
    plan, policy = spec(*groups), ExecutionPolicy(steps={"a": step, "b": step})
    first = World(plan, policy, shared, ExecutionMachine(EXECUTION, plan, policy))
    first.happen(e.ExecutionBegun())
    worlds, queue = {first.key(): first}, [first]
    leads_to: dict[object, set[object]] = {}
    while queue:
        world = queue.pop()
        alone = list(by_itself(world))
        assert world.machine.finished or alone, f"nothing can happen any more in {world.key()}"
        assert world.clearing == (world.machine.clearing is not None)
        following: set[object] = set()
        acts = [*alone, *by_misfortune(world), *by_others()]
        deaths: list[Act] = [partial(World.die_while, act=act) for act in acts if groups != _WIDE]
        for act in [*acts, *deaths]:
            branch = copy.deepcopy(world, {id(plan): plan, id(policy): policy})
            act(branch)
            key = branch.key()
            if key not in worlds:
                worlds[key] = branch
                queue.append(branch)
            if act in alone:
                following.add(key)
        leads_to[world.key()] = following
    ends = {key for key, world in worlds.items() if world.machine.finished and not world.clearing}
    while more := {key for key, after in leads_to.items() if key not in ends and after & ends}:
        ends |= more
    assert set(worlds) == ends
    assert {s.state for w in worlds.values() for s in w.machine.steps.values()} >= {
        State.SUCCEEDED, State.FAILED, State.STOPPED, State.RUNNING,
    }  # fmt: skip
