"""What is hidden, whatever the blocks are that it comes in."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phased.access.masking import SHORTEST, Masker
from phased.logs.reading import read

ALPHABET = st.text("abc\n", max_size=12)
VALUES = st.lists(ALPHABET, max_size=4)


def in_pieces(masker: Masker, text: bytes, cuts: list[int]) -> bytes:
    """What comes out where the text goes in in pieces."""
    masked = masker.reading()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    out = [masked.feed(text[a:b]) for a, b in pairwise(edges)]
    return b"".join([*out, masked.end()])


def by_hand(values: list[str], text: bytes) -> bytes:
    """The rule itself, byte by byte."""
    parts = {
        part for value in values for part in (value, value.strip("\r\n"), *map(str.strip, value.split("\n")))
    }
    out = bytearray(text)
    for needle in (part.encode() for part in parts if len(part) >= SHORTEST):
        for at in range(len(text)):
            if text.startswith(needle, at):
                out[at : at + len(needle)] = b"*" * len(needle)
    return bytes(out)


@example(["aaaa"], "aaaa", [4])
@given(VALUES, st.text("abc\nd", max_size=60), st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=100, deadline=None)
def test_every_occurrence_is_hidden_however_it_is_cut(values: list[str], text: str, cuts: list[int]) -> None:
    """Overlaps, several lines, values within values, and any cut between two reads."""
    masker = Masker(values)
    expected = by_hand(values, text.encode())
    assert masker.bytes(text.encode()) == expected
    assert in_pieces(masker, text.encode(), cuts) == expected
    assert in_pieces(masker, text.encode(), list(range(len(text)))) == expected


@given(VALUES, st.text("abc\n", max_size=60), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_range_looks_as_it_does_in_the_whole(values: list[str], text: str, one: int, other: int) -> None:
    """Read with the margin around it, a range shows the same bytes."""
    raw = text.encode()
    start, stop = sorted((min(one, len(raw)), min(other, len(raw))))
    masker = Masker(values)
    before = max(0, start - masker.margin)
    masked = masker.reading(skip=start - before, length=stop - start)
    shown = masked.feed(raw[before : stop + masker.margin]) + masked.end()
    assert shown == masker.bytes(raw)[start:stop]


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("hunter22", "x hunter22 y", "x ******** y"),
        ("abc", "abcabc", "abcabc"),
        ("gęś1", "-gęś1-", "-******-"),
        ("first line\nsecond\n", "say: first line\r\n\tsecond!", "say: **********\r\n\t******!"),
        ("aaaa", "aaaaaaa b", "******* b"),
        ("pass*word", "pass*word", "*********"),
        ("", "nothing", "nothing"),
    ],
)
def test_what_is_hidden(value: str, text: str, shown: str) -> None:
    """Byte for byte; values of fewer than four characters are not hidden."""
    assert Masker([value]).text(text) == shown


def test_what_cannot_begin_a_value_is_shown_at_once() -> None:
    """A prompt is seen before its line ends; only the possible beginning of a value waits."""
    masked = Masker(["secret-value"]).reading()
    assert masked.feed(b"Password: ") == b"Password: "
    assert masked.feed(b"see secr") == b"see "
    assert masked.feed(b"et") == b""
    assert masked.feed(b"s of") == b"secrets of"
    assert masked.feed(b"secret-value") == b"************"
    assert masked.end() == b""


def test_it_does_not_tell_what_it_hides() -> None:
    """Not by its repr."""
    masker = Masker(["hunter22"])
    assert "hunter" not in repr(masker)
    assert masker
    assert not Masker(["a"])


@pytest.mark.anyio
async def test_a_log_is_read_through_it(tmp_path: Path) -> None:
    """It is a Transform of the readers of logs, at the edges of their blocks too."""
    log = tmp_path / "step.log"
    value = "s3cr3t-" * 20
    text = ("." * 65500 + value) * 3
    log.write_text(text)
    masker = Masker([value])
    shown = b"".join([block async for block in read(log, transform=masker.reading())])
    assert len(shown) == len(text)
    assert shown == ("." * 65500 + "*" * len(value)).encode() * 3
