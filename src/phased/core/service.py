"""One service as a machine: events in, instructions out. The only door for change is `handle`.

Knows the policy and what has happened, all of it in one frozen record. Must not know commands, stores or
clocks: the time comes with each event, as a pair of wall and boot clock.

    receive -> handle(event, now) -> change(now) is saved -> the instructions are performed
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from phased.contract.service import ServicePhase as Phase
from phased.core import service_events as e
from phased.core import service_instructions as i
from phased.core.causes import exit_cause, seconds, stamp
from phased.core.events import Instant
from phased.core.service_phases import ENDING, LEADING, RESTING, Decided, next_state
from phased.core.service_phases import ServiceState as S
from phased.core.service_policy import ServicePolicy
from phased.core.service_rules import check, is_late, outstanding
from phased.core.service_status import ServiceChange, ServiceProgress
from phased.core.versions import next_version
from phased.errors import IllegalTransition

Instructions = list[i.ServiceInstruction]
_CANNOT_RUN = {126: "it is not executable", 127: "the command was not found"}
"""What a shell says by these exit codes (POSIX, Shell Command Language, 2.8.2)."""
_SURVIVED = "processes of it are left that SIGKILL does not end"
_UNREPORTED = "it was being started, and whether it runs was not reported"


class ServiceMachine:
    """The state of one service. Not safe to share: one driver owns it."""

    def __init__(self, service_id: str, policy: ServicePolicy) -> None:
        """It was never started."""
        self.service_id = service_id
        self.policy = policy
        """Of what runs, or ran last."""
        self.newest = policy
        """Of what the next start uses."""
        self.progress = ServiceProgress()
        self.version = 0

    @classmethod
    def restore(
        cls, service_id: str, policy: ServicePolicy, newest: ServicePolicy, change: ServiceChange
    ) -> ServiceMachine:
        """The machine that handed out this change, which is the newest that is saved.

        `policy` is of the definition that runs, `newest` of the one that the next start uses.
        """
        machine = cls(service_id, policy)
        machine.newest, machine.progress, machine.version = newest, change.progress, change.version
        return machine

    # ---- what it says ----------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """What the outside sees."""
        return self.progress.phase

    def change(self, now: Instant) -> ServiceChange:
        """The status as it is now, with a version of its own."""
        expected = self.version
        self.version = next_version(expected, now.wall)
        return ServiceChange(self.service_id, expected, self.version, self.progress)

    def resume(self) -> Instructions:
        """What a restored machine waits for, to be performed once more: reminders, needs, ends.

        What became of runs is not asked for here: that comes as their events.
        """
        return outstanding(self.progress)

    # ---- the only door for change ----------------------------------------------------------------

    def handle(self, event: e.ServiceEvent, now: Instant) -> Instructions:
        """Advance by one event; what is to be done about it, in order.

        What comes late (of an earlier run, a deadline that does not count any more) is no error and
        changes nothing. Raises IllegalTransition for an event that cannot happen in this state; then
        nothing has changed.
        """
        before = self.progress, self.policy, self.newest
        try:
            return [] if is_late(self.progress, event) else self._handle(event, now)
        except IllegalTransition:
            self.progress, self.policy, self.newest = before
            raise

    def _handle(self, event: e.ServiceEvent, now: Instant) -> Instructions:  # noqa: C901, PLR0911, PLR0912 - one arm an event
        match event:
            case e.StartRequested():
                return self._start(event, now)
            case e.StopRequested() | e.KillRequested() | e.DeleteRequested():
                return self._ask(event, now)
            case e.DefinitionChanged():
                return self._define(event)
            case e.OutputRecorded():
                return self._record(event)
            case e.NeedsMet():
                return self._due()
            case e.NeedFailed():
                return self._rest(e.Failed(), now, cause=event.cause)
            case e.CommandEvent():
                return self._command(event, now)
            case e.ReadyEvent():
                return self._tried(event, now)
            case e.StopCommandEvent():
                return self._halted(event, now)
            case e.Emptied():
                return self._due() if self.progress.state is S.CLEARING else self._conclude(now)
            case e.ReadyDue():
                return self._try()
            case e.RestartDue():
                return self._clear(now)
            case e.ReadinessTimedOut():
                return self._expire(now)
            case e.LimitReached():
                return self._limit_reached(event, now)
        assert_never(event)

    def _move(self, event: Decided, **changes: Any) -> None:  # noqa: ANN401 - fields of ServiceProgress
        """Nothing sets the state but this, by the table."""
        self.progress = replace(self.progress, state=next_state(self.progress.state, event), **changes)

    # ---- starting --------------------------------------------------------------------------------

    def _start(self, event: e.StartRequested, now: Instant) -> Instructions:
        p = self.progress
        if p.desired is Phase.DELETED:
            return []
        if p.state in ENDING:
            if p.again:
                return []
            self.progress = replace(
                p, desired=Phase.RUNNING, again=True, wanted_session=event.session, needs_met=event.needs_met
            )
            return []
        if p.state not in RESTING and p.state is not S.BACKING_OFF:
            return []
        self.progress = replace(p, wanted_session=event.session, needs_met=event.needs_met)
        return self._begin(now)

    def _begin(self, now: Instant) -> Instructions:
        """A new session, with the newest definition; what earlier ones left behind is cleared first."""
        p = self.progress
        self.policy = self.newest
        fresh = ServiceProgress(
            state=p.state, desired=Phase.RUNNING, session=p.wanted_session, wanted_session=p.wanted_session,
            emptying=p.session, needs_met=p.needs_met,
        )  # fmt: skip
        self.progress = fresh
        return self._clear(now)

    def _clear(self, now: Instant) -> Instructions:
        p = self.progress
        if not p.emptying:
            return self._due()
        limit = now.boot + self.policy.limits.clear_timeout
        self._move(e.ClearingBegun(), limit_at=limit, due_at=None, killed=False)
        return [i.AskToEnd(p.emptying), i.AwaitEmpty(p.emptying), i.RemindOfLimit(limit)]

    def _due(self) -> Instructions:
        """Nothing of earlier runs is left. What it needs was seen to before the first attempt."""
        p = self.progress
        if p.state is not S.NEEDING and p.attempt == 0 and self.policy.has_needs and not p.needs_met:
            self._move(e.NeedsAsked(), emptying="", limit_at=None, killed=False)
            return [i.AskForNeeds(p.session)]
        self._move(e.CommandDue(), attempt=p.attempt + 1, emptying="", limit_at=None, killed=False)
        return [i.StartCommand(self.progress.command_run)]

    def _command(self, event: e.CommandEvent, now: Instant) -> Instructions:
        match event:
            case e.CommandStarted():
                return self._started(now)
            case e.CommandRefused():
                self._expect(S.STARTING, S.CANCELLING, event=event)
                return self._leader_ended(now, f"could not start: {event.cause}")
            case e.CommandLost():
                return self._leader_ended(now, event.cause)
            case e.CommandSucceeded():
                self._expect(*LEADING - {S.STARTING, S.CANCELLING}, event=event)
                return self._leader_ended(now, None, code=0)
            case e.CommandFailed():
                self._expect(*LEADING - {S.STARTING, S.CANCELLING}, event=event)
                cause = exit_cause(event.code, event.signal)
                return self._leader_ended(now, cause, code=event.code, signal=event.signal)
        raise IllegalTransition(self.progress.state.value, type(event).__name__)

    def _expect(self, *states: S, event: e.ServiceEvent) -> None:
        if self.progress.state not in states:
            raise IllegalTransition(self.progress.state.value, type(event).__name__)

    def _started(self, now: Instant) -> Instructions:
        p = self.progress
        self._expect(S.STARTING, S.CANCELLING, event=e.CommandStarted(p.command_run))
        self.progress = p = replace(p, started_at=p.started_at or now.wall)
        if p.state is S.CANCELLING:
            return self._kill(now) if p.killed else self._end(now)
        if not self.policy.has_ready:
            return self._become_ready(now)
        timeout = self.policy.readiness_timeout
        expires = now.boot + timeout if timeout else None
        self.progress = replace(p, expires_at=expires)
        return [*self._try(), *([i.RemindOfReadiness(expires)] if expires is not None else [])]

    def _become_ready(self, now: Instant) -> Instructions:
        self._move(
            e.BecameReady(), cause=None, ready_at=now.wall, ready_since=now.boot, due_at=None, expires_at=None
        )
        return []

    # ---- ready tries -----------------------------------------------------------------------------

    def _try(self) -> Instructions:
        self._move(e.TryDue(), tries=self.progress.tries + 1, due_at=None)
        return [i.StartReady(self.progress.ready_run)]

    def _tried(self, event: e.ReadyEvent, now: Instant) -> Instructions:
        match event:
            case e.ReadySucceeded():
                self.progress = replace(self.progress, last_try="exit code 0")
                return self._become_ready(now)
            case e.ReadyFailed():
                ended = exit_cause(event.code, event.signal)
                because = _CANNOT_RUN.get(event.code or 0)
                problem = f"{ended}: {because}" if because else None
            case e.ReadyRefused():
                problem = ended = event.cause
            case _:
                raise IllegalTransition(self.progress.state.value, type(event).__name__)
        due = now.boot + self.policy.limits.ready_interval
        cause = f"the ready command cannot run: {problem}" if problem else None
        self._move(event, last_try=problem or ended, cause=cause, due_at=due)
        return [i.RemindOfReady(due)]

    def _expire(self, now: Instant) -> Instructions:
        p = self.progress
        cause = f"not ready within {seconds(self.policy.readiness_timeout or 0.0)}"
        if p.last_try:
            cause += f"; the last try of the ready command: {p.last_try}"
        self.progress = replace(p, cause=cause)
        return self._end(now)

    # ---- the leader's end ------------------------------------------------------------------------

    def _leader_ended(
        self, now: Instant, cause: str | None, *, code: int | None = None, signal: int | None = None
    ) -> Instructions:
        p = self.progress
        self.progress = replace(p, code=code, signal=signal)
        if p.state is S.HALTING:
            self._move(e.LeaderEnded())
            return []
        if p.state in ENDING:
            return self._empty(now)
        probe: Instructions = [i.KillRun(p.ready_run)] if p.state is S.PROBING else []
        return [*probe, *self._over(now, cause)]

    def _over(self, now: Instant, cause: str | None) -> Instructions:
        """An attempt has ended without being asked to: again, or rest."""
        p, policy = self.progress, self.policy
        stable = p.ready_since is not None and now.boot - p.ready_since >= policy.limits.stable_after
        restarts = 0 if stable else p.restarts
        if not policy.wants_restart(failed=cause is not None):
            return self._rest(e.Failed() if cause else e.Stopped(), now, cause=cause)
        ended = cause or "exit code 0"
        if not policy.allows_restart(restarts):
            cause = f"the limit of restarts was reached ({policy.restart_limit}): {ended}"
            return self._rest(e.Failed(), now, cause=cause)
        due = now.boot + policy.pause(restarts)
        self._move(
            e.RestartGranted(), restarts=restarts + 1, cause=cause, emptying=p.session, killed=False,
            why=f"restart {restarts + 1} after: {ended}", due_at=due, expires_at=None, limit_at=None,
            ready_since=None,
        )  # fmt: skip
        return [i.RemindOfRestart(due)]

    def _rest(self, event: e.Stopped | e.Failed, now: Instant, *, cause: str | None) -> Instructions:
        """It is over. What outlives the leader stays, until a stop, a start or a deletion."""
        needing = self.progress.state is S.NEEDING
        self._move(
            event, cause=cause, completed_at=now.wall, due_at=None, expires_at=None, limit_at=None,
            ready_since=None, killed=False, emptying="", again=False,
        )  # fmt: skip
        return [i.ReleaseNeeds(self.progress.session)] if needing else []

    # ---- ending ----------------------------------------------------------------------------------

    def _ask(
        self, event: e.StopRequested | e.KillRequested | e.DeleteRequested, now: Instant
    ) -> Instructions:
        p = self.progress
        deletion = isinstance(event, e.DeleteRequested)
        desired = Phase.DELETED if deletion or p.desired is Phase.DELETED else Phase.STOPPED
        ending = p.state in ENDING
        asked = f"{'deleted' if deletion else 'stopped'} by {event.by} at {stamp(now.wall)}"
        why = p.why if p.state in RESTING else asked
        cause = p.cause if ending or p.state in RESTING else None
        self.progress = replace(
            p, desired=desired, again=False, why=why, cause=cause, wanted_session=p.session
        )
        if isinstance(event, e.DeleteRequested) and event.force:
            return self._remove(now)
        if isinstance(event, e.KillRequested):
            return self._hurry(now)
        return [] if ending else self._begin_end(now)

    def _begin_end(self, now: Instant) -> Instructions:
        p = self.progress
        match p.state:
            case S.STOPPED | S.FAILED:
                if p.desired is Phase.DELETED:
                    return self._sweep(now, p.session) if p.session else self._remove(now)
                return [i.EndLeftovers(p.session, self.policy.limits.clear_timeout)] if p.session else []
            case S.NEEDING:
                deletion = p.desired is Phase.DELETED
                return self._remove(now) if deletion else self._rest(e.Stopped(), now, cause=None)
            case S.BACKING_OFF | S.CLEARING:
                return self._sweep(now, p.emptying)
            case S.STARTING:
                self._move(e.CancelBegun())
                return self._bound(now, self.policy.limits.stop_timeout)
            case _:
                return self._end(now)

    def _end(self, now: Instant) -> Instructions:
        """With the stop command, or SIGTERM; a ready try that is under way is of no use any more."""
        p, limits = self.progress, self.policy.limits
        probe: Instructions = [i.KillRun(p.ready_run)] if p.state is S.PROBING else []
        limit = now.boot + (limits.stop_command_timeout if self.policy.has_stop else limits.stop_timeout)
        decision = e.HaltBegun() if self.policy.has_stop else e.EndBegun()
        self._move(decision, limit_at=limit, due_at=None, expires_at=None)
        first = i.StartStop(p.stop_run) if self.policy.has_stop else i.AskToEnd(p.session)
        return [*probe, first, i.RemindOfLimit(limit)]

    def _halted(self, event: e.StopCommandEvent, now: Instant) -> Instructions:
        """The stop command has ended: what is left of the service is killed (`semantics: Services`)."""
        failed = None
        match event:
            case e.StopCommandFailed():
                failed = f"the stop command failed: {exit_cause(event.code, event.signal)}"
            case e.StopCommandRefused():
                failed = f"the stop command failed: {event.cause}"
            case _:
                pass
        self.progress = replace(self.progress, cause=self.progress.cause or failed)
        return self._kill(now)

    def _kill(self, now: Instant) -> Instructions:
        """SIGKILL to all that is left; then its leader's end is awaited, or only emptiness."""
        p = self.progress
        limit = now.boot + self.policy.limits.kill_timeout
        leaderless = p.state in {S.FINISHING, S.EMPTYING, S.CLEARING}
        session = p.emptying if p.state in {S.EMPTYING, S.CLEARING} else p.session
        if p.state is S.FINISHING:
            self._move(e.EmptyingBegun(), emptying=session)
        elif not leaderless and p.state is not S.KILLING:
            self._move(e.KillBegun(), due_at=None, expires_at=None)
        self.progress = replace(self.progress, limit_at=limit, killed=True)
        wait: Instructions = [i.AwaitEmpty(session)] if p.state is S.FINISHING else []
        probe: Instructions = [i.KillRun(p.ready_run)] if p.state is S.PROBING else []
        return [*probe, i.KillSession(session), *wait, i.RemindOfLimit(limit)]

    def _empty(self, now: Instant) -> Instructions:
        """The leader is gone; the limit that was set for it goes on for the rest."""
        p = self.progress
        if p.state is S.CANCELLING:
            return self._sweep(now, p.session)
        self._move(e.EmptyingBegun(), emptying=p.session)
        return [i.AwaitEmpty(p.session)]

    def _sweep(self, now: Instant, session: str) -> Instructions:
        """There is no leader; what is left of a session ends."""
        limit = now.boot + self.policy.limits.clear_timeout
        self._move(e.EmptyingBegun(), emptying=session, limit_at=limit, due_at=None, killed=False)
        return [i.AskToEnd(session), i.AwaitEmpty(session), i.RemindOfLimit(limit)]

    def _hurry(self, now: Instant) -> Instructions:
        p = self.progress
        match p.state:
            case S.STARTING | S.CANCELLING:
                if p.state is S.STARTING:
                    self._move(e.CancelBegun())
                self.progress = replace(self.progress, killed=True)
                return self._bound(now, self.policy.limits.kill_timeout)
            case S.STOPPED | S.FAILED | S.NEEDING | S.BACKING_OFF | S.CLEARING:
                begun = self._begin_end(now)
                return [*begun, *self._kill(now)] if self.progress.state is S.EMPTYING else begun
            case _:
                return self._kill(now)

    def _bound(self, now: Instant, patience: float) -> Instructions:
        """Whether it runs is still to be reported; that is not awaited for ever."""
        limit = now.boot + patience
        self.progress = replace(self.progress, limit_at=limit)
        return [i.RemindOfLimit(limit)]

    def _limit_reached(self, event: e.LimitReached, now: Instant) -> Instructions:
        p = self.progress
        if p.killed and p.desired is Phase.DELETED:
            return self._remove(now)
        if p.killed and p.state is S.CANCELLING:
            rest = self._rest(e.Failed(), now, cause=_UNREPORTED)
            return [*rest, i.EndLeftovers(p.session, 0.0)]
        if p.killed:
            survived = event.left or _SURVIVED
            return self._rest(e.Failed(), now, cause=f"{p.cause}; {survived}" if p.cause else survived)
        if p.state is S.CANCELLING:
            return self._hurry(now)
        late = None
        if p.state in {S.HALTING, S.FINISHING}:
            timeout = seconds(self.policy.limits.stop_command_timeout)
            late = f"the stop command did not end within {timeout} and was killed"
        elif p.state is S.STOPPING:
            why = f"it did not stop within {seconds(self.policy.limits.stop_timeout)} and was killed"
            self.progress = replace(p, why=f"{p.why}; {why}" if p.why else why)
        self.progress = replace(self.progress, cause=p.cause or late)
        return self._kill(now)

    def _conclude(self, now: Instant) -> Instructions:
        """Nothing of it is left."""
        p = self.progress
        if p.desired is Phase.DELETED:
            return self._remove(now)
        if not p.again and p.desired is Phase.RUNNING:
            return self._over(now, p.cause)
        instructions = self._rest(e.Failed() if p.cause else e.Stopped(), now, cause=p.cause)
        return [*instructions, *self._begin(now)] if p.again else instructions

    def _remove(self, now: Instant) -> Instructions:
        """It is no more; what still lives of it is killed unattended."""
        p = self.progress
        sessions = dict.fromkeys(session for session in (p.session, p.emptying) if session)
        needing = [i.ReleaseNeeds(p.session)] if p.state is S.NEEDING else []
        self._move(
            e.Deleted(), completed_at=now.wall, due_at=None, expires_at=None, limit_at=None, ready_since=None,
            emptying="",
        )  # fmt: skip
        return [*needing, *(i.EndLeftovers(session, 0.0) for session in sessions), i.Remove()]

    # ---- the rest --------------------------------------------------------------------------------

    def _define(self, event: e.DefinitionChanged) -> Instructions:
        self.newest = event.policy
        resting = self.progress.state in RESTING
        if resting:
            self.policy = event.policy
        self.progress = replace(self.progress, outdated=event.differs and not resting)
        return []

    def _record(self, event: e.OutputRecorded) -> Instructions:
        merged = {**self.progress.output, **event.output}
        output = {key: value for key, value in merged.items() if value}
        if output != self.progress.output:
            self.progress = replace(self.progress, output=output)
        return []

    def check(self) -> None:
        """Raise AssertionError where the parts of the state contradict each other."""
        check(self.progress)
