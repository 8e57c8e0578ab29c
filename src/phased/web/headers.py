"""What every answer of the pages says to a browser, and what a request must say to come from one of them.

Knows HTTP headers. Must not know pages or callers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode

if TYPE_CHECKING:
    from starlette.types import Message as Event
    from starlette.types import Scope, Send

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, forms would send `Origin: null`
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_STORED_NOWHERE: Final = (b"cache-control", b"no-store")


class Secured:
    """Sends answers with these headers."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, event: Event) -> None:
        """Pass on; what the answer says itself of one of these headers counts."""
        if event["type"] == "http.response.start":
            given = {name.lower() for name, _ in event["headers"]}
            more = [pair for pair in (*SECURITY, _STORED_NOWHERE) if pair[0] not in given]
            event = {**event, "headers": [*event["headers"], *more]}
        self.begun = True
        await self._send(event)


def header(scope: Scope, name: bytes) -> str:
    """The first header of a name; "" where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def is_navigation(scope: Scope) -> bool:
    """Whether a browser opens it as a page, as far as it says (Fetch Metadata)."""
    return header(scope, b"sec-fetch-mode") in {"", "navigate"}


def is_from_elsewhere(scope: Scope) -> bool:
    """Whether a page of another origin asks, as far as the browser says."""
    return header(scope, b"sec-fetch-site") in {"cross-site", "same-site"}


def check_reader(scope: Scope) -> None:
    """A page of another origin may lead here, and not read. Raises Refusal."""
    if is_from_elsewhere(scope) and not is_navigation(scope):
        raise Refusal(ErrorCode.PERMISSION_DENIED, "cannot answer a page of another origin")


def check_actor(scope: Scope) -> None:
    """What changes something comes from our own pages. Raises Refusal.

    Browsers send Origin with every POST, and it was compared with ours (`api.gate`); those that tell where a
    request is from have to say the same.
    """
    site = header(scope, b"sec-fetch-site")
    if not header(scope, b"origin") or site not in {"", "same-origin"}:
        raise Refusal(
            ErrorCode.PERMISSION_DENIED, "cannot do this: it does not come from a page of this daemon"
        )
