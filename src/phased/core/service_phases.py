"""Where a service stands, what moves it, and what the outside sees of it: three tables.

Knows states and events by type. Must not know runs, commands or time.
The public phases and their meaning: `semantics: Services`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from phased.contract.service import ServicePhase as Phase
from phased.core import service_events as e
from phased.errors import IllegalTransition


class ServiceState(Enum):
    """The inner state of a service; finer than its phase."""

    STOPPED = "stopped"
    """Nothing runs, and nothing failed; also a service that was never started."""
    FAILED = "failed"
    DELETED = "deleted"
    NEEDING = "needing"
    """What it depends on is run and readied first."""
    CLEARING = "clearing"
    """What an earlier run left behind is ended first."""
    STARTING = "starting"
    """Its command is to be started; whether that worked is not known yet."""
    PROBING = "probing"
    """Its command runs, and a ready try is under way."""
    PAUSING = "pausing"
    """Its command runs; the next ready try waits for its pause to pass."""
    RUNNING = "running"
    """Its command runs and it is ready."""
    BACKING_OFF = "backing_off"
    """Its command ended; the restart waits for its pause to pass."""
    CANCELLING = "cancelling"
    """A stop came while it was starting."""
    HALTING = "halting"
    """The stop command runs; the start command's leader has not ended."""
    FINISHING = "finishing"
    """The stop command runs; the start command's leader has ended."""
    STOPPING = "stopping"
    """Asked to end (SIGTERM); its leader has not."""
    KILLING = "killing"
    """SIGKILL was sent; its leader's end is not reported yet."""
    EMPTYING = "emptying"
    """Its leader has ended; other processes of it are left."""


S = ServiceState
Decided = e.Decision | e.ServiceEvent
_AWAKEN: Final[Mapping[type[Decided], S]] = {
    e.NeedsAsked: S.NEEDING,
    e.ClearingBegun: S.CLEARING,
    e.CommandDue: S.STARTING,
    e.EmptyingBegun: S.EMPTYING,
    e.Deleted: S.DELETED,
}
_END: Final[Mapping[type[Decided], S]] = {
    e.HaltBegun: S.HALTING,
    e.EndBegun: S.STOPPING,
    e.KillBegun: S.KILLING,
    e.Deleted: S.DELETED,
}
_LEADER: Final[Mapping[type[Decided], S]] = {
    e.Stopped: S.STOPPED,
    e.Failed: S.FAILED,
    e.RestartGranted: S.BACKING_OFF,
}

TRANSITIONS: Final[Mapping[S, Mapping[type[Decided], S]]] = {
    S.STOPPED: _AWAKEN,
    S.FAILED: _AWAKEN,
    S.NEEDING: {
        e.CommandDue: S.STARTING,
        e.Failed: S.FAILED,
        e.Stopped: S.STOPPED,
        e.Deleted: S.DELETED,
    },
    S.CLEARING: {
        e.NeedsAsked: S.NEEDING,
        e.CommandDue: S.STARTING,
        e.EmptyingBegun: S.EMPTYING,
        e.Failed: S.FAILED,
        e.Deleted: S.DELETED,
    },
    S.STARTING: {
        e.TryDue: S.PROBING,
        e.BecameReady: S.RUNNING,
        e.Failed: S.FAILED,
        e.RestartGranted: S.BACKING_OFF,
        e.CancelBegun: S.CANCELLING,
        e.Deleted: S.DELETED,
    },
    S.PROBING: {
        e.BecameReady: S.RUNNING,
        e.ReadyFailed: S.PAUSING,
        e.ReadyRefused: S.PAUSING,
        **_LEADER,
        **_END,
    },
    S.PAUSING: {
        e.TryDue: S.PROBING,
        **_LEADER,
        **_END,
    },
    S.RUNNING: {**_LEADER, **_END},
    S.BACKING_OFF: {
        e.ClearingBegun: S.CLEARING,
        e.EmptyingBegun: S.EMPTYING,
        e.Deleted: S.DELETED,
    },
    S.CANCELLING: {**_END, e.EmptyingBegun: S.EMPTYING, e.Failed: S.FAILED},
    S.HALTING: {
        e.LeaderEnded: S.FINISHING,
        e.KillBegun: S.KILLING,
        e.Deleted: S.DELETED,
    },
    S.FINISHING: {
        e.EmptyingBegun: S.EMPTYING,
        e.Deleted: S.DELETED,
    },
    S.STOPPING: {
        e.EmptyingBegun: S.EMPTYING,
        e.KillBegun: S.KILLING,
        e.Deleted: S.DELETED,
    },
    S.KILLING: {
        e.EmptyingBegun: S.EMPTYING,
        e.Failed: S.FAILED,
        e.Deleted: S.DELETED,
    },
    S.EMPTYING: {
        e.Stopped: S.STOPPED,
        e.Failed: S.FAILED,
        e.RestartGranted: S.BACKING_OFF,
        e.Deleted: S.DELETED,
    },
    S.DELETED: {},
}
"""A service's whole life. A missing entry is an error; DELETED has none."""

PHASE_OF: Final[Mapping[S, Phase]] = {
    S.STOPPED: Phase.STOPPED,
    S.FAILED: Phase.FAILED,
    S.DELETED: Phase.DELETED,
    S.NEEDING: Phase.STARTING,
    S.CLEARING: Phase.STARTING,
    S.STARTING: Phase.STARTING,
    S.PROBING: Phase.STARTING,
    S.PAUSING: Phase.STARTING,
    S.BACKING_OFF: Phase.STARTING,
    S.RUNNING: Phase.RUNNING,
    S.CANCELLING: Phase.STOPPING,
    S.HALTING: Phase.STOPPING,
    S.FINISHING: Phase.STOPPING,
    S.STOPPING: Phase.STOPPING,
    S.KILLING: Phase.STOPPING,
    S.EMPTYING: Phase.STOPPING,
}
"""What the outside sees."""

RESTING: Final = frozenset({S.STOPPED, S.FAILED, S.DELETED})
"""Nothing is under way."""
ENDING: Final = frozenset({S.CANCELLING, S.HALTING, S.FINISHING, S.STOPPING, S.KILLING, S.EMPTYING})
"""It is on the way to its end."""
UP: Final = frozenset({S.PROBING, S.PAUSING, S.RUNNING})
"""Its start command runs, and nobody asked for its end."""
LEADING: Final = UP | {S.STARTING, S.CANCELLING, S.HALTING, S.STOPPING, S.KILLING}
"""The start command's end is still to be reported."""


def next_state(state: S, event: Decided) -> S:
    """The state that an event leads to. Raises IllegalTransition where the table has no entry."""
    try:
        return TRANSITIONS[state][type(event)]
    except KeyError:
        raise IllegalTransition(state.value, type(event).__name__) from None
