"""Sessions: a code becomes a token, the token a cookie; and who shows it.

Knows tokens, codes and cookies. Must not know pages. Neither code nor token is ever logged or shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.requests import cookie_parser
from starlette.responses import Response

from phased.access.tokens import PREFIX
from phased.errors import Unauthenticated
from phased.web.headers import header

if TYPE_CHECKING:
    from starlette.types import Scope

    from phased.access.callers import Caller
    from phased.api.gate import Listener
    from phased.api.house import House

LASTS: Final = 12 * 3600
"""Seconds."""
DESCRIPTION: Final = "web page"


@dataclass(frozen=True, slots=True)
class Sessions:
    """All of a listener: cookies know no ports, so each daemon's has a name of its own."""

    house: House
    listener: Listener

    @property
    def cookie(self) -> str:
        """Its name."""
        return f"phased-{urlsplit(self.listener.origin).port}"

    def caller(self, scope: Scope) -> Caller:
        """Who asks. Raises Unauthenticated, PermissionDenied (a suspended user)."""
        token = self._token(scope)
        if not token.startswith(PREFIX):
            raise Unauthenticated("cannot say who you are: you are not logged in; run: phased web")
        return self.house.access.of_token(token)

    def has_cookie(self, scope: Scope) -> bool:
        """Whether the browser sent one, good or not."""
        return bool(self._token(scope))

    async def log_in(self, code: str, answer: Response) -> bool:
        """Let `answer` begin a session; False where the code is unknown, used or too old.

        Raises PermissionDenied where who made it may less by now; StoreError.
        """
        logins = self.house.web_logins
        login = logins.redeem(code) if logins is not None else None
        if login is None or not self.house.access.serves(login.maker):
            return False
        _, token = await self.house.tokens.create(
            login.maker, login.roles, login.environment_id, LASTS, description=DESCRIPTION
        )
        answer.set_cookie(
            self.cookie, token, max_age=LASTS, path="/web", httponly=True, samesite="strict",
            secure=self.listener.origin.startswith("https:"),
        )  # fmt: skip
        return True

    async def log_out(self, scope: Scope, answer: Response) -> None:
        """End the session: its token is refused from now on. Raises StoreError."""
        answer.delete_cookie(
            self.cookie, path="/web", httponly=True, samesite="strict",
            secure=self.listener.origin.startswith("https:"),
        )  # fmt: skip
        try:
            caller = self.caller(scope)
        except Unauthenticated:
            return
        if caller.token_id is not None and caller.within is not None:
            await self.house.tokens.revoke(caller.token_id, caller.within)

    def _token(self, scope: Scope) -> str:
        return cookie_parser(header(scope, b"cookie")).get(self.cookie, "")
