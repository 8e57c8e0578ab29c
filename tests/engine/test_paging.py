"""Pages: everything once, in order, whatever comes or goes meanwhile."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.engine.paging import PageRequest, key_of, page_of, token_of
from phased.errors import InvalidArgument

Entry = tuple[int, str]


def key(entry: Entry) -> Entry:
    """What it is sorted by."""
    return entry


entries = st.sets(st.tuples(st.integers(0, 5), st.sampled_from("abcdefgh")), max_size=30)


@settings(max_examples=60, deadline=None)
@given(entries, st.integers(1, 7))
def test_pages_hold_everything_once_in_order(given_entries: set[Entry], size: int) -> None:
    """Ties too; the last page has no token."""
    found: list[Entry] = []
    token = ""
    for _ in range(40):
        page = page_of(list(given_entries), key, "order", PageRequest(size, token))
        found += page.entries
        token = page.next_token
        if not token:
            break
    assert found == sorted(given_entries)


def test_what_goes_meanwhile_makes_no_hole() -> None:
    """Not even the entry that the token names."""
    whole = [(number, "a") for number in range(6)]
    first = page_of(whole, key, "order", PageRequest(2))
    rest = page_of(whole[:1] + whole[2:], key, "order", PageRequest(10, first.next_token))
    assert list(rest.entries) == whole[2:]


def test_a_page_has_25_entries_unless_told() -> None:
    """The API's default."""
    assert len(page_of([(number, "a") for number in range(100)], key, "order", PageRequest()).entries) == 25


@pytest.mark.parametrize(
    "token",
    [
        "nonsense!", "e30", "bnVsbA", "ÿ", "a" * 5000,
        base64.urlsafe_b64encode(json.dumps(["order", [1], "a"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["order", True, "a"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["order", 1 << 70, "a"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["order", 1, 2]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["order", "text", "a"]).encode()).decode(),
        token_of("another", (1, "a")),
    ],
)  # fmt: skip
def test_a_token_of_no_page_is_refused(token: str) -> None:
    """Whatever it holds."""
    with pytest.raises(InvalidArgument, match=r"pagination\.token"):
        page_of([(1, "a")], key, "order", PageRequest(2, token))


def test_a_token_says_what_it_was_made_of() -> None:
    """And the empty one nothing."""
    assert key_of(token_of("order", ("text", "id")), "order") == ("text", "id")
    assert key_of("", "order") is None
