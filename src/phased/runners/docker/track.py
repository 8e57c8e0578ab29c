"""What one engine knows of a container that is not removed. Pure bookkeeping."""

from __future__ import annotations

from phased.ports import RunRequest
from phased.runners.docker.asking import Container
from phased.runners.docker.records import Record


class Track:
    """One container that is not removed."""

    __slots__ = (
        "asked",
        "container",
        "empty",
        "ended",
        "followed",
        "following",
        "record",
        "request",
        "started",
        "starts",
        "tailed",
        "unmade_until",
    )

    def __init__(self, record: Record, request: RunRequest | None = None) -> None:
        """Nothing has been told of it."""
        self.record = record
        self.request = request
        """The client's, to make it once more; None where nobody could tell whether it had been made."""
        self.followed = False
        """Whether the engine wants reports of it."""
        self.started = False
        self.asked = 0
        """The newest signal that it was sent."""
        self.container: Container | None = None
        """As it was when it was last seen running."""
        self.starts = 0
        """How many clients were sent to make it, or to start it, once more."""
        self.tailed = False
        """Whether its log is whole, or has been completed."""
        self.following = record.was_made
        """Whether the newest client reads the engine's log, and so ends with 0 however the container ends."""
        self.unmade_until = 0.0
        """Until when, by the boot clock, the engine may still make it, though its client is gone."""
        self.ended = False
        self.empty = False
        """Whether nothing of it is left for certain."""
