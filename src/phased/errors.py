"""The exceptions of phased, all of them, as one tree. Imports nothing of ours.

Every message begins with "cannot ...", names the thing and says what to do. Facts are attributes.

    PhasedError
    ├── InvalidFile            an automations file that has errors
    ├── FileUnreadable         a file that is missing or cannot be read
    ├── SettingsError          a setting that is unknown or has a bad value
    ├── PlanError              a plan that cannot be made
    │   ├── CycleFound
    │   └── UnknownReference
    ├── IllegalTransition      an event that a state has no entry for
    ├── StoreError             the state cannot be read or written
    │   ├── StaleVersion
    │   ├── StoreTooNew
    │   ├── StoreUnreadable
    │   └── StoreFull
    ├── StateDirectoryHeld     another phased works on this state directory
    ├── RunnerError            a step cannot be started
    │   └── SupervisorLost
    ├── OutputRefused          an output that a step cannot set
    ├── NotFound               something that was asked for and does not exist
    ├── AlreadyExists          something of that name is there
    ├── FailedPrecondition     it cannot be done in the state that something is in
    │   └── KeyUnusable        the key of the secrets is missing, or is another one
    ├── InvalidArgument        what was asked for makes no sense, whatever the state
    ├── FellBehind             a reader was too slow for what changed
    ├── CloneFailed            a repository that could not be copied
    ├── Unauthenticated        nobody knows who asks
    ├── PermissionDenied       who asks may not
    ├── Unavailable            not now: the daemon is ending, or cannot reach what it needs
    ├── Unreachable            there is no daemon to talk to, or it went away
    ├── Refused                a daemon answered with an error
    └── Unsupported            something a later version will do
"""

from __future__ import annotations

from collections.abc import Sequence


class PhasedError(Exception):
    """The root: whoever catches it has every expected failure, and no bug."""


class InvalidFile(PhasedError):
    """An automations file has errors; `diagnostics` holds them all."""

    def __init__(self, file: str, diagnostics: Sequence[object]) -> None:
        super().__init__(f"cannot use {file}: it has {len(diagnostics)} error(s)")
        self.file = file
        self.diagnostics = tuple(diagnostics)


class FileUnreadable(PhasedError):
    """A file that was named, or is needed, is missing or cannot be read."""


class SettingsError(PhasedError):
    """A setting is unknown or has a value that it cannot have."""


class PlanError(PhasedError):
    """A plan cannot be made from what is defined."""


class CycleFound(PlanError):
    """Automations need each other in a circle; `cycle` begins and ends with the same reference."""

    def __init__(self, cycle: Sequence[str]) -> None:
        spelled = " -> ".join(cycle)
        super().__init__(f"cannot plan: dependsOn goes in a circle: {spelled}; remove one of these")
        self.cycle = tuple(cycle)


class UnknownReference(PlanError):
    """A reference names nothing that is defined."""

    def __init__(self, reference: str, *, near: Sequence[str], known: Sequence[str] | None = None) -> None:
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if not near and known is not None:
            hint = f"; there are: {', '.join(known) or 'none'}"
        super().__init__(f"cannot find a task {reference!r}{hint}")
        self.reference = reference
        self.near = tuple(near)


class IllegalTransition(PhasedError):
    """An event came that the state it met has no entry for; nothing was changed."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"cannot handle {event} in state {state}")
        self.state = state
        self.event = event


class StoreError(PhasedError):
    """The state cannot be read or written."""


class StaleVersion(StoreError):
    """A status was to be saved over one that is not the one it was made from."""

    def __init__(self, execution_id: str, expected: int, found: int | None) -> None:
        super().__init__(
            f"cannot save execution {execution_id}: its status is at {found}, not {expected}; read it again"
        )
        self.execution_id = execution_id
        self.expected = expected
        self.found = found


class StoreTooNew(StoreError):
    """The state was written by a newer version."""


class StoreUnreadable(StoreError):
    """The state file is no database, or is damaged; it is left as it is."""


class StoreFull(StoreError):
    """There is no room to write the state."""


class StateDirectoryHeld(PhasedError):
    """Another phased works on this state directory."""

    def __init__(self, directory: str, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"cannot use the state directory {directory}: {who} holds it; "
            "wait for it, or give another --state-dir"
        )
        self.directory = directory
        self.pid = pid


class RunnerError(PhasedError):
    """A step cannot be started; the message says why."""


class SupervisorLost(RunnerError):
    """The process that is the parent of all steps is gone or silent."""


class OutputRefused(PhasedError):
    """A step cannot set an output: its name or size is not allowed, or another one would hide it."""


class NotFound(PhasedError):
    """An environment, automation, execution, step or log that was asked for does not exist."""


class AlreadyExists(PhasedError):
    """Something is to be made whose name is taken."""


class FailedPrecondition(PhasedError):
    """It cannot be done as things stand; the message says what stands in the way."""


class KeyUnusable(FailedPrecondition):
    """The key of the secrets is missing, unsafe, or not the one that they were encrypted with."""


class InvalidArgument(PhasedError):
    """What was asked for makes no sense, whatever the state; the message names the field."""


class FellBehind(PhasedError):
    """More has changed than is kept for a reader that does not read: it has to look at everything anew."""


class CloneFailed(PhasedError):
    """A repository could not be copied into a workspace; the message says why, without its credentials."""


class Unauthenticated(PhasedError):
    """It is not known who asks: no token, or one that is wrong, expired or revoked."""


class PermissionDenied(PhasedError):
    """Who asks is known, and may not do this."""


class Unavailable(PhasedError):
    """It cannot be done now, and may work later: the daemon is ending."""


class Unreachable(PhasedError):
    """There is no daemon where one was looked for, it went away, or what answers is none."""


class Refused(PhasedError):
    """A daemon answered with an error; `code` is one of the contract's ErrorCode, the message its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unsupported(PhasedError):
    """This version cannot do it yet; the message says what it would need."""
