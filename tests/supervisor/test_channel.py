"""Messages over a socket pair: whole, in order, with descriptors, and never blocking."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from phased.supervisor.channel import Channel

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends of a connection."""
    ends = [Channel(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]
    yield ends[0], ends[1]
    for end in ends:
        end.close()


def _receive(channel: Channel, other: Channel, count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while len(found) < count and not channel.closed:
        other.flush()
        found += channel.receive()
    return found


def test_messages_come_whole_and_in_order(pair: Pair) -> None:
    """Larger than any socket buffer, to a reader that reads only later."""
    here, there = pair
    messages = [{"n": n, "text": "ü\n" * 20_000} for n in range(50)]
    for message in messages:
        here.send(message)
    assert here.backlog > 0, "what does not fit is kept, and nobody waits"
    assert _receive(there, here, 50) == messages
    assert here.backlog == 0


def test_descriptors_come_with_their_messages(pair: Pair) -> None:
    """Also those that had to wait, whose originals were closed meanwhile."""
    here, there = pair
    for number in range(40):
        read, write = os.pipe()
        os.write(write, str(number).encode())
        here.send({"n": number, "filler": "x" * 50_000}, [read])
        os.close(read)
        os.close(write)
    for message in _receive(there, here, 40):
        descriptor = there.take_descriptor()
        assert descriptor is not None
        assert os.read(descriptor, 10) == str(message["n"]).encode()
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert there.take_descriptor() is None


def test_nonsense_closes(pair: Pair) -> None:
    """It is no message, so nothing that follows can be trusted."""
    here, there = pair
    here.socket.send(b'{"a": 1}\nnonsense\n')
    assert there.receive() == []
    assert there.closed


def test_a_lost_end_is_noticed(pair: Pair) -> None:
    """What came before is still delivered; sending then does nothing."""
    here, there = pair
    here.send({"last": 1})
    here.close()
    assert there.receive() == [{"last": 1}]
    there.receive()
    assert there.closed
    there.send({"too": "late"})
    assert there.backlog == 0
