"""Pages as messages: from a request's `pagination` to the engine's, and back.

Knows both vocabularies. Must not know what is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from phased.contract.count import CountRequest, CountResponse, CountResponseRelation
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.engine.paging import COUNTED_AT_MOST, Key, Page, PageRequest, page_of

T = TypeVar("T")


def asked(pagination: PaginationRequest | None) -> PageRequest:
    """The page that is asked for."""
    if pagination is None:
        return PageRequest()
    return PageRequest(pagination.page_size or 0, pagination.token or "")


def told(page: Page[T]) -> PaginationResponse:
    """How the next page is asked for; empty on the last."""
    return PaginationResponse.model_construct(next_token=page.next_token or None)


def listed(
    entries: Iterable[T], key: Callable[[T], Key], order: str, pagination: PaginationRequest | None
) -> Page[T]:
    """A page of what is all at hand. Raises InvalidArgument."""
    return page_of(list(entries), key, order, asked(pagination))


def lowered(ids: Iterable[str]) -> frozenset[str]:
    """Ids as they are kept: a UUID may be written in capitals."""
    return frozenset(one.lower() for one in ids)


def counted(request: CountRequest | None, entries: Sequence[object]) -> CountResponse | None:
    """How many there are, where that is asked for."""
    if request is None or not request.include:
        return None
    return count_of(len(entries), exact=len(entries) <= COUNTED_AT_MOST)


def count_of(number: int, *, exact: bool) -> CountResponse:
    """A count: exact, or a lower bound beyond what is counted."""
    relation = CountResponseRelation.EQ if exact else CountResponseRelation.GTE
    return CountResponse.model_construct(value=min(number, COUNTED_AT_MOST), relation=relation)
