"""Where a step stands, which events move it, and what the outside sees of it: three tables.

Knows states and events by type. Must not know executions, runs, commands or time.
The public phases and their meaning: `semantics: Tasks and executions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core import events as e
from phased.errors import IllegalTransition


class State(Enum):
    """The inner state of one step; finer than its phase. The values are stored: they never change."""

    __hash__ = object.__hash__  # Enum's own is Python code, and states are looked up at every event

    WAITING = "waiting"
    """Its group's turn has not come, or there is no free place."""
    STARTING = "starting"
    """Its command is to be started; whether that worked is not known yet."""
    CANCELLING = "cancelling"
    """A stop came while it was starting."""
    ABORTING = "aborting"
    """A stop came while it was starting, and then its limit, or somebody who will not wait."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Asked to end (SIGTERM); its leader has not."""
    EMPTYING = "emptying"
    """Asked to end, and its leader did in time; other processes of it are left."""
    KILLING = "killing"
    """Its leader did not end in time and is killed."""
    EXPIRING = "expiring"
    """Its attempt ran longer than its timeout and is being ended; its leader has not."""
    CLEARING = "clearing"
    """Its leader was killed or ran out of time, and has ended; other processes of it are left."""
    RETRYING = "retrying"
    """An attempt failed; the next one waits for its pause to pass."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


TRANSITIONS: Final[Mapping[State, Mapping[type[e.StepEvent], State]]] = {
    State.WAITING: {
        e.StepDue: State.STARTING,
        e.StepJoined: State.SUCCEEDED,
    },
    State.STARTING: {
        e.StepStarted: State.RUNNING,
        e.StepRefused: State.FAILED,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.CANCELLING,
    },
    State.CANCELLING: {
        e.StepStarted: State.STOPPING,
        # Nothing of it runs, which is what was asked for: as with exit codes after a stop, why is no matter.
        e.StepRefused: State.STOPPED,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.CANCELLING,
        e.StepDetached: State.STOPPED,
        e.StepLimitReached: State.ABORTING,
    },
    State.ABORTING: {
        e.StepStarted: State.KILLING,
        e.StepRefused: State.STOPPED,
        e.StepLost: State.FAILED,
        e.StepStuck: State.FAILED,
        e.StepStopRequested: State.ABORTING,
        e.StepDetached: State.STOPPED,
        e.StepLimitReached: State.ABORTING,
    },
    State.RUNNING: {
        e.StepSucceeded: State.SUCCEEDED,
        e.StepFailed: State.FAILED,
        e.StepAttemptFailed: State.RETRYING,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.STOPPING,
        e.StepTimedOut: State.EXPIRING,
    },
    State.STOPPING: {
        e.StepSucceeded: State.EMPTYING,
        e.StepFailed: State.EMPTYING,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.STOPPING,
        e.StepLimitReached: State.KILLING,
        e.StepDetached: State.STOPPED,
    },
    State.EMPTYING: {
        e.StepEmptied: State.STOPPED,
        e.StepStuck: State.FAILED,
        e.StepStopRequested: State.EMPTYING,
        e.StepLimitReached: State.EMPTYING,
    },
    State.KILLING: {
        e.StepSucceeded: State.CLEARING,
        e.StepFailed: State.CLEARING,
        e.StepLost: State.FAILED,
        e.StepStuck: State.FAILED,
        e.StepStopRequested: State.KILLING,
        e.StepDetached: State.STOPPED,
        e.StepLimitReached: State.KILLING,
    },
    State.EXPIRING: {
        e.StepSucceeded: State.CLEARING,
        e.StepFailed: State.CLEARING,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.EXPIRING,
        e.StepLimitReached: State.KILLING,
    },
    State.CLEARING: {
        e.StepEmptied: State.FAILED,
        e.StepAttemptFailed: State.RETRYING,
        e.StepStuck: State.FAILED,
        e.StepStopRequested: State.CLEARING,
        e.StepLimitReached: State.CLEARING,
    },
    State.RETRYING: {
        e.StepDue: State.STARTING,
        e.StepLost: State.FAILED,
        e.StepStopRequested: State.STOPPED,
    },
    State.SUCCEEDED: {},
    State.FAILED: {},
    State.STOPPED: {},
}
"""The step's whole life. A missing entry is an error; a terminal state has none."""

PHASE_OF: Final[Mapping[State, Phase]] = {
    State.WAITING: Phase.UNSPECIFIED,
    State.STARTING: Phase.PENDING,
    State.CANCELLING: Phase.PENDING,
    State.ABORTING: Phase.PENDING,
    State.RUNNING: Phase.RUNNING,
    State.STOPPING: Phase.RUNNING,
    State.EMPTYING: Phase.RUNNING,
    State.KILLING: Phase.RUNNING,
    State.EXPIRING: Phase.RUNNING,
    State.CLEARING: Phase.RUNNING,
    State.RETRYING: Phase.RUNNING,
    State.SUCCEEDED: Phase.SUCCEEDED,
    State.FAILED: Phase.FAILED,
    State.STOPPED: Phase.STOPPED,
}
"""What the outside sees. UNSPECIFIED: nothing, the step is absent from the status."""

TERMINAL: Final = frozenset(state for state, leads_to in TRANSITIONS.items() if not leads_to)
LIVE: Final = frozenset(State) - TERMINAL - {State.WAITING}

TERMINAL_PHASES: Final = (Phase.FAILED, Phase.STOPPED, Phase.SUCCEEDED)
"""In their order of precedence: of an execution that has ended, the first that any step has."""


def next_state(state: State, event: e.StepEvent) -> State:
    """The state that an event leads to. Raises IllegalTransition where the table has no entry."""
    try:
        return TRANSITIONS[state][type(event)]
    except KeyError:
        raise IllegalTransition(state.value, type(event).__name__) from None


def aggregate(*, begun: bool, live: bool, waiting: bool, failed: bool, stopped: bool) -> Phase:
    """The phase of an execution, by precedence.

    `begun`: a step has started or ended, or none ever will; `live`: a step is between start and end;
    `waiting`: something is still to be done; `failed`: a step has, or the execution was given up;
    `stopped`: a step is, or the stop came between two groups.
    """
    if not begun:
        return Phase.PENDING
    if live or waiting:
        return Phase.RUNNING
    if failed:
        return Phase.FAILED
    if stopped:
        return Phase.STOPPED
    return Phase.SUCCEEDED
