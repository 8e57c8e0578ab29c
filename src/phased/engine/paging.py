"""Lists in pages: where the next page begins, as a token that a client hands back unread.

Knows sort keys and ids. Must not know what is listed. A token says what the last entry was, not how many
there were, so entries that come or go meanwhile are neither skipped nor told twice.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from phased.errors import InvalidArgument

DEFAULT_SIZE: Final = 25
COUNTED_AT_MOST: Final = 10_000
"""Counts are exact up to here (`semantics: Sort, SortOrder, CountResponseRelation`)."""

T = TypeVar("T")
Key = tuple[int | str, str]
"""The value that is sorted by, and the id."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many entries (0: 25), and the token of the page before."""

    size: int = 0
    token: str = ""

    @property
    def limit(self) -> int:
        """How many entries at most."""
        return self.size if self.size > 0 else DEFAULT_SIZE


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; `next_token` is empty on the last."""

    entries: tuple[T, ...]
    next_token: str = ""
    count: int | None = None
    """How many there are on all pages, where that was asked for; at most COUNTED_AT_MOST."""
    count_is_exact: bool = True


def token_of(order: str, key: Key) -> str:
    """The token of what follows `key` in a list that is ordered so."""
    return urlsafe_b64encode(json.dumps([order, *key]).encode()).decode().rstrip("=")


def key_of(token: str, order: str) -> Key | None:
    """What a token says; None for the empty one. Raises InvalidArgument where it is of no such list."""
    if not token:
        return None
    try:
        found = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        its_order, value, identifier = found
    except (ValueError, TypeError) as error:
        raise _unknown_token() from error
    number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    if its_order != order or not (number or isinstance(value, str)) or not isinstance(identifier, str):
        raise _unknown_token()
    return value, identifier


def page_of(entries: Sequence[T], key: Callable[[T], Key], order: str, request: PageRequest) -> Page[T]:
    """A page of entries that are all at hand; they are sorted by `key`. Raises InvalidArgument."""
    after = key_of(request.token, order)
    try:
        following = sorted((one for one in entries if after is None or key(one) > after), key=key)
    except TypeError as error:  # the token's value is of another type than the keys
        raise _unknown_token() from error
    chosen = tuple(following[: request.limit])
    more = len(following) > len(chosen)
    return Page(chosen, token_of(order, key(chosen[-1])) if more else "")


def _unknown_token() -> InvalidArgument:
    return InvalidArgument("cannot use pagination.token: it is of no page of this list; ask without it")
