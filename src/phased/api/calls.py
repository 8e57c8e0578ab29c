"""One request on its way: who asks, over which listener, and what stands beside the message.

Knows callers and routes. Must not know HTTP beyond the query, nor any handler.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from phased.contract.base import Message
from phased.contract.resource import ResourceRole, ResourceType
from phased.contract.subject import Principal
from phased.engine.engine import Origin

if TYPE_CHECKING:
    from phased.access.callers import Caller
    from phased.api.house import House


class Effect(Enum):
    """What a method does to the state, and so whether it may be sent twice."""

    READS = "reads"
    REPEATABLE = "repeatable"
    """Twice is as good as once."""
    ACTS = "acts"
    """Twice does it twice: its errors tell clients not to retry (`wire-api`, rule 6)."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler knows beside the message."""

    house: House
    caller: Caller
    origin: str
    """How the daemon was reached: `http://localhost`, `https://127.0.0.1:7000`."""
    query: Mapping[str, str]

    def allowed(
        self, resource: ResourceType, roles: frozenset[ResourceRole], what: str, *, logs: bool = False
    ) -> Call:
        """The call, of a caller who may ask for this somewhere; `see` holds environments to the same roles.

        Raises PermissionDenied.
        """
        return replace(self, caller=self.caller.allow(resource, roles, what, logs=logs))

    def see(self, environment_id: str, what: str) -> None:
        """Raises NotFound where the caller cannot look into it, PermissionDenied where only that."""
        self.caller.see(environment_id, what)

    def sees(self, environment_id: str) -> bool:
        """Whether what is in that environment is listed."""
        return self.caller.holds(self.caller.asked, environment_id)

    def started_by(self, trigger: str = "manual") -> Origin:
        """Who makes or starts something, for its record."""
        subject = self.caller.subject
        return Origin(trigger, subject.id or "", (subject.principal or Principal.USER).value)

    @property
    def name(self) -> str:
        """Who asks, for people: `user 4f1c...`."""
        kind = (self.caller.subject.principal or Principal.USER).name.lower()
        return f"{kind} {self.caller.subject.id}"


Handler = Callable[[Call, Any], Awaitable[Message]]
Streamer = Callable[[Call, Any], AsyncGenerator[Message, None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method: what answers it, and who may ask."""

    service: str
    method: str
    handler: Handler | Streamer
    request: type[Message]
    response: type[Message]
    resource: ResourceType
    roles: frozenset[ResourceRole]
    """Those that suffice."""
    effect: Effect
    streams: bool = False

    @property
    def path(self) -> str:
        """As it is asked for: `/gitpod.v1.EventService/WatchEvents`."""
        return f"/{self.service}/{self.method}"


CURRENT: Final[ContextVar[Call]] = ContextVar("call")
"""The call that this task answers; the Connect runtime hands handlers its own context alone."""
